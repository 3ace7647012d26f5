/**
 * IndirectMap: the block map of ext2 and ext3: 12 block numbers in the inode, then one block of
 * numbers, one of blocks of numbers, and one level more. Read, and given back when the file goes; new
 * maps are extents.
 */
import type { Core } from './core.js';
import type { Inode } from './inode.js';

/** Block numbers in the inode itself. */
export const DIRECT_SLOTS = 12;

/** A run of a file's blocks that lie together, or a hole. */
export interface MappedRun {
  /** 0: a hole. */
  readonly start: number;
  readonly count: number;
}

/** See the head of the file. */
export class IndirectMap {
  readonly #core: Core;
  readonly #inode: Inode;
  readonly #perBlock: number;

  constructor(core: Core, inode: Inode) {
    this.#core = core;
    this.#inode = inode;
    this.#perBlock = core.cache.blockSize / 4;
  }

  /** Blocks that the map can address. */
  get limit(): number {
    const n = this.#perBlock;
    return DIRECT_SLOTS + n + n * n + n * n * n;
  }

  /** The run at `logical`, up to `limit` blocks. */
  run(logical: number, limit: number): MappedRun {
    const start = this.#lookup(logical);
    let count = 1;
    while (count < limit && logical + count < this.limit) {
      const next = this.#lookup(logical + count);
      if (next !== (start === 0 ? 0 : start + count)) break;
      count++;
    }
    return { start, count };
  }

  /** Every block of the file and of the map, each told once. */
  blocks(visit: (block: number) => void): void {
    const walk = (number: number, level: number): void => {
      if (number === 0) return;
      if (level > 0) {
        const { view } = this.#core.cache.get(number);
        for (let i = 0; i < this.#perBlock; i++) walk(view.getUint32(i * 4, true), level - 1);
      }
      visit(number);
    };
    for (let i = 0; i < DIRECT_SLOTS; i++) walk(this.#slot(i), 0);
    for (let level = 1; level <= 3; level++) walk(this.#slot(DIRECT_SLOTS + level - 1), level);
  }

  #slot(index: number): number {
    return this.#inode.view.getUint32(this.#inode.root + index * 4, true);
  }

  #lookup(logical: number): number {
    if (logical < DIRECT_SLOTS) return this.#slot(logical);
    let rest = logical - DIRECT_SLOTS;
    for (let level = 1, span = this.#perBlock; level <= 3; level++, span *= this.#perBlock) {
      if (rest < span) return this.#walk(this.#slot(DIRECT_SLOTS + level - 1), level, rest);
      rest -= span;
    }
    return 0;
  }

  #walk(number: number, level: number, rest: number): number {
    let block = number;
    let span = this.#perBlock ** (level - 1);
    let at = rest;
    for (let depth = level; depth > 0 && block !== 0; depth--) {
      block = this.#core.cache.get(block).view.getUint32(Math.floor(at / span) * 4, true);
      at %= span;
      span /= this.#perBlock;
    }
    return block;
  }
}
