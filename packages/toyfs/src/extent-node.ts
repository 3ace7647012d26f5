/**
 * ExtentNode: one node of an extent tree where it lies, in an inode or in a block of its own: a head,
 * and entries in order of the file's blocks. The tree is in extent-tree.ts.
 */
import type { Block } from './block-cache.js';
import {
  DEPTH_MAX,
  EXTENT,
  EXTENT_HEAD,
  EXTENT_INDEX,
  EXTENT_MAGIC,
  EXTENT_MAX,
} from './disk/extent-record.js';
import { FsError } from './errors.js';

const HEAD = EXTENT_HEAD.at;
const ENTRY = 12;

/** A leaf's entry. */
export interface Extent {
  /** First block of the file. */
  readonly logical: number;
  readonly count: number;
  /** First block on the device. */
  readonly start: number;
  /** Set aside, and not written: reads as zeros. */
  readonly unwritten: boolean;
}

/** See the head of the file. */
export class ExtentNode {
  readonly block: Block;
  readonly #view: DataView;
  readonly #at: number;

  /** The node at `at` of `block`. @throws {FsError} EIO when there is none */
  constructor(block: Block, at: number, capacity: number) {
    this.block = block;
    this.#view = block.view;
    this.#at = at;
    const sane =
      this.#u16(HEAD.magic) === EXTENT_MAGIC &&
      this.entries <= this.max &&
      this.max <= capacity &&
      this.depth <= DEPTH_MAX;
    if (!sane) throw new FsError('EIO', `block ${block.number} has a damaged extent node at ${at}`);
  }

  /** Writes an empty node. The caller has told the core. */
  static write(block: Block, at: number, max: number, depth: number): void {
    block.view.setUint16(at + HEAD.magic, EXTENT_MAGIC, true);
    block.view.setUint16(at + HEAD.entries, 0, true);
    block.view.setUint16(at + HEAD.max, max, true);
    block.view.setUint16(at + HEAD.depth, depth, true);
    block.view.setUint32(at + HEAD.generation, 0, true);
  }

  get entries(): number {
    return this.#u16(HEAD.entries);
  }
  set entries(value: number) {
    this.#view.setUint16(this.#at + HEAD.entries, value, true);
  }

  get max(): number {
    return this.#u16(HEAD.max);
  }

  get depth(): number {
    return this.#u16(HEAD.depth);
  }
  set depth(value: number) {
    this.#view.setUint16(this.#at + HEAD.depth, value, true);
  }

  get isFull(): boolean {
    return this.entries >= this.max;
  }

  /** The first block of the file that entry `index` is about. */
  key(index: number): number {
    return this.#view.getUint32(this.#entry(index), true);
  }

  setKey(index: number, logical: number): void {
    this.#view.setUint32(this.#entry(index), logical, true);
  }

  /** The node that entry `index` of an inner node leads to. */
  child(index: number): number {
    const at = this.#entry(index);
    return (
      this.#view.getUint32(at + EXTENT_INDEX.at.childLow, true) +
      this.#view.getUint16(at + EXTENT_INDEX.at.childHigh, true) * 2 ** 32
    );
  }

  setIndex(index: number, logical: number, child: number): void {
    const at = this.#entry(index);
    this.#view.setUint32(at, logical, true);
    this.#view.setUint32(at + EXTENT_INDEX.at.childLow, child % 2 ** 32, true);
    this.#view.setUint16(at + EXTENT_INDEX.at.childHigh, Math.floor(child / 2 ** 32), true);
    this.#view.setUint16(at + EXTENT_INDEX.at.unused, 0, true);
  }

  extent(index: number): Extent {
    const at = this.#entry(index);
    const length = this.#view.getUint16(at + EXTENT.at.length, true);
    const unwritten = length > EXTENT_MAX;
    return {
      logical: this.#view.getUint32(at, true),
      count: unwritten ? length - EXTENT_MAX : length,
      start:
        this.#view.getUint32(at + EXTENT.at.startLow, true) +
        this.#view.getUint16(at + EXTENT.at.startHigh, true) * 2 ** 32,
      unwritten,
    };
  }

  setExtent(index: number, { logical, count, start, unwritten }: Extent): void {
    const at = this.#entry(index);
    this.#view.setUint32(at, logical, true);
    this.#view.setUint16(at + EXTENT.at.length, unwritten ? count + EXTENT_MAX : count, true);
    this.#view.setUint16(at + EXTENT.at.startHigh, Math.floor(start / 2 ** 32), true);
    this.#view.setUint32(at + EXTENT.at.startLow, start % 2 ** 32, true);
  }

  /** The last entry that begins at or before `logical`; -1: none does. */
  find(logical: number): number {
    let low = 0;
    let high = this.entries;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.key(middle) <= logical) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** Makes room for an entry at `index`. */
  open(index: number): void {
    this.#shift(index, index + 1);
    this.entries++;
  }

  /** Takes out entry `index`. */
  remove(index: number): void {
    this.#shift(index + 1, index);
    this.entries--;
  }

  /** Copies entries from `from` on to the end of `other`, and leaves them out here. */
  moveTo(other: ExtentNode, from: number): void {
    const count = this.entries - from;
    const bytes = this.block.bytes.subarray(this.#entry(from), this.#entry(this.entries));
    other.block.bytes.set(bytes, other.#entry(other.entries));
    other.entries += count;
    this.entries = from;
  }

  #shift(from: number, to: number): void {
    if (from === this.entries) return;
    this.block.bytes.copyWithin(this.#entry(to), this.#entry(from), this.#entry(this.entries));
  }

  #entry(index: number): number {
    return this.#at + EXTENT_HEAD.size + index * ENTRY;
  }

  #u16(field: number): number {
    return this.#view.getUint16(this.#at + field, true);
  }
}
