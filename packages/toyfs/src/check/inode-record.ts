/**
 * InodeRecord: an inode's record as it lies in its table, read field by field. `Inode` is what the
 * file system reads and changes; this is what a check doubts.
 */
import { viewOf } from '@palimpsest/bytes';
import {
  FLAG_EXTENTS,
  FLAG_HUGE_FILE,
  FLAG_INLINE_DATA,
  INODE,
  TYPE_DIRECTORY,
  TYPE_FILE,
  TYPE_MASK,
  TYPE_SYMLINK,
} from '../disk/inode-record.js';
import { RO_HUGE_FILE } from '../features.js';
import { OLD_INODE_SIZE } from '../inode.js';
import type { Checking, GroupFacts, SuperFields } from './checking.js';

const AT = INODE.at;

/** The content is the value of an xattr of another inode. */
export const FLAG_VALUE = 0x20_0000;
/** The file is sealed by a tree of hashes behind its end. */
export const FLAG_VERITY = 0x10_0000;

/** Bytes of the block map's root. */
export const ROOT_BYTES = 60;

/** See the head of the file. */
export class InodeRecord {
  readonly ino: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;

  constructor(ino: number, bytes: Uint8Array) {
    this.ino = ino;
    this.bytes = bytes;
    this.view = viewOf(bytes);
  }

  get isZero(): boolean {
    return this.bytes.every((byte) => byte === 0);
  }

  get mode(): number {
    return this.u16(AT.mode);
  }

  get typeBits(): number {
    return this.mode & TYPE_MASK;
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
    return this.u16(AT.links);
  }

  get dtime(): number {
    return this.u32(AT.dtime);
  }

  get size(): number {
    return this.u32(AT.sizeLow) + this.u32(AT.sizeHigh) * 2 ** 32;
  }

  get generation(): number {
    return this.u32(AT.generation);
  }

  get hasExtents(): boolean {
    return this.hasFlag(FLAG_EXTENTS);
  }

  get hasInlineData(): boolean {
    return this.hasFlag(FLAG_INLINE_DATA);
  }

  get xattrBlock(): number {
    return this.u32(AT.xattrBlockLow) + this.u16(AT.xattrBlockHigh) * 2 ** 32;
  }

  /** Bytes beyond 128 that hold fields. */
  get extraSize(): number {
    return this.bytes.length > OLD_INODE_SIZE ? this.u16(AT.extraSize) : 0;
  }

  /** The 60 bytes that hold a block map's root, a short target or a device number. */
  get root(): Uint8Array {
    return this.bytes.subarray(AT.block, AT.block + ROOT_BYTES);
  }

  /** Slot `index` of the root: a block number, where there are no extents. */
  slot(index: number): number {
    return this.u32(AT.block + index * 4);
  }

  /** Whether this is a symbolic link whose target lies where the block map would. */
  get isShortSymlink(): boolean {
    return this.isSymlink && this.size > 0 && this.size < ROOT_BYTES;
  }

  /** Whether the root is that of a block map. */
  get hasMap(): boolean {
    if (this.hasInlineData || this.isShortSymlink) return false;
    return this.isDirectory || this.isFile || this.isSymlink;
  }

  hasFlag(flag: number): boolean {
    return (this.u32(AT.flags) & flag) !== 0;
  }

  /** Its count of blocks, in units of 512 bytes or of blocks: `unitsPerBlock` tells. */
  countedUnits({ readOnlyCompatible }: SuperFields): number {
    const isWide = (readOnlyCompatible & RO_HUGE_FILE) !== 0;
    return this.u32(AT.blocksLow) + (isWide ? this.u16(AT.blocksHigh) * 2 ** 32 : 0);
  }

  /** Units of its count that a block of `blockSize` bytes is. */
  unitsPerBlock({ readOnlyCompatible }: SuperFields, blockSize: number): number {
    const isHuge = (readOnlyCompatible & RO_HUGE_FILE) !== 0 && this.hasFlag(FLAG_HUGE_FILE);
    return isHuge ? 1 : blockSize / 512;
  }

  u16(field: number): number {
    return this.view.getUint16(field, true);
  }

  u32(field: number): number {
    return this.view.getUint32(field, true);
  }
}

/** Reads one inode's record. */
export async function readInode(
  { geometry, source, groups }: Pick<Checking, 'geometry' | 'source' | 'groups'>,
  ino: number,
): Promise<InodeRecord> {
  const { inodesPerGroup, inodeSize, blockSize } = geometry;
  const { inodeTable } = groups[Math.floor((ino - 1) / inodesPerGroup)] as GroupFacts;
  const at = ((ino - 1) % inodesPerGroup) * inodeSize;
  const { bytes } = await source.read(inodeTable + Math.floor(at / blockSize));
  return new InodeRecord(ino, bytes.subarray(at % blockSize, (at % blockSize) + inodeSize));
}
