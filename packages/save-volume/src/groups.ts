/**
 * Groups: the allocation groups of a save volume: where each lies, what is in use in it, and where its
 * free runs are. The allocator hands blocks out of them.
 */
import { type BlockDevice, invariant, StorageError } from '@palimpsest/block-device';
import type { BitMap } from '@palimpsest/bytes';
import { BitMaps } from './bit-maps.js';
import { GROUP_HEADER } from './format.js';
import { FRESH, type Group, SLOTS } from './group-list.js';

/** Some blocks in a row. */
export interface BlockRun {
  readonly address: number;
  readonly count: number;
}

/** One group, for audits. */
export interface GroupState {
  readonly map: BitMap;
  /** Blocks in use, as the group list has them. */
  readonly used: number;
  /** Blocks that there are. */
  readonly limit: number;
}

/** See the file header. */
export class Groups {
  /** Address of the first group. */
  readonly dataStart: number;
  /** As many blocks as a bit map's block has bits. */
  readonly groupBlocks: number;
  readonly list: Group[] = [];
  readonly maps: BitMaps;
  /** Blocks of the whole save volume. */
  totalBlocks: number;

  constructor(device: BlockDevice, blockSize: number, dataStart: number) {
    this.dataStart = dataStart;
    this.totalBlocks = dataStart;
    this.groupBlocks = (blockSize - GROUP_HEADER.size) * 8;
    const startOf = (group: number): number => this.startOf(group);
    this.maps = new BitMaps({ device, blockSize, startOf, groups: this.list });
  }

  /** True when all of the group's blocks are free, as the group list alone tells. */
  isUntouched(group: number): boolean {
    const { slot, used } = this.stateOf(group);
    return slot === FRESH && used === SLOTS && this.maps.get(group) === undefined;
  }

  /**
   * A group's bit map and what the group list says of it; for audits.
   * @throws {StorageError} ERR_CORRUPT when it is damaged.
   */
  async inspect(group: number): Promise<GroupState> {
    const { map } = await this.maps.load(group);
    this.maps.evict();
    return { map, used: this.stateOf(group).used, limit: this.limitOf(group) };
  }

  /**
   * The next group to look through for free runs: one that had at least `least` blocks given back
   * since it was trimmed. With `least` 0, any after `from` whose bit map was ever written.
   */
  nextToTrim(least: number, from: number): number | undefined {
    for (let group = from; group < this.list.length; group += 1) {
      const { freed, slot } = this.stateOf(group);
      if (least > 0 ? freed >= least : slot !== FRESH || this.maps.get(group) !== undefined)
        return group;
    }
    return undefined;
  }

  /** Every run of at least `least` free blocks in a group, which counts as trimmed then. */
  async freeRuns(group: number, least: number): Promise<BlockRun[]> {
    const { map } = await this.maps.load(group);
    const state = this.stateOf(group);
    state.freed = 0;
    const runs: BlockRun[] = [];
    const limit = this.limitOf(group);
    for (let from = 0; ; ) {
      const first = map.nextClear(from, limit);
      if (first < 0) break;
      from = map.nextSet(first, limit);
      if (from - first >= least)
        runs.push({ address: this.startOf(group) + first, count: from - first });
    }
    this.maps.evict();
    return runs;
  }

  /** The address after the last block in use. */
  async end(): Promise<number> {
    for (let group = this.list.length - 1; group >= 0; group -= 1) {
      if (this.stateOf(group).used === SLOTS) continue;
      const { map } = await this.maps.load(group);
      const last = map.lastSet(this.limitOf(group));
      this.maps.evict();
      return this.startOf(group) + last + 1;
    }
    return this.dataStart;
  }

  groupOf(address: number): number {
    if (!(address >= this.dataStart && address < this.totalBlocks)) {
      throw new StorageError('ERR_CORRUPT', `block ${address} is outside the save volume's data`);
    }
    return Math.floor((address - this.dataStart) / this.groupBlocks);
  }

  indexOf(address: number): number {
    return (address - this.dataStart) % this.groupBlocks;
  }

  startOf(group: number): number {
    return this.dataStart + group * this.groupBlocks;
  }

  limitOf(group: number): number {
    return Math.min(this.groupBlocks, this.totalBlocks - this.startOf(group));
  }

  stateOf(group: number): Group {
    const state = this.list[group];
    invariant(state !== undefined, `allocation group ${group} exists`);
    return state;
  }
}
