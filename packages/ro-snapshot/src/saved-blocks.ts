/**
 * SavedBlocks: the patent's bit map, one bit a block: already saved since the youngest snapshot?
 * Kept by region, so its memory is bounded, and it need not survive anything: what is not known, as
 * after an opening or a deletion, is loaded from the block map when a region is first written.
 *
 *   B1  A set bit means that the block map has an entry of the block whose version is the youngest
 *       snapshot or later: readers of every snapshot find it, and the block may be overwritten.
 *   B2  A bit that is clear in a loaded region means there is none.
 */
import { BitMap } from '@palimpsest/bytes';
import type { SaveVolume } from '@palimpsest/save-volume';
import { Regions } from './regions.js';

/** Blocks in a region: a bit map of 4 KiB, 128 MiB of volume with 4 KiB blocks. */
const REGION_BLOCKS = 32_768;
/** Regions kept: 8 MiB of bit maps, for 256 GiB of volume under random writes. */
const REGIONS_MAX = 2048;

/** See the file header. */
export class SavedBlocks {
  readonly #save: SaveVolume;
  readonly #space: number;
  /** Versions that count as saved, youngest first; the last is the youngest snapshot not deleted. */
  #versions: readonly number[] = [];
  readonly #regions = new Regions(REGION_BLOCKS, REGIONS_MAX, () => new BitMap(REGION_BLOCKS));

  constructor(save: SaveVolume, space: number) {
    this.#save = save;
    this.#space = space;
  }

  /** Forgets every bit: from now on those versions count. */
  reset(versions: readonly number[]): void {
    this.#versions = versions;
    this.#regions.reset();
  }

  /** Forgets every bit: a snapshot of this id was just taken, for which nothing is saved yet. */
  begin(snapshot: number): void {
    this.#versions = [snapshot];
    this.#regions.begin();
  }

  /** Whether the block is saved; `undefined` until its region is loaded. */
  has(block: number): boolean | undefined {
    return this.#regions.of(block)?.has(block % REGION_BLOCKS);
  }

  /** Notes that the block is saved now. */
  add(block: number): void {
    // A region that is being loaded takes note too: the scan may have passed the block already.
    this.#regions.noted(block)?.add(block % REGION_BLOCKS);
  }

  /** Loads the region of `block`. */
  load(block: number): Promise<void> {
    const versions = this.#versions;
    return this.#regions.load(block, async (bits, start) => {
      const end = start + REGION_BLOCKS;
      // Entries move from a version being deleted to an older one, never back, and that is the order
      // of the scans: none slips through between two of them.
      for (const version of versions) {
        await this.#save.map.eachSaved(this.#space, version, start, end, (found) =>
          bits.add(found - start),
        );
      }
    });
  }
}
