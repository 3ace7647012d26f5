/**
 * Allocator: which blocks and which inodes are free. Each group has a bitmap of both; changes go to
 * the bitmap and the group's counts in the same operation.
 *
 *   A1  A block that was freed is passed over until the transaction that freed it is durable: a mask
 *       beside the bitmap hides it.
 *   A2  What lies together is asked for together: near a goal, in runs, and where the last search
 *       ended, so that searching does not begin at the front each time.
 */
import { clearRun, findClear, isSet, setBits } from './bitmap.js';
import type { Core } from './core.js';
import { FsError } from './errors.js';
import { type Geometry, groupBlocks, groupStart } from './geometry.js';
import type { GroupBitmaps } from './group-bitmaps.js';
import type { Groups } from './groups.js';
import type { Run } from './transaction.js';

/** See the head of the file. */
export class Allocator {
  readonly #core: Core;
  readonly #geometry: Geometry;
  readonly #groups: Groups;
  readonly #bitmaps: GroupBitmaps;
  /** Freed and not durable yet, by group (A1). */
  readonly #hidden = new Map<number, Uint8Array>();
  /** What the operation under way has freed. */
  #freedNow: Run[] = [];
  /** Where the next search in a group begins (A2). */
  readonly #nextBlock: Int32Array;
  readonly #nextInode: Int32Array;
  #freeBlocks: number;
  #freeInodes: number;
  /** The two numbers as the last good operation left them. */
  #settled: readonly [blocks: number, inodes: number];

  constructor(core: Core, geometry: Geometry, groups: Groups, bitmaps: GroupBitmaps) {
    this.#core = core;
    this.#geometry = geometry;
    this.#groups = groups;
    this.#bitmaps = bitmaps;
    this.#nextBlock = new Int32Array(geometry.groups);
    this.#nextInode = new Int32Array(geometry.groups);
    this.#freeBlocks = groups.total('freeBlocks');
    this.#freeInodes = groups.total('freeInodes');
    this.#settled = [this.#freeBlocks, this.#freeInodes];
  }

  get freeBlocks(): number {
    return this.#freeBlocks;
  }

  get freeInodes(): number {
    return this.#freeInodes;
  }

  /** The group that a block lies in. */
  groupOf(block: number): number {
    return Math.floor((block - this.#geometry.firstDataBlock) / this.#geometry.blocksPerGroup);
  }

  /** The group that an inode lies in. */
  groupOfInode(ino: number): number {
    return Math.floor((ino - 1) / this.#geometry.inodesPerGroup);
  }

  /** A block to begin searching at for an inode that has no blocks yet. */
  goalOf(ino: number): number {
    return groupStart(this.#geometry, this.groupOfInode(ino));
  }

  /**
   * Takes up to `want` blocks in one run, at `goal` if it is free, else near it.
   * @throws {FsError} ENOSPC
   */
  takeBlocks(goal: number, want: number): Run {
    const { groups } = this.#geometry;
    const home = Math.min(Math.max(this.groupOf(goal), 0), groups - 1);
    for (let step = 0; step < groups; step++) {
      const group = (home + step) % groups;
      if (this.#groups.get(group, 'freeBlocks') === 0) continue;
      const run = this.#takeIn(
        group,
        step === 0 ? goal - groupStart(this.#geometry, group) : -1,
        want,
      );
      if (run !== undefined) return run;
    }
    throw new FsError('ENOSPC', 'no block is free');
  }

  /** Gives blocks back (A1). @throws {FsError} EIO when they are outside, or free already */
  giveBlocks(run: Run): void {
    let { start, count } = run;
    this.#core.cache.assertInside(start);
    this.#core.cache.assertInside(start + count - 1);
    while (count > 0) {
      const group = this.groupOf(start);
      const bit = start - groupStart(this.#geometry, group);
      const here = Math.min(count, groupBlocks(this.#geometry, group) - bit);
      const block = this.#bitmaps.get(group, 'blockBitmap');
      for (let i = 0; i < here; i++) {
        if (!isSet(block.bytes, bit + i)) {
          throw new FsError('EIO', `block ${start + i} is freed and was free already`);
        }
      }
      this.#core.touch(block);
      setBits(block.bytes, bit, here, false);
      this.#groups.add(group, 'freeBlocks', here);
      setBits(this.#mask(group), bit, here, true);
      const freed = { start, count: here };
      this.#freedNow.push(freed);
      this.#core.free(freed);
      this.#freeBlocks += here;
      start += here;
      count -= here;
    }
  }

  /** Takes an inode, for a directory in a group with room, else near its parent. @throws {FsError} ENOSPC */
  takeInode(parentIno: number, isDirectory: boolean): number {
    const { groups, inodesPerGroup, firstInode } = this.#geometry;
    const home = this.#groupForInode(parentIno, isDirectory);
    for (let step = 0; step < groups; step++) {
      const group = (home + step) % groups;
      if (this.#groups.get(group, 'freeInodes') === 0) continue;
      const block = this.#bitmaps.get(group, 'inodeBitmap');
      const first = group === 0 ? firstInode - 1 : 0;
      const from = Math.max(first, this.#nextInode[group] as number);
      let bit = findClear(block.bytes, undefined, from, inodesPerGroup);
      if (bit < 0) bit = findClear(block.bytes, undefined, first, from);
      if (bit < 0) continue;
      this.#core.touch(block);
      setBits(block.bytes, bit, 1, true);
      this.#groups.add(group, 'freeInodes', -1);
      if (isDirectory) this.#groups.add(group, 'directories', 1);
      this.#bitmaps.useInode(group, bit);
      this.#freeInodes--;
      this.#nextInode[group] = bit + 1;
      return group * inodesPerGroup + bit + 1;
    }
    throw new FsError('ENOSPC', 'no inode is free');
  }

  /** Gives an inode back. @throws {FsError} EIO when it is free already */
  giveInode(ino: number, isDirectory: boolean): void {
    const group = this.groupOfInode(ino);
    const bit = (ino - 1) % this.#geometry.inodesPerGroup;
    const block = this.#bitmaps.get(group, 'inodeBitmap');
    if (!isSet(block.bytes, bit)) throw new FsError('EIO', `inode ${ino} is freed and was free`);
    this.#core.touch(block);
    setBits(block.bytes, bit, 1, false);
    this.#groups.add(group, 'freeInodes', 1);
    if (isDirectory) this.#groups.add(group, 'directories', -1);
    this.#freeInodes++;
    this.#nextInode[group] = Math.min(this.#nextInode[group] as number, bit);
  }

  /** The operation under way was good. */
  settle(): void {
    if (this.#freedNow.length > 0) this.#freedNow = [];
    if (this.#settled[0] !== this.#freeBlocks || this.#settled[1] !== this.#freeInodes) {
      this.#settled = [this.#freeBlocks, this.#freeInodes];
    }
  }

  /** The operation under way is undone; the bitmaps are as they were already. */
  undo(): void {
    for (const run of this.#freedNow) this.#unhide(run);
    this.#freedNow = [];
    [this.#freeBlocks, this.#freeInodes] = this.#settled;
  }

  /** The transaction that freed these is durable (A1). */
  release(runs: readonly Run[]): void {
    for (const { start, count } of runs) {
      for (let at = start; at < start + count; ) {
        const end = groupStart(this.#geometry, this.groupOf(at) + 1);
        const here = Math.min(start + count, end) - at;
        this.#unhide({ start: at, count: here });
        at += here;
      }
    }
  }

  #takeIn(group: number, goal: number, want: number): Run | undefined {
    const start = groupStart(this.#geometry, group);
    const limit = groupBlocks(this.#geometry, group);
    const block = this.#bitmaps.get(group, 'blockBitmap');
    const hidden = this.#hidden.get(group);
    const next = this.#nextBlock[group] as number;
    let bit = goal > 0 ? findClear(block.bytes, hidden, goal, Math.min(goal + 1, limit)) : -1;
    if (bit < 0) bit = findClear(block.bytes, hidden, next, limit);
    if (bit < 0) bit = findClear(block.bytes, hidden, 0, Math.min(next, limit));
    if (bit < 0) return undefined;
    const count = clearRun(block.bytes, hidden, bit, Math.min(bit + want, limit));
    this.#core.touch(block);
    setBits(block.bytes, bit, count, true);
    this.#groups.add(group, 'freeBlocks', -count);
    this.#freeBlocks -= count;
    this.#nextBlock[group] = bit + count;
    return { start: start + bit, count };
  }

  /** Where a new inode goes: to its parent, but a directory elsewhere when it is crowded there. */
  #groupForInode(parentIno: number, isDirectory: boolean): number {
    const near = this.groupOfInode(parentIno);
    const average = this.#freeInodes / this.#geometry.groups;
    if (!isDirectory || this.#groups.get(near, 'freeInodes') * 2 >= average) return near;
    let best = near;
    let most = 0;
    for (let group = 0; group < this.#geometry.groups; group++) {
      const free = this.#groups.get(group, 'freeInodes');
      if (free > most) {
        best = group;
        most = free;
      }
    }
    return best;
  }

  #mask(group: number): Uint8Array {
    let mask = this.#hidden.get(group);
    if (mask === undefined) {
      mask = new Uint8Array(this.#geometry.blockSize);
      this.#hidden.set(group, mask);
    }
    return mask;
  }

  #unhide({ start, count }: Run): void {
    const group = this.groupOf(start);
    const mask = this.#hidden.get(group);
    if (mask === undefined) return;
    const bit = start - groupStart(this.#geometry, group);
    setBits(mask, bit, count, false);
    this.#nextBlock[group] = Math.min(this.#nextBlock[group] as number, bit);
  }
}
