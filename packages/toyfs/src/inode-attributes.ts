/**
 * InodeAttributes: what an inode record said at one instant. Most who ask want a type and a mode, so times
 * become bigints when somebody looks at them.
 */
import type { Inode } from './inode.js';
import type { Attributes, FileType } from './vfs.js';

/** Seconds since 1970, and nanoseconds beyond them. */
export interface FileTime {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** See the head of the file. */
export class InodeAttributes implements Attributes {
  readonly ino: number;
  readonly generation: number;
  readonly type: FileType;
  readonly mode: number;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly size: number;
  readonly allocated: number;
  readonly #atime: FileTime;
  readonly #mtime: FileTime;
  readonly #ctime: FileTime;
  readonly #birthtime: FileTime;

  constructor(inode: Inode, type: FileType, rdev: number) {
    this.ino = inode.ino;
    this.generation = inode.generation;
    this.type = type;
    this.mode = inode.mode & 0o7777;
    this.links = inode.links;
    this.uid = inode.uid;
    this.gid = inode.gid;
    this.rdev = rdev;
    this.size = inode.bytes;
    this.allocated = inode.units * 512;
    this.#atime = inode.time('atime');
    this.#mtime = inode.time('mtime');
    this.#ctime = inode.time('ctime');
    this.#birthtime = inode.time('birthtime');
  }

  get atime(): bigint {
    return nanosecondsOf(this.#atime);
  }

  get mtime(): bigint {
    return nanosecondsOf(this.#mtime);
  }

  get ctime(): bigint {
    return nanosecondsOf(this.#ctime);
  }

  get birthtime(): bigint {
    return nanosecondsOf(this.#birthtime);
  }
}

function nanosecondsOf({ seconds, nanoseconds }: FileTime): bigint {
  return BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds);
}
