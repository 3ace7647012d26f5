/**
 * InodeTableSeal: the checksums of the inodes in one block of an inode table. Each inode has its own,
 * so damage of one does not keep the others from being read.
 */
import type { Block } from '../block-cache.js';
import { crc32c } from '../crc32c.js';
import { INODE } from '../disk/inode-record.js';
import { inodeSeed } from '../inode-seed.js';
import type { Seal } from './seal.js';

const AT = INODE.at;
/** Bytes of extra fields from which on an inode keeps the high half of its sum. */
const HIGH_FROM = 4;

/** See the head of the file. */
export class InodeTableSeal implements Seal {
  readonly #seed: number;
  readonly #firstIno: number;
  readonly #size: number;
  readonly #used: number;
  /** Inodes of the block that are not to be believed, and why (L3). */
  readonly unfit: Map<number, 'damaged' | 'unused'> = new Map<number, 'damaged' | 'unused'>();

  /** `used`: how many of the block's inodes were ever used; what lies behind them means nothing. */
  constructor(seed: number, firstIno: number, size: number, used: number) {
    this.#seed = seed;
    this.#firstIno = firstIno;
    this.#size = size;
    this.#used = used;
  }

  /** Always: what does not fit is remembered by inode. */
  fits(block: Block): boolean {
    for (let index = 0; index * this.#size < block.bytes.length; index++) {
      const ino = this.#firstIno + index;
      if (index >= this.#used) this.unfit.set(ino, 'unused');
      else if (!this.#isFit(block, index)) this.unfit.set(ino, 'damaged');
    }
    return true;
  }

  write(block: Block): void {
    for (let index = 0; index * this.#size < block.bytes.length; index++) {
      const at = index * this.#size;
      if (this.unfit.has(this.#firstIno + index) || isZero(block, at, this.#size)) continue;
      const sum = this.#sum(block, index);
      block.view.setUint16(at + AT.checksumLow, sum & 0xffff, true);
      if (hasHigh(block, at, this.#size)) {
        block.view.setUint16(at + AT.checksumHigh, sum >>> 16, true);
      }
    }
  }

  #isFit(block: Block, index: number): boolean {
    const at = index * this.#size;
    const sum = this.#sum(block, index);
    const low = block.view.getUint16(at + AT.checksumLow, true) === (sum & 0xffff);
    const isHighRight =
      !hasHigh(block, at, this.#size) ||
      block.view.getUint16(at + AT.checksumHigh, true) === sum >>> 16;
    return (low && isHighRight) || isZero(block, at, this.#size);
  }

  /** Over the record with zeros in place of the sum. */
  #sum({ bytes, view }: Block, index: number): number {
    const at = index * this.#size;
    const generation = view.getUint32(at + AT.generation, true);
    let sum = inodeSeed(this.#seed, this.#firstIno + index, generation);
    let done = at;
    const skip = (field: number): void => {
      sum = crc32c(bytes, sum, done, at + field);
      sum = crc32c(ZEROS, sum);
      done = at + field + ZEROS.length;
    };
    skip(AT.checksumLow);
    if (hasHigh({ view }, at, this.#size)) skip(AT.checksumHigh);
    return crc32c(bytes, sum, done, at + this.#size);
  }
}

const ZEROS = new Uint8Array(2);

function hasHigh({ view }: Pick<Block, 'view'>, at: number, size: number): boolean {
  return size > 128 && view.getUint16(at + AT.extraSize, true) >= HIGH_FROM;
}

function isZero({ view }: Block, at: number, size: number): boolean {
  for (let i = at; i < at + size; i += 4) if (view.getUint32(i, true) !== 0) return false;
  return true;
}
