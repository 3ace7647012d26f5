/**
 * Ownership: a bit for each block that someone owns, compared with the allocator's, group by group.
 * Groups that nobody owns anything in take no memory, and so many others are looked at in one pass.
 */
import { isStorageError } from '@palimpsest/block-device';
import { BitMap } from '@palimpsest/bytes';
import type { Allocator } from './allocator.js';
import type { GroupState } from './groups.js';

/** Groups of a pass: with 4 KiB blocks 64 MiB of bits, for 2 TiB of save volume. */
const GROUPS_A_PASS = 16_384;

/** See the file header. */
export class Ownership {
  readonly #allocator: Allocator;
  readonly #dataStart: number;
  readonly #find: (problem: string) => void;
  readonly #groupsMax: number;
  #bits = new Map<number, BitMap>();
  #firstGroup = 0;
  #owned = 0;
  #count = 0;

  /** `find` hears of what is wrong. */
  constructor(
    allocator: Allocator,
    dataStart: number,
    find: (problem: string) => void,
    groupsMax: number = GROUPS_A_PASS,
  ) {
    this.#allocator = allocator;
    this.#dataStart = dataStart;
    this.#find = find;
    this.#groupsMax = groupsMax;
  }

  /** Blocks that someone owns, in the passes that are done. */
  get count(): number {
    return this.#count;
  }

  /** Someone owns the block; `owner` says who. */
  add(address: number, owner: () => string): void {
    if (!(address >= this.#dataStart && address < this.#allocator.totalBlocks)) {
      this.#find(`${owner()} lies at block ${address}, outside the save volume`);
      return;
    }
    const bits = this.#bitsOf(address, true);
    if (bits === undefined) return;
    if (bits.add(this.#indexOf(address))) this.#owned += 1;
    else this.#find(`block ${address} has a second owner: ${owner()}`);
  }

  /** Nobody owns the block any more. */
  delete(address: number): void {
    if (this.#bitsOf(address, false)?.delete(this.#indexOf(address)) === true) this.#owned -= 1;
  }

  /** Compares the pass's groups with the allocator's; `orphans` looks for blocks that nobody owns. */
  async compare({ orphans }: { readonly orphans: boolean }): Promise<void> {
    const allocator = this.#allocator;
    const end = Math.min(allocator.groupCount, this.#firstGroup + this.#groupsMax);
    for (let group = this.#firstGroup; group < end; group += 1) {
      const start = this.#dataStart + group * allocator.groupBlocks;
      this.add(start, () => 'a bit map');
      this.add(start + 1, () => 'a bit map');
      const isUntouched =
        allocator.groups.isUntouched(group) && this.#bits.get(group)?.count() === 2;
      if (!isUntouched) await this.#compareGroup(group, orphans);
    }
    this.#count += this.#owned;
  }

  /** Begins the next pass; false when there is none. */
  next(): boolean {
    this.#firstGroup += this.#groupsMax;
    this.#bits = new Map();
    this.#owned = 0;
    return this.#firstGroup < this.#allocator.groupCount;
  }

  async #compareGroup(group: number, orphans: boolean): Promise<void> {
    const { map, used, limit } = await this.#inspect(group);
    const owned = this.#bits.get(group) as BitMap;
    const start = this.#dataStart + group * this.#allocator.groupBlocks;
    for (let index = 0; index < limit; index += 1) {
      if ((index & 7) === 0 && map.bytes[index >>> 3] === owned.bytes[index >>> 3]) {
        index += 7;
        continue;
      }
      if (map.has(index) === owned.has(index)) continue;
      if (!map.has(index)) this.#find(`block ${start + index} is owned but free`);
      else if (orphans) this.#find(`block ${start + index} is in use but nobody's`);
    }
    const count = map.count(limit);
    if (count !== used) {
      this.#find(`group ${group} has ${count} blocks in use, the group list says ${used}`);
    }
  }

  /** A bit map that is damaged is a finding, and is compared with nothing. */
  async #inspect(group: number): Promise<GroupState> {
    try {
      return await this.#allocator.groups.inspect(group);
    } catch (error) {
      if (!isStorageError(error)) throw error;
      this.#find(error.message);
      return { map: new BitMap(0), used: 0, limit: 0 };
    }
  }

  #bitsOf(address: number, make: boolean): BitMap | undefined {
    const group = Math.floor((address - this.#dataStart) / this.#allocator.groupBlocks);
    if (group < this.#firstGroup || group >= this.#firstGroup + this.#groupsMax) return undefined;
    const known = this.#bits.get(group);
    if (known !== undefined || !make) return known;
    const bits = new BitMap(this.#allocator.groupBlocks);
    this.#bits.set(group, bits);
    return bits;
  }

  #indexOf(address: number): number {
    return (address - this.#dataStart) % this.#allocator.groupBlocks;
  }
}
