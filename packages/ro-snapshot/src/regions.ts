/**
 * Regions: what is known of the blocks of a volume, region by region, loaded when a block of it is first
 * asked for, and dropped again when there are many: so its memory is bounded, and it need not survive.
 *
 *   RG1  A region is loaded once at a time: who asks meanwhile waits for the same load.
 *   RG2  What is noted in a region that is being loaded stays noted: a load only adds.
 *   RG3  A load that began before `reset` or `begin` leaves nothing behind.
 *   RG4  After `begin` there is nothing to load: a region is known as `make` gives it. So it is until a
 *        region is dropped, as what was noted in that one must be loaded.
 */

interface Region<Facts> {
  readonly facts: Facts;
  loaded: boolean;
  loading: Promise<void> | undefined;
}

/** See the file header. `Facts` is what is known of one region. */
export class Regions<Facts> {
  readonly #blocks: number;
  readonly #most: number;
  readonly #make: () => Facts;
  #regions = new Map<number, Region<Facts>>();
  /** RG4. */
  #begun = false;

  /** Keeps `most` regions of so many blocks; `make` gives one that nothing is known of. */
  constructor(blocks: number, most: number, make: () => Facts) {
    this.#blocks = blocks;
    this.#most = most;
    this.#make = make;
  }

  /** Forgets everything. */
  reset(): void {
    this.#regions = new Map();
    this.#begun = false;
  }

  /** Begins where nothing was noted in any region yet (RG4). */
  begin(): void {
    this.reset();
    this.#begun = true;
  }

  /** What is known of the region of `block`; `undefined` until it is loaded. */
  of(block: number): Facts | undefined {
    const index = Math.floor(block / this.#blocks);
    const region = this.#regions.get(index);
    if (region === undefined && this.#begun) return this.#add(index, true).facts;
    return region?.loaded === true ? region.facts : undefined;
  }

  /** The same, also while it is being loaded: to note what changes (RG2). */
  noted(block: number): Facts | undefined {
    return this.of(block) ?? this.#regions.get(Math.floor(block / this.#blocks))?.facts;
  }

  /**
   * Loads the region of `block`: `fill` is called with its facts, and its first block. It may have
   * been dropped again, or all been forgotten, when this resolves: look again.
   * @throws what `fill` throws; the next call tries again
   */
  load(block: number, fill: (facts: Facts, start: number) => Promise<void>): Promise<void> {
    if (this.of(block) !== undefined) return Promise.resolve();
    const index = Math.floor(block / this.#blocks);
    const region = this.#regions.get(index) ?? this.#add(index, false);
    region.loading ??= this.#load(index, region, fill);
    return region.loading;
  }

  async #load(
    index: number,
    region: Region<Facts>,
    fill: (facts: Facts, start: number) => Promise<void>,
  ): Promise<void> {
    try {
      await fill(region.facts, index * this.#blocks);
      region.loaded = true;
    } finally {
      region.loading = undefined;
    }
  }

  /** A new region, for which another one may have to go. */
  #add(index: number, loaded: boolean): Region<Facts> {
    const regions = this.#regions;
    for (const [other, { loaded }] of regions.size < this.#most ? [] : regions) {
      if (!loaded) continue;
      regions.delete(other);
      this.#begun = false;
      break;
    }
    const region: Region<Facts> = { facts: this.#make(), loaded, loading: undefined };
    regions.set(index, region);
    return region;
  }
}
