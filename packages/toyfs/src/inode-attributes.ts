/**
 * InodeAttributes: what an inode record said at one instant. Most who ask want a type and a mode, so times
 * become bigints when somebody looks at them.
 */
import { INODE } from './disk/inode-record.js';
import type { Inode } from './inode.js';
import type { Attributes, FileType } from './vfs.js';

const AT = INODE.at;

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
  // Fields, and not an object for each time: a walk makes one of these for every name of a path.
  readonly #atime: number;
  readonly #atimeRest: number;
  readonly #mtime: number;
  readonly #mtimeRest: number;
  readonly #ctime: number;
  readonly #ctimeRest: number;
  readonly #birthtime: number;
  readonly #birthtimeRest: number;

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
    this.#atime = inode.seconds(AT.atime, AT.atimeExtra);
    this.#atimeRest = inode.nanoseconds(AT.atimeExtra);
    this.#mtime = inode.seconds(AT.mtime, AT.mtimeExtra);
    this.#mtimeRest = inode.nanoseconds(AT.mtimeExtra);
    this.#ctime = inode.seconds(AT.ctime, AT.ctimeExtra);
    this.#ctimeRest = inode.nanoseconds(AT.ctimeExtra);
    const isBirthKept = inode.hasExtra(AT.birthtimeExtra);
    this.#birthtime = isBirthKept ? inode.seconds(AT.birthtime, AT.birthtimeExtra) : 0;
    this.#birthtimeRest = isBirthKept ? inode.nanoseconds(AT.birthtimeExtra) : 0;
  }

  get atime(): bigint {
    return nanosecondsOf(this.#atime, this.#atimeRest);
  }

  get mtime(): bigint {
    return nanosecondsOf(this.#mtime, this.#mtimeRest);
  }

  get ctime(): bigint {
    return nanosecondsOf(this.#ctime, this.#ctimeRest);
  }

  get birthtime(): bigint {
    return nanosecondsOf(this.#birthtime, this.#birthtimeRest);
  }

  /** The times in milliseconds, with fractions. */
  get atimeMs(): number {
    return millisecondsOf(this.#atime, this.#atimeRest);
  }

  get mtimeMs(): number {
    return millisecondsOf(this.#mtime, this.#mtimeRest);
  }

  get ctimeMs(): number {
    return millisecondsOf(this.#ctime, this.#ctimeRest);
  }

  get birthtimeMs(): number {
    return millisecondsOf(this.#birthtime, this.#birthtimeRest);
  }
}

function millisecondsOf(seconds: number, nanoseconds: number): number {
  return seconds * 1000 + nanoseconds / 1e6;
}

function nanosecondsOf(seconds: number, nanoseconds: number): bigint {
  return BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds);
}
