/**
 * BitMaps: the allocation groups' bit maps in memory, loaded when they are needed, written by a
 * checkpoint to the slot that does not hold the current one (A2).
 */
import { type BlockDevice, invariant, StorageError } from '@palimpsest/block-device';
import { BitMap, checksum, viewOf } from '@palimpsest/bytes';
import { GROUP_HEADER, GROUP_MAGIC } from './format.js';
import { FRESH, type Group, SLOTS } from './group-list.js';

/** A bit map in memory: a bit is set when the block is in use. */
export interface Resident {
  readonly map: BitMap;
  dirty: boolean;
}

/** Clean bit maps kept in memory: with 4 KiB blocks 1 MiB of them, for 32 GiB of save volume. */
const RESIDENT_MAX = 256;

/** What the bit maps belong to. */
export interface BitMapPlace {
  readonly device: BlockDevice;
  readonly blockSize: number;
  readonly groups: readonly Group[];
  startOf(group: number): number;
}

/** See the file header. */
export class BitMaps {
  readonly #place: BitMapPlace;
  readonly #resident = new Map<number, Resident>();

  constructor(place: BitMapPlace) {
    this.#place = place;
  }

  /** The bit map of a group when it is in memory. */
  get(group: number): Resident | undefined {
    return this.#resident.get(group);
  }

  /**
   * The bit map of a group.
   * @throws {StorageError} ERR_CORRUPT when it is damaged.
   */
  async load(group: number): Promise<Resident> {
    const known = this.#resident.get(group);
    if (known !== undefined) return known;
    const { device, blockSize, startOf } = this.#place;
    const state = this.#stateOf(group);
    const bytes = new Uint8Array(blockSize);
    if (state.slot !== FRESH) {
      await device.readInto(bytes, (startOf(group) + state.slot) * blockSize);
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
    const blocks = (blockSize - GROUP_HEADER.size) * 8;
    const map = new BitMap(blocks, bytes.subarray(GROUP_HEADER.size));
    const resident = { map, dirty: false };
    if (state.slot === FRESH) for (let slot = 0; slot < SLOTS; slot += 1) map.add(slot);
    this.#resident.set(group, resident);
    return resident;
  }

  /** Writes every changed one to its other slot (A2), and tells how many there were. */
  async save(generation: number): Promise<number> {
    const { device, blockSize, startOf } = this.#place;
    let written = 0;
    for (const [group, resident] of this.#resident) {
      if (!resident.dirty) continue;
      const state = this.#stateOf(group);
      const slot = state.slot === 0 ? 1 : 0;
      const bytes = new Uint8Array(blockSize);
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
      await device.write(bytes, (startOf(group) + slot) * blockSize);
      resident.dirty = false;
      written += 1;
    }
    this.evict();
    return written;
  }

  /** Forgets clean ones beyond what is kept. */
  evict(): void {
    for (const [group, { dirty }] of this.#resident) {
      if (this.#resident.size <= RESIDENT_MAX) return;
      if (!dirty) this.#resident.delete(group);
    }
  }

  /** Forgets the one of a group that is no more. */
  drop(group: number): void {
    this.#resident.delete(group);
  }

  #stateOf(group: number): Group {
    const state = this.#place.groups[group];
    invariant(state !== undefined, `allocation group ${group} exists`);
    return state;
  }
}
