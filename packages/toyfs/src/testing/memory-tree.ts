/**
 * MemoryTree: the inodes of a MemoryVfs and the names that lead to them. A directory's count of links is
 * 2 and one for each directory in it; an inode goes when neither a name nor an `open` holds it.
 */
import { Buffer } from 'node:buffer';
import { FsError, type FsErrorCode } from '../errors.js';
import {
  type DirectoryEntry,
  type FileType,
  type FsStatistics,
  NAME_MAX,
  type NewInode,
  type RenameOptions,
  ROOT_INO,
} from '../vfs.js';
import { MEMORY_BLOCK } from './memory-file.js';
import { MemoryInode } from './memory-inode.js';

/** See the head of the file. */
export class MemoryTree {
  readonly now: () => bigint;
  readonly inodes: Map<number, MemoryInode> = new Map();
  readonly #freeNumbers: number[] = [];
  #nextNumber = 11;
  #generation = 0;

  constructor(now: () => bigint) {
    this.now = now;
    const owner = { mode: 0o755, uid: 0, gid: 0 };
    const root = new MemoryInode(ROOT_INO, 0, 'directory', owner, now());
    root.links = 2;
    root.parent = ROOT_INO;
    this.inodes.set(ROOT_INO, root);
  }

  get(ino: number): MemoryInode {
    const inode = this.inodes.get(ino);
    if (inode === undefined) throw failure('ENOENT');
    return inode;
  }

  directory(ino: number): MemoryInode {
    const inode = this.get(ino);
    if (!inode.isDirectory) throw failure('ENOTDIR');
    return inode;
  }

  file(ino: number): MemoryInode {
    const inode = this.get(ino);
    if (inode.isDirectory) throw failure('EISDIR');
    if (inode.type !== 'file') throw failure('EINVAL');
    return inode;
  }

  #existing(directory: MemoryInode, key: string): MemoryInode {
    const at = directory.names.get(key);
    if (at === undefined) throw failure('ENOENT');
    return this.get(at.ino);
  }

  lookup(parent: number, name: Uint8Array): number {
    const found = this.find(parent, name);
    if (found === undefined) throw failure('ENOENT');
    return found.ino;
  }

  find(parent: number, name: Uint8Array): MemoryInode | undefined {
    const directory = this.directory(parent);
    const key = keyOf(name);
    if (key === '.') return directory;
    if (key === '..') return this.get(directory.parent);
    const at = directory.names.get(key);
    return at === undefined ? undefined : this.get(at.ino);
  }

  /** Makes a new inode a directory of its parent. */
  nest(inode: MemoryInode, parent: number): void {
    const above = this.directory(parent);
    if ((above.mode & 0o2000) !== 0) inode.mode |= 0o2000;
    inode.links = 2;
    inode.parent = parent;
    above.links++;
  }

  link(ino: number, parent: number, name: Uint8Array): void {
    const inode = this.get(ino);
    const directory = this.directory(parent);
    if (inode.isDirectory) throw failure('EPERM');
    if (inode.links === 0) throw failure('ENOENT');
    this.#addName(directory, name, inode.ino);
    inode.links++;
    inode.ctime = this.now();
  }

  /** Answers the inode that had the name. */
  unlink(parent: number, name: Uint8Array): number {
    const directory = this.directory(parent);
    const inode = this.#existing(directory, keyOf(name));
    if (inode.isDirectory) throw failure('EISDIR');
    this.#removeName(directory, name);
    this.#unlinked(inode);
    return inode.ino;
  }

  /** Answers the inode that had the name. */
  rmdir(parent: number, name: Uint8Array): number {
    const directory = this.directory(parent);
    const key = keyOf(name);
    if (key === '.') throw failure('EINVAL');
    if (key === '..') throw failure('ENOTEMPTY');
    const inode = this.#existing(directory, key);
    if (!inode.isDirectory) throw failure('ENOTDIR');
    if (inode.names.size > 0) throw failure('ENOTEMPTY');
    this.#removeName(directory, name);
    directory.links--;
    this.#unlinked(inode);
    return inode.ino;
  }

  /** Answers the inode that was moved. */
  rename(
    oldParent: number,
    oldName: Uint8Array,
    parent: number,
    name: Uint8Array,
    { noReplace = false, exchange = false }: RenameOptions,
  ): number {
    const from = this.directory(oldParent);
    const to = this.directory(parent);
    const [oldKey, newKey] = [keyOf(oldName), keyOf(name)];
    if (['.', '..'].includes(oldKey) || ['.', '..'].includes(newKey)) throw failure('EBUSY');
    const inode = this.#existing(from, oldKey);
    const takenIno = to.names.get(newKey)?.ino;
    const taken = takenIno === undefined ? undefined : this.get(takenIno);
    if (inode.isDirectory) this.#assertOutside(to, inode.ino);
    if (taken !== undefined && noReplace) throw failure('EEXIST');
    if (exchange) this.#exchange(from, oldKey, inode, to, newKey, taken);
    else this.#move(from, oldName, inode, to, name, taken);
    return inode.ino;
  }

  /** All names of a directory, in its order. */
  list(ino: number): readonly DirectoryEntry[] {
    const directory = this.directory(ino);
    const own = { ino, type: 'directory' as const };
    const entries: DirectoryEntry[] = [
      { ...own, name: Buffer.from('.'), cookie: 1 },
      { ...own, ino: directory.parent, name: Buffer.from('..'), cookie: 2 },
    ];
    for (const [key, at] of directory.names) {
      const { type } = this.get(at.ino);
      entries.push({ name: Buffer.from(key, 'latin1'), ino: at.ino, type, cookie: at.cookie });
    }
    return entries.sort((a, b) => a.cookie - b.cookie);
  }

  statistics(): FsStatistics {
    let used = 0;
    for (const inode of this.inodes.values()) used += inode.attributes().allocated / MEMORY_BLOCK;
    const blocks = 2 ** 20;
    const inodes = 2 ** 16;
    return {
      ...{ blockSize: MEMORY_BLOCK, blocks, freeBlocks: blocks - used },
      ...{ inodes, freeInodes: inodes - this.inodes.size },
      ...{ uuid: new Uint8Array(16), label: '' },
    };
  }

  make(parent: number, name: Uint8Array, type: FileType, wanted: NewInode): MemoryInode {
    const directory = this.directory(parent);
    const ino = this.#freeNumbers.pop() ?? this.#nextNumber++;
    const gid = (directory.mode & 0o2000) === 0 ? (wanted.gid ?? 0) : directory.gid;
    const owner = { mode: wanted.mode, uid: wanted.uid ?? 0, gid };
    try {
      this.#addName(directory, name, ino);
    } catch (error) {
      this.#freeNumbers.push(ino);
      throw error;
    }
    const inode = new MemoryInode(ino, ++this.#generation, type, owner, this.now());
    this.inodes.set(ino, inode);
    return inode;
  }

  #addName(directory: MemoryInode, name: Uint8Array, ino: number): void {
    const key = keyOf(name);
    if (key === '') throw failure('ENOENT');
    if (key.includes('/') || key.includes('\0')) throw failure('EINVAL');
    if (directory.links === 0) throw failure('ENOENT');
    if (key === '.' || key === '..' || directory.names.has(key)) throw failure('EEXIST');
    directory.names.set(key, { ino, cookie: directory.nextCookie++ });
    this.#stampDirectory(directory);
  }

  #removeName(directory: MemoryInode, name: Uint8Array): void {
    directory.names.delete(keyOf(name));
    this.#stampDirectory(directory);
  }

  #stampDirectory(directory: MemoryInode): void {
    directory.mtime = this.now();
    directory.ctime = directory.mtime;
  }

  #move(
    from: MemoryInode,
    oldName: Uint8Array,
    inode: MemoryInode,
    to: MemoryInode,
    newName: Uint8Array,
    taken: MemoryInode | undefined,
  ): void {
    if (taken === inode) return;
    if (taken !== undefined) {
      if (inode.isDirectory && !taken.isDirectory) throw failure('ENOTDIR');
      if (!inode.isDirectory && taken.isDirectory) throw failure('EISDIR');
      if (taken.names.size > 0) throw failure('ENOTEMPTY');
      this.#removeName(to, newName);
      if (taken.isDirectory) to.links--;
      this.#unlinked(taken);
    }
    this.#addName(to, newName, inode.ino);
    this.#removeName(from, oldName);
    this.#moved(inode, from, to);
  }

  #exchange(
    from: MemoryInode,
    oldKey: string,
    inode: MemoryInode,
    to: MemoryInode,
    newKey: string,
    taken: MemoryInode | undefined,
  ): void {
    if (taken === undefined) throw failure('ENOENT');
    if (taken.isDirectory) this.#assertOutside(from, taken.ino);
    from.names.set(oldKey, { ino: taken.ino, cookie: from.nextCookie++ });
    to.names.set(newKey, { ino: inode.ino, cookie: to.nextCookie++ });
    this.#moved(inode, from, to);
    this.#moved(taken, to, from);
    this.#stampDirectory(from);
    this.#stampDirectory(to);
  }

  #moved(inode: MemoryInode, from: MemoryInode, to: MemoryInode): void {
    inode.ctime = this.now();
    if (!inode.isDirectory) return;
    inode.parent = to.ino;
    from.links--;
    to.links++;
  }

  #assertOutside(directory: MemoryInode, ino: number): void {
    for (let at = directory; ; at = this.get(at.parent)) {
      if (at.ino === ino) throw failure('EINVAL');
      if (at.ino === ROOT_INO) return;
    }
  }

  #unlinked(inode: MemoryInode): void {
    inode.links = inode.isDirectory ? 0 : inode.links - 1;
    inode.ctime = this.now();
    this.drop(inode);
  }

  /** Forgets an inode that nothing holds any more; its number may come again. */
  drop(inode: MemoryInode): void {
    if (inode.links > 0 || inode.opens > 0) return;
    this.inodes.delete(inode.ino);
    this.#freeNumbers.push(inode.ino);
  }
}

/** A name as a key. @throws {FsError} ENAMETOOLONG */
function keyOf(name: Uint8Array): string {
  if (name.length > NAME_MAX) throw failure('ENAMETOOLONG');
  return Buffer.from(name.buffer, name.byteOffset, name.length).toString('latin1');
}

/** The model's way to say no. */
export function failure(code: FsErrorCode): FsError {
  return new FsError(code, `the model of a file system answers ${code}`);
}
