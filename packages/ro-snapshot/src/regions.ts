/**
 * Regions: what is known of the blocks of a volume, region by region, loaded when a block of it is first
 * asked for, and dropped again when there are many: so its memory is bounded, and it need not survive.
 *
 *   RG1  A region is loaded once at a time: who asks meanwhile waits for the same load.
 *   RG2  What is noted in a region that is being loaded stays noted: a load only adds.
 *   RG3  A load that began before `reset` leaves nothing behind.
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
  #regions = new Map<number, Region<Facts>>();

  /** Keeps `most` regions of so many blocks. */
  constructor(blocks: number, most: number) {
    this.#blocks = blocks;
    this.#most = most;
  }

  /** Forgets everything. */
  reset(): void {
    this.#regions = new Map();
  }

  /** What is known of the region of `block`; `undefined` until it is loaded. */
  of(block: number): Facts | undefined {
    const region = this.#regions.get(Math.floor(block / this.#blocks));
    return region?.loaded === true ? region.facts : undefined;
  }

  /** The same, also while it is being loaded: to note what changes (RG2). */
  noted(block: number): Facts | undefined {
    return this.#regions.get(Math.floor(block / this.#blocks))?.facts;
  }

  /**
   * Loads the region of `block`: `fill` is called with what `make` gave, and its first block. It may have
   * been dropped again, or all been forgotten, when this resolves: look again.
   * @throws what `fill` throws; the next call tries again
   */
  load(
    block: number,
    make: () => Facts,
    fill: (facts: Facts, start: number) => Promise<void>,
  ): Promise<void> {
    const index = Math.floor(block / this.#blocks);
    const regions = this.#regions;
    let region = regions.get(index);
    if (region === undefined) {
      region = { facts: make(), loaded: false, loading: undefined };
      regions.set(index, region);
    }
    region.loading ??= this.#load(regions, index, region, fill);
    return region.loading;
  }

  async #load(
    regions: Map<number, Region<Facts>>,
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
    if (regions.size > this.#most) evict(regions, index);
  }
}

function evict<Facts>(regions: Map<number, Region<Facts>>, keep: number): void {
  for (const [index, { loaded }] of regions) {
    if (!loaded || index === keep) continue;
    regions.delete(index);
    return;
  }
}
