/**
 * SavedBlocks: the patent's bit map, one bit a block: already saved since the youngest snapshot?
 * Kept by region and loaded from the block map when a region is first written, so its memory is
 * bounded, and it need not survive anything.
 *
 *   B1  A set bit means that the block map has an entry of the block whose version is the youngest
 *       snapshot or later: readers of every snapshot find it, and the block may be overwritten.
 *   B2  A bit that is clear in a loaded region means there is none.
 */
import { BitMap } from '@palimpsest/bytes';
import type { SaveVolume } from '@palimpsest/save-volume';

/** Blocks in a region: a bit map of 4 KiB, 128 MiB of volume with 4 KiB blocks. */
const REGION_BLOCKS = 32_768;
/** Regions kept: 8 MiB of bit maps, for 256 GiB of volume under random writes. */
const REGIONS_MAX = 2048;

interface Region {
  readonly bits: BitMap;
  loaded: boolean;
}

/** See the file header. */
export class SavedBlocks {
  readonly #save: SaveVolume;
  readonly #space: number;
  /** Versions that count as saved, youngest first; the last is the youngest snapshot not deleted. */
  #versions: readonly number[] = [];
  #regions = new Map<number, Region>();

  constructor(save: SaveVolume, space: number) {
    this.#save = save;
    this.#space = space;
  }

  /** Forgets every bit: from now on those versions count. */
  reset(versions: readonly number[]): void {
    this.#versions = versions;
    this.#regions = new Map();
  }

  /** Whether the block is saved; `undefined` until its region is loaded. */
  has(block: number): boolean | undefined {
    const region = this.#regions.get(Math.floor(block / REGION_BLOCKS));
    return region?.loaded === true ? region.bits.has(block % REGION_BLOCKS) : undefined;
  }

  /** Notes that the block is saved now. */
  add(block: number): void {
    // A region that is being loaded takes note too: the scan may have passed the block already.
    this.#regions.get(Math.floor(block / REGION_BLOCKS))?.bits.add(block % REGION_BLOCKS);
  }

  /** Loads the region of `block`. */
  async load(block: number): Promise<void> {
    const index = Math.floor(block / REGION_BLOCKS);
    const regions = this.#regions;
    const known = regions.get(index);
    // A region somebody else is loading is loaded twice, into the same bits: rare and harmless.
    const region = known ?? { bits: new BitMap(REGION_BLOCKS), loaded: false };
    regions.set(index, region);
    const start = index * REGION_BLOCKS;
    for (const version of this.#versions) {
      // Entries move from a version being deleted to an older one, never back, and that is the order
      // of the scans: none slips through between two of them.
      await this.#save.map.eachSaved(
        this.#space,
        version,
        start,
        start + REGION_BLOCKS,
        (found) => {
          region.bits.add(found - start);
        },
      );
    }
    region.loaded = true;
    if (regions.size > REGIONS_MAX) this.#evict(regions, index);
  }

  #evict(regions: Map<number, Region>, keep: number): void {
    for (const [index, { loaded }] of regions) {
      if (!loaded || index === keep) continue;
      regions.delete(index);
      return;
    }
  }
}
