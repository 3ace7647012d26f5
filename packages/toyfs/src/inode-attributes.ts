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
  // As the record has them: the seconds' low word, and the word with what is beyond (0 where there is none).
  // Fields, and not an object for each time: a walk makes one of these for every name of a path.
  readonly #atime: number;
  readonly #atimeExtra: number;
  readonly #mtime: number;
  readonly #mtimeExtra: number;
  readonly #ctime: number;
  readonly #ctimeExtra: number;
  readonly #birthtime: number;
  readonly #birthtimeExtra: number;

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
    const { view, at } = inode;
    const end = inode.fieldsEnd;
    const extra = (field: number): number =>
      field + 4 <= end ? view.getInt32(at + field, true) : 0;
    this.#atime = view.getInt32(at + AT.atime, true);
    this.#atimeExtra = extra(AT.atimeExtra);
    this.#mtime = view.getInt32(at + AT.mtime, true);
    this.#mtimeExtra = extra(AT.mtimeExtra);
    this.#ctime = view.getInt32(at + AT.ctime, true);
    this.#ctimeExtra = extra(AT.ctimeExtra);
    this.#birthtimeExtra = extra(AT.birthtimeExtra);
    // Kept with its extra word, which lies behind it, or not at all.
    this.#birthtime = AT.birthtimeExtra + 4 <= end ? view.getInt32(at + AT.birthtime, true) : 0;
  }

  get atime(): bigint {
    return nanosecondsOf(this.#atime, this.#atimeExtra);
  }

  get mtime(): bigint {
    return nanosecondsOf(this.#mtime, this.#mtimeExtra);
  }

  get ctime(): bigint {
    return nanosecondsOf(this.#ctime, this.#ctimeExtra);
  }

  get birthtime(): bigint {
    return nanosecondsOf(this.#birthtime, this.#birthtimeExtra);
  }

  /** The times in milliseconds, with fractions. */
  get atimeMs(): number {
    return millisecondsOf(this.#atime, this.#atimeExtra);
  }

  get mtimeMs(): number {
    return millisecondsOf(this.#mtime, this.#mtimeExtra);
  }

  get ctimeMs(): number {
    return millisecondsOf(this.#ctime, this.#ctimeExtra);
  }

  get birthtimeMs(): number {
    return millisecondsOf(this.#birthtime, this.#birthtimeExtra);
  }
}

/** The seconds since 1970: two bits beyond the low word, which is signed. */
function secondsOf(low: number, extra: number): number {
  return low + (extra & 3) * 2 ** 32;
}

function millisecondsOf(low: number, extra: number): number {
  return secondsOf(low, extra) * 1000 + (extra >>> 2) / 1e6;
}

function nanosecondsOf(low: number, extra: number): bigint {
  return BigInt(secondsOf(low, extra)) * 1_000_000_000n + BigInt(extra >>> 2);
}
