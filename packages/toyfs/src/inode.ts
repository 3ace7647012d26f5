/**
 * Inode: an inode record where it lies, in its block of the inode table. Reading a property reads the
 * record; setting one changes it there, after `edit` told the core. No copy of a record is kept, so
 * there is none to keep equal.
 */
import type { Block } from './block-cache.js';
import type { Core } from './core.js';
import {
  FLAG_EXTENTS,
  FLAG_HUGE_FILE,
  FLAG_INLINE_DATA,
  INODE,
  TYPE_DIRECTORY,
  TYPE_FILE,
  TYPE_MASK,
  TYPE_SYMLINK,
} from './disk/inode-record.js';
import { typeOfMode } from './file-types.js';
import { InodeAttributes } from './inode-attributes.js';
import type { AttributeChanges, Attributes, FileType } from './vfs.js';

const AT = INODE.at;
/** Bytes of an inode in revision 0, and before the extra fields. */
export const OLD_INODE_SIZE = 128;

/** See the head of the file. */
export class Inode {
  readonly ino: number;
  readonly block: Block;
  /** The record's place in the block. */
  readonly at: number;
  readonly size: number;
  readonly #core: Core;
  readonly #view: DataView;

  constructor(core: Core, ino: number, block: Block, at: number, size: number) {
    this.#core = core;
    this.ino = ino;
    this.block = block;
    this.at = at;
    this.size = size;
    this.#view = block.view;
  }

  /** Must come before any setter. */
  edit(): this {
    this.#core.touch(this.block);
    return this;
  }

  get view(): DataView {
    return this.#view;
  }

  get mode(): number {
    return this.#u16(AT.mode);
  }
  set mode(value: number) {
    this.#setU16(AT.mode, value);
  }

  get typeBits(): number {
    return this.mode & TYPE_MASK;
  }

  /** Undefined for a record that makes no sense. */
  get type(): FileType | undefined {
    return typeOfMode(this.mode);
  }

  get isDirectory(): boolean {
    return this.typeBits === TYPE_DIRECTORY;
  }

  get isFile(): boolean {
    return this.typeBits === TYPE_FILE;
  }

  get isSymlink(): boolean {
    return this.typeBits === TYPE_SYMLINK;
  }

  get links(): number {
    return this.#u16(AT.links);
  }
  set links(value: number) {
    this.#setU16(AT.links, value);
  }

  get uid(): number {
    return this.#u16(AT.uidLow) + this.#u16(AT.uidHigh) * 0x1_0000;
  }
  set uid(value: number) {
    this.#setU16(AT.uidLow, value & 0xffff);
    this.#setU16(AT.uidHigh, value >>> 16);
  }

  get gid(): number {
    return this.#u16(AT.gidLow) + this.#u16(AT.gidHigh) * 0x1_0000;
  }
  set gid(value: number) {
    this.#setU16(AT.gidLow, value & 0xffff);
    this.#setU16(AT.gidHigh, value >>> 16);
  }

  get bytes(): number {
    return this.#u32(AT.sizeLow) + this.#u32(AT.sizeHigh) * 2 ** 32;
  }
  set bytes(value: number) {
    this.#setU32(AT.sizeLow, value % 2 ** 32);
    this.#setU32(AT.sizeHigh, Math.floor(value / 2 ** 32));
  }

  get flags(): number {
    return this.#u32(AT.flags);
  }
  set flags(value: number) {
    this.#setU32(AT.flags, value);
  }

  hasFlag(flag: number): boolean {
    return (this.flags & flag) !== 0;
  }

  get hasExtents(): boolean {
    return this.hasFlag(FLAG_EXTENTS);
  }

  get hasInlineData(): boolean {
    return this.hasFlag(FLAG_INLINE_DATA);
  }

  get generation(): number {
    return this.#u32(AT.generation);
  }
  set generation(value: number) {
    this.#setU32(AT.generation, value);
  }

  /** Seconds of deletion, or the next inode of the orphan list. */
  get dtime(): number {
    return this.#u32(AT.dtime);
  }
  set dtime(value: number) {
    this.#setU32(AT.dtime, value);
  }

  /** 512-byte units, whatever unit the record counts in. */
  get units(): number {
    const count = this.#u32(AT.blocksLow) + this.#u16(AT.blocksHigh) * 2 ** 32;
    return this.hasFlag(FLAG_HUGE_FILE) ? (count * this.block.bytes.length) / 512 : count;
  }
  set units(value: number) {
    const count = this.hasFlag(FLAG_HUGE_FILE) ? (value * 512) / this.block.bytes.length : value;
    this.#setU32(AT.blocksLow, count % 2 ** 32);
    this.#setU16(AT.blocksHigh, Math.floor(count / 2 ** 32));
  }

  get xattrBlock(): number {
    return this.#u32(AT.xattrBlockLow) + this.#u16(AT.xattrBlockHigh) * 2 ** 32;
  }
  set xattrBlock(value: number) {
    this.#setU32(AT.xattrBlockLow, value % 2 ** 32);
    this.#setU16(AT.xattrBlockHigh, Math.floor(value / 2 ** 32));
  }

  /** Bytes beyond 128 that hold fields; 0 in a small inode. */
  get extraSize(): number {
    return this.size > OLD_INODE_SIZE ? this.#u16(AT.extraSize) : 0;
  }
  set extraSize(value: number) {
    if (this.size > OLD_INODE_SIZE) this.#setU16(AT.extraSize, value);
  }

  /** The 60 bytes for the block map's root. */
  get root(): number {
    return this.at + AT.block;
  }

  /** The device number of a device file, packed as Linux does. */
  get rdev(): number {
    return this.#u32(AT.block) || this.#u32(AT.block + 4);
  }

  /** Sets the times named to now; `birth` only for a new inode. */
  stamp(nowMs: number, which: { modified?: boolean; born?: boolean } = {}): void {
    const seconds = Math.floor(nowMs / 1000);
    const nanoseconds = Math.min(999_999_999, Math.floor((nowMs - seconds * 1000) * 1e6));
    this.#setTime(AT.ctime, AT.ctimeExtra, seconds, nanoseconds);
    if (which.modified === true || which.born === true) {
      this.#setTime(AT.mtime, AT.mtimeExtra, seconds, nanoseconds);
    }
    if (which.born === true) {
      this.#setTime(AT.atime, AT.atimeExtra, seconds, nanoseconds);
      if (this.#keeps(AT.birthtimeExtra)) {
        this.#setTime(AT.birthtime, AT.birthtimeExtra, seconds, nanoseconds);
      }
    }
  }

  /** Makes these changes, of which the size is none, and stamps the change. After `edit`. */
  change(changes: Omit<AttributeChanges, 'size'>, nowMs: number): void {
    const { mode, uid, gid, atime, mtime } = changes;
    if (mode !== undefined) this.mode = this.typeBits | (mode & 0o7777);
    if (uid !== undefined) this.uid = uid;
    if (gid !== undefined) this.gid = gid;
    this.stamp(nowMs);
    if (atime !== undefined) this.#setBigTime(AT.atime, AT.atimeExtra, atime);
    if (mtime !== undefined) this.#setBigTime(AT.mtime, AT.mtimeExtra, mtime);
  }

  attributes(): Attributes {
    const type = this.type as FileType;
    const hasDevice = type === 'character-device' || type === 'block-device';
    return new InodeAttributes(this, type, hasDevice ? this.rdev : 0);
  }

  /** Where the record's fields end: some were added beyond its first 128 bytes. */
  get fieldsEnd(): number {
    return OLD_INODE_SIZE + this.extraSize;
  }

  #keeps(field: number): boolean {
    return field + 4 <= this.fieldsEnd;
  }

  #setBigTime(field: number, extraField: number, time: bigint): void {
    let seconds = time / 1_000_000_000n;
    let rest = time % 1_000_000_000n;
    if (rest < 0n) {
      rest += 1_000_000_000n;
      seconds -= 1n;
    }
    this.#setTime(field, extraField, Number(seconds), Number(rest));
  }

  #setTime(field: number, extraField: number, seconds: number, nanoseconds: number): void {
    const low = seconds | 0;
    this.#view.setInt32(this.at + field, low, true);
    if (!this.#keeps(extraField)) return;
    const epoch = Math.round((seconds - low) / 2 ** 32) & 3;
    this.#setU32(extraField, nanoseconds * 4 + epoch);
  }

  #u16(field: number): number {
    return this.#view.getUint16(this.at + field, true);
  }

  #u32(field: number): number {
    return this.#view.getUint32(this.at + field, true);
  }

  #setU16(field: number, value: number): void {
    this.#view.setUint16(this.at + field, value, true);
  }

  #setU32(field: number, value: number): void {
    this.#view.setUint32(this.at + field, value, true);
  }
}
