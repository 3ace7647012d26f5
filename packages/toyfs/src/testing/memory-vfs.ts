/**
 * MemoryVfs: a Vfs that keeps everything in maps, meant to be obviously right rather than fast. It is
 * the model that random histories of real file systems are compared with, and the file system for
 * tests of what stands on a Vfs. Every operation happens in one turn; nothing is ever lost or full.
 */
import {
  type Answer,
  type AttributeChanges,
  type Attributes,
  type DirectoryEntry,
  type FileType,
  type FsEvent,
  type FsStatistics,
  type NewInode,
  type RenameOptions,
  SYMLINK_MAX,
  type Vfs,
} from '../vfs.js';
import { Gate } from './gate.js';
import type { MemoryFile } from './memory-file.js';
import type { MemoryInode } from './memory-inode.js';
import { failure, MemoryTree } from './memory-tree.js';

/** How to make a MemoryVfs. */
export interface MemoryVfsOptions {
  /** Refuse every change with EROFS. @default false */
  readonly readOnly?: boolean;
  /** Nanoseconds since 1970. @default the system's clock */
  readonly now?: () => bigint;
}

type Owner = Omit<NewInode, 'mode'>;

/** See the head of the file. */
export class MemoryVfs implements Vfs {
  readOnly: boolean;
  readonly #openTree: MemoryTree;
  readonly #listeners = new Set<(event: FsEvent) => void>();
  readonly #gate = new Gate();
  #isClosed = false;

  constructor({ readOnly = false, now }: MemoryVfsOptions = {}) {
    this.readOnly = readOnly;
    this.#openTree = new MemoryTree(now ?? (() => BigInt(Date.now()) * 1_000_000n));
  }

  lookup(parent: number, name: Uint8Array): number {
    return this.#tree.lookup(parent, name);
  }

  find(parent: number, name: Uint8Array): Attributes | undefined {
    return this.#tree.find(parent, name)?.attributes();
  }

  getattr(ino: number): Attributes {
    return this.#tree.get(ino).attributes();
  }

  setattr(ino: number, changes: AttributeChanges): Answer<Attributes> {
    return this.#change(() => {
      const { size, mode, uid, gid, atime, mtime } = changes;
      const inode = size === undefined ? this.#tree.get(ino) : this.#tree.file(ino);
      if (size !== undefined) {
        inode.file.resize(size);
        inode.mtime = this.#tree.now();
      }
      if (mode !== undefined) inode.mode = mode & 0o7777;
      inode.uid = uid ?? inode.uid;
      inode.gid = gid ?? inode.gid;
      inode.atime = atime ?? inode.atime;
      inode.mtime = mtime ?? inode.mtime;
      inode.ctime = this.#tree.now();
      this.#tell({ kind: size === undefined ? 'attributes' : 'data', ino });
      return inode.attributes();
    });
  }

  create(parent: number, name: Uint8Array, inode: NewInode): Answer<number> {
    return this.#change(() => this.#make(parent, name, 'file', inode).ino);
  }

  mkdir(parent: number, name: Uint8Array, inode: NewInode): Answer<number> {
    return this.#change(() => {
      const made = this.#make(parent, name, 'directory', inode);
      this.#tree.nest(made, parent);
      return made.ino;
    });
  }

  mknod(
    parent: number,
    name: Uint8Array,
    inode: NewInode & { readonly type: FileType; readonly rdev?: number },
  ): Answer<number> {
    return this.#change(() => {
      if (inode.type === 'directory' || inode.type === 'symlink') throw failure('EINVAL');
      const made = this.#make(parent, name, inode.type, inode);
      made.rdev = inode.rdev ?? 0;
      return made.ino;
    });
  }

  symlink(parent: number, name: Uint8Array, target: Uint8Array, inode: Owner): Answer<number> {
    return this.#change(() => {
      if (target.length === 0) throw failure('EINVAL');
      if (target.length > SYMLINK_MAX) throw failure('ENAMETOOLONG');
      const made = this.#make(parent, name, 'symlink', { ...inode, mode: 0o777 });
      made.target = target.slice();
      return made.ino;
    });
  }

  readlink(ino: number): Uint8Array {
    const inode = this.#tree.get(ino);
    if (inode.type !== 'symlink') throw failure('EINVAL');
    return inode.target;
  }

  link(ino: number, parent: number, name: Uint8Array): Answer<void> {
    return this.#change(() => {
      this.#tree.link(ino, parent, name);
      this.#tell({ kind: 'create', ino, parent, name });
    });
  }

  unlink(parent: number, name: Uint8Array): Answer<void> {
    return this.#change(() => {
      const ino = this.#tree.unlink(parent, name);
      this.#tell({ kind: 'remove', ino, parent, name });
    });
  }

  rmdir(parent: number, name: Uint8Array): Answer<void> {
    return this.#change(() => {
      const ino = this.#tree.rmdir(parent, name);
      this.#tell({ kind: 'remove', ino, parent, name });
    });
  }

  rename(
    oldParent: number,
    oldName: Uint8Array,
    parent: number,
    name: Uint8Array,
    options: RenameOptions = {},
  ): Answer<void> {
    return this.#change(() => {
      const ino = this.#tree.rename(oldParent, oldName, parent, name, options);
      this.#tell({ kind: 'rename', ino, parent, name, oldParent, oldName });
    });
  }

  open(ino: number): void {
    this.#tree.get(ino).opens++;
  }

  release(ino: number): void {
    const inode = this.#tree.get(ino);
    inode.opens--;
    this.#tree.drop(inode);
  }

  read(ino: number, target: Uint8Array, offset: number): number {
    return this.#tree.file(ino).file.read(target, offset);
  }

  write(ino: number, source: Uint8Array, offset: number): Answer<void> {
    return this.#changeData(ino, (file) => file.write(source, offset));
  }

  fallocate(
    ino: number,
    offset: number,
    length: number,
    { keepSize = false }: { readonly keepSize?: boolean } = {},
  ): Answer<void> {
    return this.#changeData(ino, (file) => file.allocate(offset, length, keepSize));
  }

  punchHole(ino: number, offset: number, length: number): Answer<void> {
    return this.#changeData(ino, (file) => file.punch(offset, length));
  }

  seek(ino: number, offset: number, what: 'data' | 'hole'): number {
    const found = this.#tree.file(ino).file.seek(offset, what);
    if (found === undefined) throw failure('ENXIO');
    return found;
  }

  readdir(ino: number, cookie: number, limit: number): readonly DirectoryEntry[] {
    return this.#tree
      .list(ino)
      .filter((entry) => entry.cookie > cookie)
      .slice(0, limit);
  }

  getXattr(ino: number, name: string): Uint8Array {
    const value = this.#tree.get(ino).xattrs.get(name);
    if (value === undefined) throw failure('ENODATA');
    return value;
  }

  setXattr(
    ino: number,
    name: string,
    value: Uint8Array,
    mode?: 'create' | 'replace',
  ): Answer<void> {
    return this.#change(() => {
      const { xattrs } = this.#tree.get(ino);
      if (!/^(?:user|trusted|security|system)\../.test(name)) throw failure('EOPNOTSUPP');
      if (mode === 'create' && xattrs.has(name)) throw failure('EEXIST');
      if (mode === 'replace' && !xattrs.has(name)) throw failure('ENODATA');
      xattrs.set(name, value.slice());
      this.#tell({ kind: 'attributes', ino });
    });
  }

  listXattrs(ino: number): readonly string[] {
    return [...this.#tree.get(ino).xattrs.keys()];
  }

  removeXattr(ino: number, name: string): Answer<void> {
    return this.#change(() => {
      if (!this.#tree.get(ino).xattrs.delete(name)) throw failure('ENODATA');
      this.#tell({ kind: 'attributes', ino });
    });
  }

  async fsync(ino: number): Promise<void> {
    this.#tree.get(ino);
  }

  async sync(): Promise<void> {
    this.#assertOpen();
  }

  statfs(): FsStatistics {
    return this.#tree.statistics();
  }

  async freeze(): Promise<void> {
    this.#assertOpen();
    this.#gate.close();
  }

  async thaw(): Promise<void> {
    this.#gate.open();
  }

  watch(listener: (event: FsEvent) => void): () => void {
    const own = (event: FsEvent): void => listener(event);
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  async close(): Promise<void> {
    await this.thaw();
    this.#isClosed = true;
  }

  /** Runs a change, after the thaw when it is frozen. */
  #change<T>(body: () => T): Answer<T> {
    this.#assertOpen();
    if (this.readOnly) throw failure('EROFS');
    return this.#gate.pass(() => {
      this.#assertOpen();
      return body();
    });
  }

  get #tree(): MemoryTree {
    this.#assertOpen();
    return this.#openTree;
  }

  #assertOpen(): void {
    if (this.#isClosed) throw failure('ESTALE');
  }

  #make(parent: number, name: Uint8Array, type: FileType, wanted: NewInode): MemoryInode {
    const made = this.#tree.make(parent, name, type, wanted);
    this.#tell({ kind: 'create', ino: made.ino, parent, name });
    return made;
  }

  #changeData(ino: number, change: (file: MemoryFile) => void): Answer<void> {
    return this.#change(() => {
      const inode = this.#tree.file(ino);
      change(inode.file);
      inode.mtime = this.#tree.now();
      inode.ctime = inode.mtime;
      this.#tell({ kind: 'data', ino });
    });
  }

  #tell(event: FsEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}
