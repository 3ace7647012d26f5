/**
 * Unpacking: the parts of a tree made files of a file system. What is in the way is replaced if it is no
 * directory; a directory that is there stays and gets what the tree has. Nothing is written through a
 * symbolic link, and no file stays that is not whole.
 */
import { type AttributeChanges, type Attributes, isFsError, type Vfs } from '@palimpsest/toyfs';
import { FileError } from './file-error.js';
import type { CopyInfo, TreeData, TreeEntry, TreePart } from './file-types.js';
import { makeTree, type TreeMaker } from './tree-maker.js';

interface Directory {
  readonly path: string;
  readonly ino: number;
  readonly entry: TreeEntry;
}

interface OpenFile {
  readonly ino: number;
  readonly entry: TreeEntry;
  readonly parent: number;
  readonly name: Uint8Array;
}

/** Makes the tree under `name` in the directory `parent`. */
export function unpackTree(
  fs: Vfs,
  parent: number,
  name: Uint8Array,
  parts: AsyncIterable<TreePart>,
): Promise<CopyInfo> {
  return makeTree(new Unpacker(fs, parent, name), parts);
}

class Unpacker implements TreeMaker {
  readonly copied = { files: 0, directories: 0, links: 0, bytes: 0, leftOut: [] as string[] };
  readonly #fs: Vfs;
  readonly #parent: number;
  readonly #name: Uint8Array;
  /** From the tree's root to where it is being added to. */
  readonly #directories: Directory[] = [];
  /** Inodes by path, for links. */
  readonly #made = new Map<string, number>();
  #file: OpenFile | undefined;

  constructor(fs: Vfs, parent: number, name: Uint8Array) {
    this.#fs = fs;
    this.#parent = parent;
    this.#name = name;
  }

  async entry(entry: TreeEntry): Promise<void> {
    await this.#endFile();
    const { parent, name } = await this.#placeOf(entry.path);
    const there = await this.#find(parent, name);
    if (entry.type === 'directory') {
      if (there !== undefined && there.type !== 'directory') throw clash(entry, 'ENOTDIR');
      const ino = there?.ino ?? (await this.#fs.mkdir(parent, name, entry));
      this.#directories.push({ path: entry.path, ino, entry });
      this.copied.directories += 1;
      return;
    }
    if (there?.type === 'directory') throw clash(entry, 'EISDIR');
    const { link } = entry;
    if (link !== undefined) {
      const ino = this.#made.get(link);
      if (ino === undefined) throw new FileError('EINVAL', `${shown(link)} is no earlier file`);
      if (there?.ino === ino) return;
      if (there !== undefined) await this.#fs.unlink(parent, name);
      await this.#fs.link(ino, parent, name);
      this.copied.links += 1;
      return;
    }
    if (there !== undefined) await this.#fs.unlink(parent, name);
    const ino = await this.#make(entry, parent, name);
    this.#made.set(entry.path, ino);
    if (entry.type === 'file') {
      await this.#fs.open(ino);
      this.#file = { ino, entry, parent, name };
      this.copied.files += 1;
    } else {
      await this.#settle(ino, entry);
      this.copied.links += 1;
    }
  }

  async data({ position, bytes }: TreeData): Promise<void> {
    if (this.#file === undefined) throw new FileError('EINVAL', 'data that is of no file');
    await this.#fs.write(this.#file.ino, bytes, position);
    this.copied.bytes += bytes.length;
  }

  async end(): Promise<void> {
    await this.#endFile();
    while (this.#directories.length > 0) await this.#leave();
  }

  async abandon(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    try {
      await this.#fs.unlink(file.parent, file.name);
      await this.#fs.release(file.ino);
    } catch (error) {
      if (!isFsError(error)) throw error; // The failure before it is the one to tell.
    }
  }

  async #endFile(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    const { ino, entry } = file;
    try {
      const { size } = await this.#fs.getattr(ino);
      if (size < entry.size) await this.#fs.setattr(ino, { size: entry.size }); // ends with a hole
      await this.#settle(ino, entry);
    } finally {
      await this.#fs.release(ino);
    }
  }

  /** Directories last, as what is made in them changes their times. */
  async #leave(): Promise<void> {
    const left = this.#directories.pop();
    if (left !== undefined) await this.#settle(left.ino, left.entry);
  }

  async #settle(ino: number, entry: TreeEntry): Promise<void> {
    const { uid, gid, mode, atime, mtime, type } = entry;
    for (const [name, value] of entry.xattrs ?? []) {
      await this.#fs.setXattr(ino, name, Buffer.from(value, 'latin1'));
    }
    const times = { atime, mtime, uid, gid };
    const changes: AttributeChanges = type === 'symlink' ? times : { ...times, mode };
    await this.#fs.setattr(ino, changes);
  }

  async #make(entry: TreeEntry, parent: number, name: Uint8Array): Promise<number> {
    const { type, mode, uid, gid } = entry;
    // Private until it is whole.
    const inode = { mode: mode & 0o700, uid, gid };
    if (type === 'file') return this.#fs.create(parent, name, inode);
    if (type === 'symlink') {
      const target = Buffer.from(entry.target ?? '', 'latin1');
      return this.#fs.symlink(parent, name, target, { uid, gid });
    }
    return this.#fs.mknod(parent, name, { ...inode, type, rdev: entry.rdev ?? 0 });
  }

  async #placeOf(path: string): Promise<{ parent: number; name: Uint8Array }> {
    if (path === '') return { parent: this.#parent, name: this.#name };
    const slash = path.lastIndexOf('/');
    const [above, last] = [path.slice(0, Math.max(0, slash)), path.slice(slash + 1)];
    while (this.#directories.length > 0 && this.#directories.at(-1)?.path !== above) {
      await this.#leave();
    }
    const parent = this.#directories.at(-1);
    if (parent === undefined || ['', '.', '..'].includes(last)) {
      throw new FileError('EINVAL', `${shown(path)} has no place in the tree`);
    }
    return { parent: parent.ino, name: Buffer.from(last, 'latin1') };
  }

  async #find(parent: number, name: Uint8Array): Promise<Attributes | undefined> {
    try {
      return await this.#fs.getattr(await this.#fs.lookup(parent, name));
    } catch (error) {
      if (isFsError(error, 'ENOENT')) return undefined;
      throw error;
    }
  }
}

function clash({ path }: TreeEntry, code: 'EISDIR' | 'ENOTDIR'): FileError {
  const what = code === 'EISDIR' ? 'a directory' : 'something that is no directory';
  const where = path === '' ? 'where it is to be' : `at ${shown(path)}`;
  return new FileError(code, `there is ${what} ${where} already; remove it first: pal fs rm`);
}

function shown(path: string): string {
  return JSON.stringify(Buffer.from(path, 'latin1').toString());
}
