/**
 * The checksums of extent nodes, xattr blocks and the superblock: each at a place of its own, over
 * what lies before it, or over the whole with zeros in its place.
 */
import type { Block } from '../block-cache.js';
import { CRC_START, crc32c, crc32cOfU32 } from '../crc32c.js';
import { EXTENT_HEAD } from '../disk/extent-record.js';
import { SUPERBLOCK } from '../disk/superblock.js';
import { XATTR_HEAD } from '../disk/xattr-record.js';
import type { Seal } from './seal.js';

/** Of the extent nodes of one inode. The sum lies behind the last entry that would fit. */
export class ExtentSeal implements Seal {
  readonly #seed: number;

  /** `seed` is the inode's. */
  constructor(seed: number) {
    this.#seed = seed;
  }

  fits(block: Block): boolean {
    const at = sumOffset(block);
    if (at + 4 > block.bytes.length) return false;
    return block.view.getUint32(at, true) === crc32c(block.bytes, this.#seed, 0, at);
  }

  write(block: Block): void {
    const at = sumOffset(block);
    block.view.setUint32(at, crc32c(block.bytes, this.#seed, 0, at), true);
  }
}

function sumOffset({ view }: Block): number {
  return EXTENT_HEAD.size + 12 * view.getUint16(EXTENT_HEAD.at.max, true);
}

/** Of xattr blocks, which inodes may share: the block's number goes in, not an inode's. */
export class XattrSeal implements Seal {
  readonly #seed: number;

  /** `seed` is the image's. */
  constructor(seed: number) {
    this.#seed = seed;
  }

  fits(block: Block): boolean {
    return block.view.getUint32(XATTR_HEAD.at.checksum, true) === this.#sum(block);
  }

  write(block: Block): void {
    block.view.setUint32(XATTR_HEAD.at.checksum, this.#sum(block), true);
  }

  #sum({ number, bytes }: Block): number {
    const at = XATTR_HEAD.at.checksum;
    const ofNumber = crc32cOfU32(
      Math.floor(number / 2 ** 32),
      crc32cOfU32(number % 2 ** 32, this.#seed),
    );
    const head = crc32cOfU32(0, crc32c(bytes, ofNumber, 0, at));
    return crc32c(bytes, head, at + 4);
  }
}

/** Of the superblock at `at` of its block. */
export class SuperblockSeal implements Seal {
  readonly #at: number;

  constructor(at: number) {
    this.#at = at;
  }

  fits({ bytes, view }: Pick<Block, 'bytes' | 'view'>): boolean {
    return view.getUint32(this.#at + SUPERBLOCK.at.checksum, true) === this.#sum(bytes);
  }

  write({ bytes, view }: Pick<Block, 'bytes' | 'view'>): void {
    view.setUint32(this.#at + SUPERBLOCK.at.checksum, this.#sum(bytes), true);
  }

  #sum(bytes: Uint8Array): number {
    return crc32c(bytes, CRC_START, this.#at, this.#at + SUPERBLOCK.at.checksum);
  }
}
