/**
 * The checksums of group descriptors, and of the bitmaps, which the descriptors hold.
 */
import type { Block } from '../block-cache.js';
import { crc32c, crc32cOfU32 } from '../crc32c.js';
import { GROUP_DESCRIPTOR } from '../disk/group-descriptor.js';
import type { Geometry } from '../geometry.js';
import type { Seal } from './seal.js';

const AT = GROUP_DESCRIPTOR.at;

/** Of one block of the descriptor table. */
export class DescriptorSeal implements Seal {
  readonly isLast = true;
  readonly #seed: number;
  readonly #size: number;
  readonly #first: number;
  readonly #count: number;

  /** `first` is the group of the block's first descriptor, `count` how many there are. */
  constructor(seed: number, size: number, first: number, count: number) {
    this.#seed = seed;
    this.#size = size;
    this.#first = first;
    this.#count = count;
  }

  fits(block: Block): boolean {
    for (let i = 0; i < this.#count; i++) {
      const at = i * this.#size;
      if (block.view.getUint16(at + AT.checksum, true) !== this.#sum(block, i)) return false;
    }
    return true;
  }

  write(block: Block): void {
    for (let i = 0; i < this.#count; i++) {
      block.view.setUint16(i * this.#size + AT.checksum, this.#sum(block, i), true);
    }
  }

  /** Over the group's number and the descriptor with zeros in place of the sum: 16 bits of it. */
  #sum({ bytes }: Block, i: number): number {
    const at = i * this.#size;
    let sum = crc32cOfU32(this.#first + i, this.#seed);
    sum = crc32c(bytes, sum, at, at + AT.checksum);
    sum = crc32c(ZEROS, sum);
    return crc32c(bytes, sum, at + AT.checksum + ZEROS.length, at + this.#size) & 0xffff;
  }
}

const ZEROS = new Uint8Array(2);

/** Of one bitmap: the sum is in the group's descriptor, at `at` of `holder`. */
export class BitmapSeal implements Seal {
  readonly #seed: number;
  readonly #holder: Block;
  readonly #low: number;
  readonly #high: number | undefined;
  /** Bytes of the bitmap that count. */
  readonly #length: number;

  constructor(
    seed: number,
    geometry: Geometry,
    which: 'blockBitmap' | 'inodeBitmap',
    holder: Block,
    at: number,
  ) {
    const { blocksPerGroup, inodesPerGroup, descriptorSize } = geometry;
    this.#seed = seed;
    this.#holder = holder;
    this.#low = at + AT[`${which}ChecksumLow`];
    this.#high = descriptorSize >= 64 ? at + AT[`${which}ChecksumHigh`] : undefined;
    this.#length = (which === 'blockBitmap' ? blocksPerGroup : inodesPerGroup) / 8;
  }

  fits({ bytes }: Block): boolean {
    const sum = crc32c(bytes, this.#seed, 0, this.#length);
    const { view } = this.#holder;
    return (
      view.getUint16(this.#low, true) === (sum & 0xffff) &&
      (this.#high === undefined || view.getUint16(this.#high, true) === sum >>> 16)
    );
  }

  /** The descriptor's block is of the same transaction: its counts changed with the bitmap. */
  write({ bytes }: Block): void {
    const sum = crc32c(bytes, this.#seed, 0, this.#length);
    const { view } = this.#holder;
    view.setUint16(this.#low, sum & 0xffff, true);
    if (this.#high !== undefined) view.setUint16(this.#high, sum >>> 16, true);
  }
}
