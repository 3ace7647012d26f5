/**
 * Groups: the descriptors of all block groups, where each has its bitmaps, and how much of it is free.
 * The places never change and are kept as numbers; the counts are read and changed where they lie.
 */
import type { Block } from './block-cache.js';
import type { Core } from './core.js';
import { GROUP_DESCRIPTOR } from './disk/group-descriptor.js';
import { descriptorPlace, type Geometry, type GroupPlaces, parseDescriptor } from './geometry.js';
import { admit } from './seals/seal.js';

const AT = GROUP_DESCRIPTOR.at;

/** A number of a group that changes. */
type Count = 'freeBlocks' | 'freeInodes' | 'directories' | 'unusedInodes';

const FIELDS: Readonly<Record<Count, { low: number; high: number }>> = {
  freeBlocks: { low: AT.freeBlocksLow, high: AT.freeBlocksHigh },
  freeInodes: { low: AT.freeInodesLow, high: AT.freeInodesHigh },
  directories: { low: AT.directoriesLow, high: AT.directoriesHigh },
  unusedInodes: { low: AT.unusedInodesLow, high: AT.unusedInodesHigh },
};

/** See the head of the file. */
export class Groups {
  readonly places: readonly GroupPlaces[];
  readonly #core: Core;
  readonly #geometry: Geometry;

  private constructor(core: Core, geometry: Geometry, places: readonly GroupPlaces[]) {
    this.#core = core;
    this.#geometry = geometry;
    this.places = places;
  }

  /**
   * Reads all descriptors and keeps their blocks in memory. Runs as an operation.
   * @throws {FsError} EIO for damage
   */
  static read(core: Core, geometry: Geometry): Groups {
    const first = descriptorPlace(geometry, 0).block;
    const table = Array.from({ length: geometry.descriptorBlocks }, (_, i) => first + i);
    core.cache.need(table);
    const places: GroupPlaces[] = [];
    for (let group = 0; group < geometry.groups; group++) {
      const { block, at } = descriptorPlace(geometry, group);
      places.push(parseDescriptor(geometry, group, core.cache.get(block).bytes, at));
    }
    table.forEach((number, i) => {
      const block = core.cache.get(number);
      block.pins++;
      if (core.seals === undefined) return;
      const perBlock = geometry.blockSize / geometry.descriptorSize;
      admit(block, core.seals.descriptors(i * perBlock), 'the table of groups');
    });
    return new Groups(core, geometry, places);
  }

  get(group: number, count: Count): number {
    const { block, at } = this.place(group);
    const { low, high } = FIELDS[count];
    const wide = this.#geometry.descriptorSize >= 64;
    return (
      block.view.getUint16(at + low, true) +
      (wide ? block.view.getUint16(at + high, true) * 0x1_0000 : 0)
    );
  }

  /** Adds `change` to a count. */
  add(group: number, count: Count, change: number): void {
    const value = this.get(group, count) + change;
    const { block, at } = this.place(group);
    const { low, high } = FIELDS[count];
    this.#core.touch(block);
    block.view.setUint16(at + low, value & 0xffff, true);
    if (this.#geometry.descriptorSize >= 64) block.view.setUint16(at + high, value >>> 16, true);
  }

  total(count: Count): number {
    let sum = 0;
    for (let group = 0; group < this.places.length; group++) sum += this.get(group, count);
    return sum;
  }

  /** Whether a flag of the group is set. */
  hasFlag(group: number, flag: number): boolean {
    const { block, at } = this.place(group);
    return (block.view.getUint16(at + AT.flags, true) & flag) !== 0;
  }

  clearFlag(group: number, flag: number): void {
    const { block, at } = this.place(group);
    this.#core.touch(block);
    const flags = block.view.getUint16(at + AT.flags, true);
    block.view.setUint16(at + AT.flags, flags & ~flag, true);
  }

  /** The descriptor of a group: its block, and the place in it. */
  place(group: number): { block: Block; at: number } {
    const { block, at } = descriptorPlace(this.#geometry, group);
    return { block: this.#core.cache.get(block), at };
  }
}
