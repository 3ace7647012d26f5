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
 */
import { type BlockDevice, invariant, StorageError } from '@palimpsest/block-device';
import { BitMap, checksum, viewOf } from '@palimpsest/bytes';
import { GROUP_HEADER, GROUP_MAGIC, GROUP_STATE } from './format.js';

/** Some blocks in a row. */
export interface BlockRun {
  readonly address: number;
  readonly count: number;
}

interface Group {
  /** 0 or 1, or FRESH when nothing was ever written for the group. */
  slot: number;
  /** Blocks in use, the two slots included. */
  used: number;
  checksum: number;
}

interface Resident {
  readonly map: BitMap;
  dirty: boolean;
}

const FRESH = 2;
const SLOTS = 2;
/** Clean bit maps kept in memory: with 4 KiB blocks 1 MiB of them, for 32 GiB of save volume. */
const RESIDENT_MAX = 256;

/** See the file header. */
export class Allocator {
  readonly groupBlocks: number;
  readonly #device: BlockDevice;
  readonly #blockSize: number;
  readonly #dataStart: number;
  readonly #groups: Group[] = [];
  readonly #resident = new Map<number, Resident>();
  #totalBlocks: number;
  #used = 0;
  #cursor: number;

  /** An allocator for blocks from `dataStart` on, with no group yet: call `grow` or `decode`. */
  constructor(device: BlockDevice, blockSize: number, dataStart: number) {
    this.#device = device;
    this.#blockSize = blockSize;
    this.#dataStart = dataStart;
    this.#totalBlocks = dataStart;
    this.#cursor = dataStart;
    this.groupBlocks = (blockSize - GROUP_HEADER.size) * 8;
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

  /** Takes note that the volume has `totalBlocks` blocks now. It never shrinks here. */
  grow(totalBlocks: number): void {
    invariant(totalBlocks >= this.#totalBlocks, 'a save volume does not shrink while open');
    // A last group with no room beside its bit maps is left for a later growth.
    const capacity = totalBlocks - this.#dataStart;
    const whole = Math.floor(capacity / this.groupBlocks);
    const rest = capacity % this.groupBlocks;
    const groups = whole + (rest > SLOTS ? 1 : 0);
    this.#totalBlocks = rest > SLOTS ? totalBlocks : this.#dataStart + whole * this.groupBlocks;
    if (this.#totalBlocks < this.#dataStart) this.#totalBlocks = this.#dataStart;
    while (this.#groups.length < groups) {
      this.#groups.push({ slot: FRESH, used: SLOTS, checksum: 0 });
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

  /** Marks one block as in use; tells whether it was free. Used by replay, hence absolute (J3). */
  async take(address: number): Promise<boolean> {
    const group = this.#groupOf(address);
    const resident = await this.#load(group);
    const taken = resident.map.add(this.#indexOf(address));
    if (taken) this.#count(group, resident, 1);
    return taken;
  }

  /** Makes blocks available again; only once nothing durable refers to them (A1). */
  async release(address: number, count = 1): Promise<void> {
    for (let block = address; block < address + count; block += 1) {
      const group = this.#groupOf(block);
      const resident = await this.#load(group);
      if (resident.map.delete(this.#indexOf(block))) this.#count(group, resident, -1);
    }
  }

  /** Tells whether the block is in use. */
  async isUsed(address: number): Promise<boolean> {
    return (await this.#load(this.#groupOf(address))).map.has(this.#indexOf(address));
  }

  /** Writes every changed bit map to its group's other slot (A2). Durable after a flush. */
  async save(generation: number): Promise<void> {
    for (const [group, resident] of this.#resident) {
      if (!resident.dirty) continue;
      const state = this.#stateOf(group);
      const slot = state.slot === 0 ? 1 : 0;
      const bytes = new Uint8Array(this.#blockSize);
      GROUP_HEADER.encode(bytes, 0, {
        magic: GROUP_MAGIC,
        group,
        generation,
        reserved: new Uint8Array(12),
        checksum: 0,
      });
      bytes.set(resident.map.bytes, GROUP_HEADER.size);
      state.checksum = checksum(bytes);
      viewOf(bytes).setUint32(GROUP_HEADER.at.checksum, state.checksum, true);
      state.slot = slot;
      await this.#device.write(bytes, (this.#startOf(group) + slot) * this.#blockSize);
      resident.dirty = false;
    }
    this.#evict();
  }

  /** Bytes that `encode` gives. */
  get encodedBytes(): number {
    return this.#groups.length * GROUP_STATE.size;
  }

  /** The group list, to be kept by the checkpoint. */
  encode(): Uint8Array {
    const bytes = new Uint8Array(this.encodedBytes);
    for (const [index, { slot, used, checksum: sum }] of this.#groups.entries()) {
      GROUP_STATE.encode(bytes, index * GROUP_STATE.size, {
        slot,
        used,
        checksum: sum,
        reserved: 0,
      });
    }
    return bytes;
  }

  /** Takes over a group list, for a volume of `totalBlocks`. */
  decode(bytes: Uint8Array, totalBlocks: number): void {
    for (let at = 0; at + GROUP_STATE.size <= bytes.length; at += GROUP_STATE.size) {
      const { slot, used, checksum: sum } = GROUP_STATE.decode(bytes, at);
      if (slot > FRESH || used > this.groupBlocks) {
        throw new StorageError(
          'ERR_CORRUPT',
          `the group list is damaged at entry ${at / GROUP_STATE.size}`,
        );
      }
      this.#groups.push({ slot, used, checksum: sum });
      this.#used += used;
    }
    this.grow(totalBlocks);
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
    const resident = await this.#load(group);
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
    this.#stateOf(group).used += change;
    this.#used += change;
  }

  async #load(group: number): Promise<Resident> {
    const known = this.#resident.get(group);
    if (known !== undefined) return known;
    const state = this.#stateOf(group);
    const bytes = new Uint8Array(this.#blockSize);
    if (state.slot !== FRESH) {
      await this.#device.readInto(bytes, (this.#startOf(group) + state.slot) * this.#blockSize);
      viewOf(bytes).setUint32(GROUP_HEADER.at.checksum, 0, true);
      const header = GROUP_HEADER.decode(bytes, 0);
      if (
        header.magic !== GROUP_MAGIC ||
        header.group !== group ||
        checksum(bytes) !== state.checksum
      ) {
        throw new StorageError(
          'ERR_CORRUPT',
          `the bit map of allocation group ${group} is damaged`,
        );
      }
      // Another caller may have loaded, and changed, it while this one waited.
      const raced = this.#resident.get(group);
      if (raced !== undefined) return raced;
    }
    const map = new BitMap(this.groupBlocks, bytes.subarray(GROUP_HEADER.size));
    const resident = { map, dirty: false };
    if (state.slot === FRESH) for (let slot = 0; slot < SLOTS; slot += 1) map.add(slot);
    this.#resident.set(group, resident);
    return resident;
  }

  #evict(): void {
    for (const [group, { dirty }] of this.#resident) {
      if (this.#resident.size <= RESIDENT_MAX) return;
      if (!dirty) this.#resident.delete(group);
    }
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
