/**
 * Renaming: moving a name, with what it replaces or trades places with, as one operation: whoever looks
 * finds the old or the new, never neither, also after a crash.
 */
import type { Directories } from './directories.js';
import { nameKey } from './directory-block.js';
import { FsError } from './errors.js';
import type { Image } from './image.js';
import type { Inode } from './inode.js';
import type { Inodes } from './inodes.js';
import { absent, checkedKey, DOTDOT, type Names } from './names.js';
import { type RenameOptions, ROOT_INO } from './vfs.js';

/** See the head of the file. */
export class Renaming {
  readonly #image: Image;
  readonly #inodes: Inodes;
  readonly #directories: Directories;
  readonly #names: Names;

  constructor(image: Image, inodes: Inodes, directories: Directories, names: Names) {
    this.#image = image;
    this.#inodes = inodes;
    this.#directories = directories;
    this.#names = names;
  }

  /** Answers the inode moved, and the one that lost its name. */
  rename(
    oldParentIno: number,
    oldName: Uint8Array,
    newParentIno: number,
    newName: Uint8Array,
    { noReplace = false, exchange = false }: RenameOptions,
  ): { moved: number; replaced: number | undefined } {
    const oldParent = this.#inodes.directory(oldParentIno);
    const newParent = this.#inodes.directory(newParentIno);
    assertMovable(oldName);
    assertMovable(newName);
    const { key: oldKey, inode } = this.#names.existing(oldParent, oldName);
    const newKey = checkedKey(newName);
    const takenIno = this.#directories.lookup(newParent, newKey);
    const taken = takenIno === undefined ? undefined : this.#inodes.get(takenIno);
    if (inode.isDirectory) this.#assertOutside(newParent, inode.ino);
    // Two maps are changed: no block of the second may be missed after the first was (M1).
    this.#directories.get(oldParent).need(oldKey);
    if (taken !== undefined) this.#directories.get(newParent).need(newKey);
    if (taken !== undefined && noReplace) throw new FsError('EEXIST', 'the new name is taken');
    if (exchange) {
      if (taken === undefined) throw absent(newParentIno, newName);
      this.#exchange(oldParent, oldKey, inode, newParent, newKey, taken);
      return { moved: inode.ino, replaced: undefined };
    }
    if (taken?.ino === inode.ino) return { moved: inode.ino, replaced: undefined };
    if (taken !== undefined) {
      if (inode.isDirectory && !taken.isDirectory) {
        throw new FsError('ENOTDIR', 'a directory replaces only a directory');
      }
      if (!inode.isDirectory && taken.isDirectory) {
        throw new FsError('EISDIR', 'a directory is replaced only by a directory');
      }
      if (taken.isDirectory) this.#names.assertEmpty(taken);
    }
    this.#move(oldParent, oldKey, inode, newParent, newName, taken);
    return { moved: inode.ino, replaced: taken?.ino };
  }

  #move(
    oldParent: Inode,
    oldKey: string,
    inode: Inode,
    newParent: Inode,
    newName: Uint8Array,
    taken: Inode | undefined,
  ): void {
    const now = this.#image.core.now();
    inode.edit().stamp(now);
    if (inode.isDirectory && oldParent.ino !== newParent.ino) {
      const directory = this.#directories.get(inode);
      directory.dropIndex(inode);
      directory.replace(DOTDOT, newParent.ino, 'directory');
      this.#names.countSubdirectory(oldParent, -1);
      this.#names.countSubdirectory(newParent, 1);
    }
    if (taken === undefined) {
      this.#names.addName(newParent, this.#names.forNewName(newParent, newName), newName, inode);
    } else {
      if (taken.isDirectory) this.#names.removeDirectory(newParent, taken);
      else this.#inodes.unlinked(taken);
      this.#names.changeDirectory(newParent).replace(checkedKey(newName), inode.ino, inode.type);
    }
    this.#names.removeName(oldParent, oldKey);
  }

  #exchange(
    oldParent: Inode,
    oldKey: string,
    inode: Inode,
    newParent: Inode,
    newKey: string,
    taken: Inode,
  ): void {
    if (taken.isDirectory) this.#assertOutside(oldParent, taken.ino);
    const now = this.#image.core.now();
    for (const [each, from, to] of [
      [inode, oldParent, newParent],
      [taken, newParent, oldParent],
    ] as const) {
      each.edit().stamp(now);
      if (!each.isDirectory || from.ino === to.ino) continue;
      this.#directories.get(each).replace(DOTDOT, to.ino, 'directory');
      this.#names.countSubdirectory(from, -1);
      this.#names.countSubdirectory(to, 1);
    }
    this.#names.changeDirectory(oldParent).replace(oldKey, taken.ino, taken.type);
    this.#names.changeDirectory(newParent).replace(newKey, inode.ino, inode.type);
  }

  /** @throws {FsError} EINVAL when `directory` is `ino` or lies in it */
  #assertOutside(directory: Inode, ino: number): void {
    for (let at = directory, steps = 0; ; steps++) {
      if (at.ino === ino) throw new FsError('EINVAL', 'a directory cannot be moved into itself');
      if (at.ino === ROOT_INO) return;
      const above = this.#directories.lookup(at, DOTDOT);
      if (above === undefined || steps > 100_000) {
        throw new FsError('EIO', `directory ${at.ino} has no way to the root`);
      }
      at = this.#inodes.directory(above);
    }
  }
}

function assertMovable(name: Uint8Array): void {
  const key = nameKey(name);
  if (key === '.' || key === DOTDOT) throw new FsError('EBUSY', `${key} cannot be renamed`);
}
