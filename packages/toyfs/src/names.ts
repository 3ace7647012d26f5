/**
 * Names: what makes and removes names; renaming.ts moves them. Each is one operation, so a name, its
 * inode's count of links, and the inode itself change together, also over a crash.
 *
 *   M1  What may miss a block or find no space comes first; the directory's map is changed last.
 *   M2  A directory's count of links is 2 and one for each directory in it, or 1 for "many".
 */
import { Buffer } from 'node:buffer';
import type { Directories } from './directories.js';
import type { Directory } from './directory.js';
import { nameKey, writeFirstRecords } from './directory-block.js';
import { LINK_MAX, TYPE_DIRECTORY, TYPE_FILE, TYPE_SYMLINK } from './disk/inode-record.js';
import { FsError } from './errors.js';
import { modeOfType } from './file-types.js';
import type { Image } from './image.js';
import type { Inode } from './inode.js';
import type { Inodes } from './inodes.js';
import { PLAIN } from './seals/seal.js';
import { SHORT_TARGET } from './symlink.js';
import { type FileType, NAME_MAX, type NewInode, SYMLINK_MAX } from './vfs.js';

/** The name of the directory above. */
export const DOTDOT = '..';

/** See the head of the file. All methods run as operations. */
export class Names {
  readonly #image: Image;
  readonly #inodes: Inodes;
  readonly #directories: Directories;

  constructor(image: Image, inodes: Inodes, directories: Directories) {
    this.#image = image;
    this.#inodes = inodes;
    this.#directories = directories;
  }

  lookup(parentIno: number, name: Uint8Array): number {
    const ino = this.find(parentIno, name);
    if (ino === undefined) throw absent(parentIno, name);
    return ino;
  }

  /** As `lookup`; undefined for a name that is not there. */
  find(parentIno: number, name: Uint8Array): number | undefined {
    const parent = this.#inodes.directory(parentIno);
    if (name.length > NAME_MAX) throw tooLong();
    return this.#directories.lookup(parent, nameKey(name));
  }

  create(parentIno: number, name: Uint8Array, wanted: NewInode): number {
    return this.#make(parentIno, name, TYPE_FILE, wanted).ino;
  }

  mknod(
    parentIno: number,
    name: Uint8Array,
    wanted: NewInode & { readonly type: FileType; readonly rdev?: number },
  ): number {
    const { type, rdev = 0 } = wanted;
    if (type === 'directory' || type === 'symlink') {
      throw new FsError('EINVAL', `a ${type} is not made by mknod`);
    }
    const inode = this.#make(parentIno, name, modeOfType(type), wanted);
    if (type !== 'character-device' && type !== 'block-device') return inode.ino;
    // The old form has room for 8 bits of each number; the new one lies behind it.
    const major = (rdev >>> 8) & 0xfff;
    const minor = (rdev & 0xff) | ((rdev >>> 12) & 0xf_ff00);
    const isOld = major < 256 && minor < 256;
    inode.view.setUint32(inode.root, isOld ? (major << 8) | minor : 0, true);
    inode.view.setUint32(inode.root + 4, isOld ? 0 : rdev, true);
    return inode.ino;
  }

  mkdir(parentIno: number, name: Uint8Array, wanted: NewInode): number {
    const parent = this.#inodes.directory(parentIno);
    const { core, space, geometry } = this.#image;
    const inode = this.#make(parentIno, name, TYPE_DIRECTORY, wanted, (made) => {
      const { start } = space.takeBlocks(space.goalOf(made.ino), 1);
      this.#image.tree(made).insert({ logical: 0, start, count: 1, unwritten: false });
      const first = core.freshMetadata(start, core.seals?.directory(made));
      writeFirstRecords(first, made.ino, parentIno, core.seals !== undefined);
      made.units = geometry.blockSize / 512;
      made.bytes = geometry.blockSize;
      made.links = 2;
      this.countSubdirectory(parent, 1);
    });
    return inode.ino;
  }

  symlink(
    parentIno: number,
    name: Uint8Array,
    target: Uint8Array,
    wanted: Omit<NewInode, 'mode'>,
  ): number {
    const { core, space, geometry } = this.#image;
    if (target.length === 0) throw new FsError('EINVAL', 'a symbolic link leads somewhere');
    if (target.length > Math.min(SYMLINK_MAX, geometry.blockSize - 1)) {
      throw new FsError('ENAMETOOLONG', `a symbolic link of ${target.length} bytes is too long`);
    }
    const mode = TYPE_SYMLINK;
    const inode = this.#make(parentIno, name, mode, { ...wanted, mode: 0o777 }, (made) => {
      made.bytes = target.length;
      if (target.length < SHORT_TARGET) {
        made.flags = 0;
        made.block.bytes.fill(0, made.root, made.root + 60);
        made.block.bytes.set(target, made.root);
        return;
      }
      const { start } = space.takeBlocks(space.goalOf(made.ino), 1);
      this.#image.tree(made).insert({ logical: 0, start, count: 1, unwritten: false });
      core.freshMetadata(start, PLAIN).bytes.set(target);
      made.units = geometry.blockSize / 512;
    });
    return inode.ino;
  }

  link(ino: number, parentIno: number, name: Uint8Array): void {
    const inode = this.#inodes.get(ino);
    const parent = this.#inodes.directory(parentIno);
    if (inode.isDirectory) throw new FsError('EPERM', 'a directory has one name');
    if (inode.links === 0) throw new FsError('ENOENT', `inode ${ino} has lost its last name`);
    if (inode.links >= LINK_MAX) throw new FsError('EMLINK', `inode ${ino} has ${LINK_MAX} names`);
    const directory = this.forNewName(parent, name);
    inode.edit().links++;
    inode.stamp(this.#image.core.now());
    this.addName(parent, directory, name, inode);
  }

  /** Answers the inode that had the name. */
  unlink(parentIno: number, name: Uint8Array): number {
    const parent = this.#inodes.directory(parentIno);
    const { key, inode } = this.existing(parent, name);
    if (inode.isDirectory) throw new FsError('EISDIR', 'a directory is removed by rmdir');
    this.#inodes.unlinked(inode);
    this.removeName(parent, key);
    return inode.ino;
  }

  rmdir(parentIno: number, name: Uint8Array): number {
    const parent = this.#inodes.directory(parentIno);
    if (nameKey(name) === '.') throw new FsError('EINVAL', '. is not removed');
    if (nameKey(name) === DOTDOT) throw new FsError('ENOTEMPTY', '.. is not empty');
    const { key, inode } = this.existing(parent, name);
    if (!inode.isDirectory) throw new FsError('ENOTDIR', `inode ${inode.ino} is no directory`);
    this.assertEmpty(inode);
    this.removeDirectory(parent, inode);
    this.removeName(parent, key);
    return inode.ino;
  }

  #make(
    parentIno: number,
    name: Uint8Array,
    typeBits: number,
    wanted: NewInode,
    fill?: (inode: Inode) => void,
  ): Inode {
    const parent = this.#inodes.directory(parentIno);
    const directory = this.forNewName(parent, name);
    const inode = this.#inodes.make(parent, typeBits | (wanted.mode & 0o7777), wanted);
    inode.links = 1;
    fill?.(inode);
    this.addName(parent, directory, name, inode);
    return inode;
  }

  /** The directory, which must not have the name and gets it. */
  forNewName(parent: Inode, name: Uint8Array): Directory {
    const key = checkedKey(name);
    const directory = this.#directories.get(parent);
    if (parent.links === 0) throw new FsError('ENOENT', `directory ${parent.ino} was removed`);
    if (directory.lookup(key) !== undefined) {
      throw new FsError('EEXIST', `directory ${parent.ino} has ${JSON.stringify(key)} already`);
    }
    return directory;
  }

  /** What has a name, and the name's key. @throws {FsError} ENOENT */
  existing(parent: Inode, name: Uint8Array): { key: string; inode: Inode } {
    if (name.length > NAME_MAX) throw tooLong();
    const key = nameKey(name);
    const ino = this.#directories.get(parent).lookup(key);
    if (ino === undefined) throw absent(parent.ino, name);
    return { key, inode: this.#inodes.get(ino) };
  }

  /** Adds a name that is not there. */
  addName(parent: Inode, directory: Directory, name: Uint8Array, inode: Inode): void {
    const key = nameKey(name);
    directory.dropIndex(parent);
    parent.edit().stamp(this.#image.core.now(), { modified: true });
    if (directory.insert(key, name, inode.ino, inode.type)) return;
    const { core, space, geometry } = this.#image;
    const logical = directory.places.length;
    const goal = (directory.places.at(-1) ?? space.goalOf(parent.ino)) + 1;
    const { start } = space.takeBlocks(goal, 1);
    this.#image.tree(parent).insert({ logical, start, count: 1, unwritten: false });
    parent.units += geometry.blockSize / 512;
    parent.bytes += geometry.blockSize;
    directory.addBlock(core.freshMetadata(start, directory.seal));
    directory.insert(key, name, inode.ino, inode.type);
  }

  /** Removes a name that is there. */
  removeName(parent: Inode, key: string): void {
    this.changeDirectory(parent).remove(key);
  }

  /** The directory, about to change. */
  changeDirectory(parent: Inode): Directory {
    const directory = this.#directories.get(parent);
    directory.dropIndex(parent);
    parent.edit().stamp(this.#image.core.now(), { modified: true });
    return directory;
  }

  /** Takes a directory's only name from its count. */
  removeDirectory(parent: Inode, inode: Inode): void {
    this.countSubdirectory(parent, -1);
    this.#inodes.unlinked(inode);
  }

  /** Counts one directory more, or less, in `parent`. */
  countSubdirectory(parent: Inode, change: 1 | -1): void {
    // M2: a count of 1 stays: nobody knows how many there are.
    if (parent.links === 1) return;
    const links = parent.links + change;
    parent.edit().links = links > LINK_MAX ? 1 : links;
  }

  /** @throws {FsError} ENOTEMPTY */
  assertEmpty(inode: Inode): void {
    if (this.#directories.get(inode).size > 2) {
      throw new FsError('ENOTEMPTY', `directory ${inode.ino} is not empty`);
    }
  }
}

/** @throws {FsError} for what no name may be */
export function checkedKey(name: Uint8Array): string {
  if (name.length === 0) throw new FsError('ENOENT', 'a name has at least one byte');
  if (name.length > NAME_MAX) throw tooLong();
  if (name.includes(0x2f) || name.includes(0)) {
    throw new FsError('EINVAL', 'a name has neither / nor a zero byte');
  }
  return nameKey(name);
}

function tooLong(): FsError {
  return new FsError('ENAMETOOLONG', `a name has ${NAME_MAX} bytes at most`);
}

/** The error for a name that is not there. */
export function absent(parent: number, name: Uint8Array): FsError {
  return new FsError(
    'ENOENT',
    `directory ${parent} has no ${JSON.stringify(Buffer.from(name).toString())}`,
  );
}
