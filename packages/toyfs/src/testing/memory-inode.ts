/**
 * MemoryInode: one inode of a MemoryVfs. A directory's names are kept as latin1 text, which is one
 * character a byte.
 */
import type { Attributes, FileType } from '../vfs.js';
import { MemoryFile } from './memory-file.js';

/** Where a name leads, and its place in the order of the directory. */
export interface MemoryName {
  readonly ino: number;
  readonly cookie: number;
}

/** See the head of the file. */
export class MemoryInode {
  readonly ino: number;
  readonly generation: number;
  readonly type: FileType;
  mode: number;
  uid: number;
  gid: number;
  links = 1;
  opens = 0;
  rdev = 0;
  atime: bigint;
  mtime: bigint;
  ctime: bigint;
  readonly birthtime: bigint;
  readonly file: MemoryFile = new MemoryFile();
  readonly names: Map<string, MemoryName> = new Map();
  readonly xattrs: Map<string, Uint8Array> = new Map();
  /** A symbolic link's target. */
  target: Uint8Array = new Uint8Array(0);
  /** A directory's parent. */
  parent = 0;
  nextCookie = 3;

  constructor(
    ino: number,
    generation: number,
    type: FileType,
    owner: { readonly mode: number; readonly uid: number; readonly gid: number },
    now: bigint,
  ) {
    this.ino = ino;
    this.generation = generation;
    this.type = type;
    this.mode = owner.mode & 0o7777;
    this.uid = owner.uid;
    this.gid = owner.gid;
    this.atime = now;
    this.mtime = now;
    this.ctime = now;
    this.birthtime = now;
  }

  get isDirectory(): boolean {
    return this.type === 'directory';
  }

  attributes(): Attributes {
    const { ino, generation, type, mode, links, uid, gid, rdev } = this;
    const { atime, mtime, ctime, birthtime } = this;
    const size = this.isDirectory ? 4096 : this.file.size + this.target.length;
    const allocated = this.isDirectory ? 4096 : this.file.allocated;
    return {
      ...{ ino, generation, type, mode, links, uid, gid, rdev, size, allocated },
      ...{ atime, mtime, ctime, birthtime },
    };
  }
}
