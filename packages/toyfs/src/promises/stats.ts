/**
 * Stats, BigIntStats and StatFs: attributes in Node's shapes.
 */
import { InodeAttributes } from '../inode-attributes.js';
import type { Attributes, FsStatistics } from '../vfs.js';
import { constants, TYPE_BITS } from './constants.js';

/** Bytes that `Stats.blocks` counts. */
const STAT_BLOCK = 512;
/** What `StatFs.type` says: ext4's. */
const EXT4_MAGIC = 0xef53;
const NS_PER_MS = 1_000_000n;
const NS_PER_SECOND = 1_000_000_000n;

/** What both kinds of stats share. */
abstract class StatsOf<N extends number | bigint> {
  declare dev: N;
  declare mode: N;
  declare nlink: N;
  declare uid: N;
  declare gid: N;
  declare rdev: N;
  declare blksize: N;
  declare ino: N;
  declare size: N;
  declare blocks: N;
  declare atimeMs: N;
  declare mtimeMs: N;
  declare ctimeMs: N;
  declare birthtimeMs: N;

  constructor(attributes: Attributes, dev: number, number: (value: number) => N) {
    this.dev = number(dev);
    this.mode = number(TYPE_BITS[attributes.type] | attributes.mode);
    this.nlink = number(attributes.links);
    this.uid = number(attributes.uid);
    this.gid = number(attributes.gid);
    this.rdev = number(attributes.rdev);
    this.blksize = number(4096);
    this.ino = number(attributes.ino);
    this.size = number(attributes.size);
    this.blocks = number(Math.ceil(attributes.allocated / STAT_BLOCK));
  }

  isDirectory(): boolean {
    return this.#is(constants.S_IFDIR);
  }

  isFile(): boolean {
    return this.#is(constants.S_IFREG);
  }

  isBlockDevice(): boolean {
    return this.#is(constants.S_IFBLK);
  }

  isCharacterDevice(): boolean {
    return this.#is(constants.S_IFCHR);
  }

  isSymbolicLink(): boolean {
    return this.#is(constants.S_IFLNK);
  }

  isFIFO(): boolean {
    return this.#is(constants.S_IFIFO);
  }

  isSocket(): boolean {
    return this.#is(constants.S_IFSOCK);
  }

  #is(type: number): boolean {
    return (Number(this.mode) & constants.S_IFMT) === type;
  }
}

/** What `stat` answers. Times in milliseconds have fractions. */
export class Stats extends StatsOf<number> {
  declare atime: Date;
  declare mtime: Date;
  declare ctime: Date;
  declare birthtime: Date;

  constructor(attributes: Attributes, dev: number) {
    super(attributes, dev, itself);
    // Those of our own file system need no bigints on the way.
    const isOurs = attributes instanceof InodeAttributes;
    this.atimeMs = isOurs ? attributes.atimeMs : milliseconds(attributes.atime);
    this.mtimeMs = isOurs ? attributes.mtimeMs : milliseconds(attributes.mtime);
    this.ctimeMs = isOurs ? attributes.ctimeMs : milliseconds(attributes.ctime);
    this.birthtimeMs = isOurs ? attributes.birthtimeMs : milliseconds(attributes.birthtime);
    this.atime = new Date(Math.round(this.atimeMs));
    this.mtime = new Date(Math.round(this.mtimeMs));
    this.ctime = new Date(Math.round(this.ctimeMs));
    this.birthtime = new Date(Math.round(this.birthtimeMs));
  }
}

/** What `stat` answers with `bigint: true`: exact to the nanosecond. */
export class BigIntStats extends StatsOf<bigint> {
  declare atimeNs: bigint;
  declare mtimeNs: bigint;
  declare ctimeNs: bigint;
  declare birthtimeNs: bigint;
  declare atime: Date;
  declare mtime: Date;
  declare ctime: Date;
  declare birthtime: Date;

  constructor(attributes: Attributes, dev: number) {
    super(attributes, dev, BigInt);
    this.atimeMs = attributes.atime / NS_PER_MS;
    this.mtimeMs = attributes.mtime / NS_PER_MS;
    this.ctimeMs = attributes.ctime / NS_PER_MS;
    this.birthtimeMs = attributes.birthtime / NS_PER_MS;
    this.atimeNs = attributes.atime;
    this.mtimeNs = attributes.mtime;
    this.ctimeNs = attributes.ctime;
    this.birthtimeNs = attributes.birthtime;
    this.atime = new Date(Number(this.atimeMs));
    this.mtime = new Date(Number(this.mtimeMs));
    this.ctime = new Date(Number(this.ctimeMs));
    this.birthtime = new Date(Number(this.birthtimeMs));
  }
}

/** What `statfs` answers. */
export class StatFs<N extends number | bigint = number> {
  readonly type: N;
  readonly bsize: N;
  readonly blocks: N;
  readonly bfree: N;
  readonly bavail: N;
  readonly files: N;
  readonly ffree: N;

  constructor(statistics: FsStatistics, number: (value: number) => N) {
    const free = Math.max(0, statistics.freeBlocks);
    this.type = number(EXT4_MAGIC);
    this.bsize = number(statistics.blockSize);
    this.blocks = number(statistics.blocks);
    this.bfree = number(free);
    this.bavail = number(free);
    this.files = number(statistics.inodes);
    this.ffree = number(Math.max(0, statistics.freeInodes));
  }
}

/** How `stat` and `statfs` give numbers. */
export interface BigIntOption {
  /** @default false */
  readonly bigint?: boolean;
}

/** Attributes as `stat` gives them. */
export function statsOf(
  attributes: Attributes,
  dev: number,
  options?: BigIntOption,
): Stats | BigIntStats {
  return options?.bigint === true ? new BigIntStats(attributes, dev) : new Stats(attributes, dev);
}

function itself(value: number): number {
  return value;
}

/** Whole seconds first, so that the fraction keeps its digits. */
function milliseconds(ns: bigint): number {
  const seconds = ns / NS_PER_SECOND;
  return Number(seconds) * 1000 + Number(ns - seconds * NS_PER_SECOND) / 1e6;
}
