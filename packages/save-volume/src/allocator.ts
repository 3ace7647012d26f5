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
import type { Resident } from './bit-maps.js';
import { GROUP_STATE } from './format.js';
import { decodeGroups, encodeGroups, FRESH, type Group, SLOTS } from './group-list.js';
import { type BlockRun, Groups } from './groups.js';

/** See the file header. */
export class Allocator {
  /** The groups, for audits and for what discards free runs. */
  readonly groups: Groups;
  /** Blocks handed out, and given back, since the volume was opened. */
  allocatedBlocks = 0;
  freedBlocks = 0;
  readonly #blockSize: number;
  #used = 0;
  #peak = 0;
  #cursor: number;

  /** An allocator for blocks from `dataStart` on, with no group yet: call `grow` or `decode`. */
  constructor(device: BlockDevice, blockSize: number, dataStart: number) {
    this.#blockSize = blockSize;
    this.#cursor = dataStart;
    this.groups = new Groups(device, blockSize, dataStart);
  }

  /** Blocks of a group. */
  get groupBlocks(): number {
    return this.groups.groupBlocks;
  }

  /** Blocks of the whole save volume. */
  get totalBlocks(): number {
    return this.groups.totalBlocks;
  }

  /** Blocks in use, bit maps included. */
  get used(): number {
    return this.#used;
  }

  /** Blocks that can be handed out. */
  get free(): number {
    return this.groups.totalBlocks - this.groups.dataStart - this.#used;
  }

  get groupCount(): number {
    return this.groups.list.length;
  }

  /** Takes note that the volume has `totalBlocks` blocks now, no fewer than before. */
  grow(totalBlocks: number): void {
    invariant(totalBlocks >= this.groups.totalBlocks, 'a save volume shrinks by `shrink` only');
    // A last group with no room beside its bit maps is left for a later growth.
    const capacity = totalBlocks - this.groups.dataStart;
    const whole = Math.floor(capacity / this.groupBlocks);
    const rest = capacity % this.groupBlocks;
    const groups = whole + (rest > SLOTS ? 1 : 0);
    this.groups.totalBlocks =
      rest > SLOTS ? totalBlocks : this.groups.dataStart + whole * this.groupBlocks;
    if (this.groups.totalBlocks < this.groups.dataStart)
      this.groups.totalBlocks = this.groups.dataStart;
    while (this.groups.list.length < groups) {
      this.groups.list.push({ slot: FRESH, used: SLOTS, checksum: 0, freed: 0 });
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
    const group = this.groups.groupOf(address);
    const resident = this.groups.maps.get(group);
    if (resident === undefined) return undefined;
    const taken = resident.map.add(this.groups.indexOf(address));
    if (taken) this.#count(group, resident, 1);
    return taken;
  }

  /** Marks one block as in use; tells whether it was free. Used by replay, hence absolute (J3). */
  async take(address: number): Promise<boolean> {
    const group = this.groups.groupOf(address);
    const resident = await this.groups.maps.load(group);
    const taken = resident.map.add(this.groups.indexOf(address));
    if (taken) this.#count(group, resident, 1);
    return taken;
  }

  /** Makes blocks available again; only once nothing durable refers to them (A1). */
  async release(address: number, count = 1): Promise<void> {
    for (let block = address; block < address + count; block += 1) {
      const group = this.groups.groupOf(block);
      const resident = await this.groups.maps.load(group);
      if (resident.map.delete(this.groups.indexOf(block))) this.#count(group, resident, -1);
    }
  }

  /** Tells whether the block is in use. */
  async isUsed(address: number): Promise<boolean> {
    return (await this.groups.maps.load(this.groups.groupOf(address))).map.has(
      this.groups.indexOf(address),
    );
  }

  /**
   * Writes every changed bit map to its group's other slot (A2), and tells how many there were.
   * Durable after a flush.
   */
  save(generation: number): Promise<number> {
    return this.groups.maps.save(generation);
  }

  /** Bytes that `encode` gives. */
  get encodedBytes(): number {
    return this.groups.list.length * GROUP_STATE.size;
  }

  /** The group list, to be kept by the checkpoint. */
  encode(): Uint8Array {
    return encodeGroups(this.groups.list);
  }

  /** Takes over a group list, for a volume of `totalBlocks`. */
  decode(bytes: Uint8Array, totalBlocks: number): void {
    for (const group of decodeGroups(bytes, this.groupBlocks)) {
      this.groups.list.push(group);
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

  /** Starts to hand out blocks from the front again, so that the tail can become free. */
  rewind(): void {
    this.#cursor = this.groups.dataStart;
  }

  /**
   * Takes note that the volume ends at `totalBlocks` now, a bit map's blocks or more after the last one
   * in use; or a little before that, where a group would have no room beside its bit map.
   */
  shrink(totalBlocks: number): void {
    const capacity = totalBlocks - this.groups.dataStart;
    const rest = capacity % this.groupBlocks;
    const groups = Math.floor(capacity / this.groupBlocks) + (rest > SLOTS ? 1 : 0);
    while (this.groups.list.length > groups) {
      const state = this.groups.list.pop() as Group;
      invariant(state.used === SLOTS, 'a group that goes has no block in use');
      this.groups.maps.drop(this.groups.list.length);
      this.#used -= SLOTS;
    }
    this.groups.totalBlocks = rest > SLOTS ? totalBlocks : totalBlocks - rest;
    this.trimmed();
    this.rewind();
  }

  async #takeRun(most: number): Promise<BlockRun | undefined> {
    if (this.#cursor >= this.groups.totalBlocks) this.#cursor = this.groups.dataStart;
    const group = this.groups.groupOf(this.#cursor);
    const limit = this.groups.limitOf(group);
    const start = this.groups.startOf(group);
    if (this.groups.stateOf(group).used >= limit) {
      this.#cursor = start + this.groupBlocks;
      return undefined;
    }
    const resident = await this.groups.maps.load(group);
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
    const state = this.groups.stateOf(group);
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
}
