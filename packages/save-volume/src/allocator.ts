/**
 * The allocator: which blocks of the save volume are in use.
 *
 *   group g:  | bit map slot 0 | bit map slot 1 | blocks ...                      |
 *
 * The volume after the journal is divided into groups of as many blocks as one bit map block has
 * bits. A bit map is loaded when its group is first needed and written at a checkpoint, to the slot
 * that does not hold the current one; the group list (kept by the checkpoint) says which that is.
 *
 *   A1  A block is handed out only if its bit is clear in memory, and bits are cleared in memory
 *       only when the commit that freed the block is durable: what a crash may bring back is never
 *       overwritten.
 *   A2  A bit map on disk is never overwritten while the current superblock relies on it.
 *   A3  free + used = capacity, always.
 *   A4  Free blocks are discarded only right after a checkpoint, and while nothing is handed out. A
 *       record that freed them may itself be lost to damage; one before it, now the last, would have
 *       to prove its data (V2), and must find it.
 *   A5  A store is made smaller by a checkpoint first, and by the device after: no superblock names a
 *       block that is not there.
 */
import { type BlockDevice, invariant, StorageError } from '@palimpsest/block-device';
import { BitMaps, type Resident } from './bit-maps.js';
import { GROUP_HEADER, GROUP_STATE } from './format.js';
import { decodeGroups, encodeGroups, FRESH, type Group, SLOTS } from './group-list.js';

/** Some blocks in a row. */
export interface BlockRun {
  readonly address: number;
  readonly count: number;
}

/** See the file header. */
export class Allocator {
  readonly groupBlocks: number;
  /** Blocks handed out, and given back, since the volume was opened. */
  allocatedBlocks = 0;
  freedBlocks = 0;
  readonly #blockSize: number;
  readonly #dataStart: number;
  readonly #groups: Group[] = [];
  readonly #maps: BitMaps;
  #totalBlocks: number;
  #used = 0;
  #peak = 0;
  #cursor: number;

  /** An allocator for blocks from `dataStart` on, with no group yet: call `grow` or `decode`. */
  constructor(device: BlockDevice, blockSize: number, dataStart: number) {
    this.#blockSize = blockSize;
    this.#dataStart = dataStart;
    this.#totalBlocks = dataStart;
    this.#cursor = dataStart;
    this.groupBlocks = (blockSize - GROUP_HEADER.size) * 8;
    const startOf = (group: number): number => this.#startOf(group);
    this.#maps = new BitMaps({ device, blockSize, startOf, groups: this.#groups });
  }

  /** Blocks of the whole save volume. */
  get totalBlocks(): number {
    return this.#totalBlocks;
  }

  /** Blocks in use, bit maps included. */
  get used(): number {
    return this.#used;
  }

  /** Blocks that can be handed out. */
  get free(): number {
    return this.#totalBlocks - this.#dataStart - this.#used;
  }

  get groupCount(): number {
    return this.#groups.length;
  }

  /** Takes note that the volume has `totalBlocks` blocks now, no fewer than before. */
  grow(totalBlocks: number): void {
    invariant(totalBlocks >= this.#totalBlocks, 'a save volume shrinks by `shrink` only');
    // A last group with no room beside its bit maps is left for a later growth.
    const capacity = totalBlocks - this.#dataStart;
    const whole = Math.floor(capacity / this.groupBlocks);
    const rest = capacity % this.groupBlocks;
    const groups = whole + (rest > SLOTS ? 1 : 0);
    this.#totalBlocks = rest > SLOTS ? totalBlocks : this.#dataStart + whole * this.groupBlocks;
    if (this.#totalBlocks < this.#dataStart) this.#totalBlocks = this.#dataStart;
    while (this.#groups.length < groups) {
      this.#groups.push({ slot: FRESH, used: SLOTS, checksum: 0, freed: 0 });
      this.#used += SLOTS;
    }
  }

  /**
   * Takes `count` blocks, in as few runs as the free space allows.
   * @throws {StorageError} ERR_NO_SPACE when there are not as many; nothing is taken then.
   */
  async allocate(count: number): Promise<BlockRun[]> {
    if (count > this.free) {
      throw new StorageError(
        'ERR_NO_SPACE',
        `the save volume is full: ${count} blocks of ${this.#blockSize} bytes needed, ${this.free} free`,
      );
    }
    const runs: BlockRun[] = [];
    let missing = count;
    while (missing > 0) {
      const run = await this.#takeRun(missing);
      if (run === undefined) continue;
      runs.push(run);
      missing -= run.count;
    }
    return runs;
  }

  /** As `take`, when the bit map is in memory; `undefined`, and nothing done, when it is not. */
  takeNow(address: number): boolean | undefined {
    const group = this.#groupOf(address);
    const resident = this.#maps.get(group);
    if (resident === undefined) return undefined;
    const taken = resident.map.add(this.#indexOf(address));
    if (taken) this.#count(group, resident, 1);
    return taken;
  }

  /** Marks one block as in use; tells whether it was free. Used by replay, hence absolute (J3). */
  async take(address: number): Promise<boolean> {
    const group = this.#groupOf(address);
    const resident = await this.#maps.load(group);
    const taken = resident.map.add(this.#indexOf(address));
    if (taken) this.#count(group, resident, 1);
    return taken;
  }

  /** Makes blocks available again; only once nothing durable refers to them (A1). */
  async release(address: number, count = 1): Promise<void> {
    for (let block = address; block < address + count; block += 1) {
      const group = this.#groupOf(block);
      const resident = await this.#maps.load(group);
      if (resident.map.delete(this.#indexOf(block))) this.#count(group, resident, -1);
    }
  }

  /** Tells whether the block is in use. */
  async isUsed(address: number): Promise<boolean> {
    return (await this.#maps.load(this.#groupOf(address))).map.has(this.#indexOf(address));
  }

  /**
   * Writes every changed bit map to its group's other slot (A2), and tells how many there were.
   * Durable after a flush.
   */
  save(generation: number): Promise<number> {
    return this.#maps.save(generation);
  }

  /** Bytes that `encode` gives. */
  get encodedBytes(): number {
    return this.#groups.length * GROUP_STATE.size;
  }

  /** The group list, to be kept by the checkpoint. */
  encode(): Uint8Array {
    return encodeGroups(this.#groups);
  }

  /** Takes over a group list, for a volume of `totalBlocks`. */
  decode(bytes: Uint8Array, totalBlocks: number): void {
    for (const group of decodeGroups(bytes, this.groupBlocks)) {
      this.#groups.push(group);
      this.#used += group.used;
    }
    this.grow(totalBlocks);
    this.trimmed();
  }

  /** Blocks in use less than at most since `trimmed`: what large deletions gave back. */
  get untrimmedBlocks(): number {
    return this.#peak - this.#used;
  }

  /** What is free now has been discarded, as far as it is worth it. */
  trimmed(): void {
    this.#peak = this.#used;
  }

  /**
   * The next group to look through for free runs: one that had at least `least` blocks given back
   * since it was trimmed. With `least` 0, any after `from` whose bit map was ever written.
   */
  nextToTrim(least: number, from: number): number | undefined {
    for (let group = from; group < this.#groups.length; group += 1) {
      const { freed, slot } = this.#stateOf(group);
      if (least > 0 ? freed >= least : slot !== FRESH || this.#maps.get(group) !== undefined)
        return group;
    }
    return undefined;
  }

  /** Every run of at least `least` free blocks in a group, which counts as trimmed then. */
  async freeRuns(group: number, least: number): Promise<BlockRun[]> {
    const { map } = await this.#maps.load(group);
    const state = this.#stateOf(group);
    state.freed = 0;
    const runs: BlockRun[] = [];
    const limit = this.#limitOf(group);
    for (let from = 0; ; ) {
      const first = map.nextClear(from, limit);
      if (first < 0) break;
      from = map.nextSet(first, limit);
      if (from - first >= least)
        runs.push({ address: this.#startOf(group) + first, count: from - first });
    }
    this.#maps.evict();
    return runs;
  }

  /** The address after the last block in use. */
  async end(): Promise<number> {
    for (let group = this.#groups.length - 1; group >= 0; group -= 1) {
      if (this.#stateOf(group).used === SLOTS) continue;
      const { map } = await this.#maps.load(group);
      const last = map.lastSet(this.#limitOf(group));
      this.#maps.evict();
      return this.#startOf(group) + last + 1;
    }
    return this.#dataStart;
  }

  /** Starts to hand out blocks from the front again, so that the tail can become free. */
  rewind(): void {
    this.#cursor = this.#dataStart;
  }

  /**
   * Takes note that the volume ends at `totalBlocks` now, a bit map's blocks or more after the last one
   * in use; or a little before that, where a group would have no room beside its bit map.
   */
  shrink(totalBlocks: number): void {
    const capacity = totalBlocks - this.#dataStart;
    const rest = capacity % this.groupBlocks;
    const groups = Math.floor(capacity / this.groupBlocks) + (rest > SLOTS ? 1 : 0);
    while (this.#groups.length > groups) {
      const state = this.#groups.pop() as Group;
      invariant(state.used === SLOTS, 'a group that goes has no block in use');
      this.#maps.drop(this.#groups.length);
      this.#used -= SLOTS;
    }
    this.#totalBlocks = rest > SLOTS ? totalBlocks : totalBlocks - rest;
    this.trimmed();
    this.rewind();
  }

  async #takeRun(most: number): Promise<BlockRun | undefined> {
    if (this.#cursor >= this.#totalBlocks) this.#cursor = this.#dataStart;
    const group = this.#groupOf(this.#cursor);
    const limit = this.#limitOf(group);
    const start = this.#startOf(group);
    if (this.#stateOf(group).used >= limit) {
      this.#cursor = start + this.groupBlocks;
      return undefined;
    }
    const resident = await this.#maps.load(group);
    const first = resident.map.nextClear(this.#cursor - start, limit);
    if (first < 0) {
      this.#cursor = start + this.groupBlocks;
      return undefined;
    }
    let count = 0;
    while (count < most && first + count < limit && resident.map.add(first + count)) count += 1;
    this.#count(group, resident, count);
    this.#cursor = start + first + count;
    return { address: start + first, count };
  }

  #count(group: number, resident: Resident, change: number): void {
    resident.dirty = true;
    const state = this.#stateOf(group);
    state.used += change;
    this.#used += change;
    if (change > 0) {
      this.allocatedBlocks += change;
      this.#peak = Math.max(this.#peak, this.#used);
      return;
    }
    this.freedBlocks -= change;
    state.freed -= change;
  }

  #groupOf(address: number): number {
    if (!(address >= this.#dataStart && address < this.#totalBlocks)) {
      throw new StorageError('ERR_CORRUPT', `block ${address} is outside the save volume's data`);
    }
    return Math.floor((address - this.#dataStart) / this.groupBlocks);
  }

  #indexOf(address: number): number {
    return (address - this.#dataStart) % this.groupBlocks;
  }

  #startOf(group: number): number {
    return this.#dataStart + group * this.groupBlocks;
  }

  #limitOf(group: number): number {
    return Math.min(this.groupBlocks, this.#totalBlocks - this.#startOf(group));
  }

  #stateOf(group: number): Group {
    const state = this.#groups[group];
    invariant(state !== undefined, `allocation group ${group} exists`);
    return state;
  }
}
