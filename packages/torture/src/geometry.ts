/**
 * Geometry: the shape of the store that a seed tortures. Everything is tiny, so that edges are
 * everywhere: a journal that is full after some ten commits, volumes of 32 blocks, map pages of a
 * dozen entries, and for some seeds a save volume that is soon full, or one that hands out what was
 * given back before anything else.
 */
import type { Random } from '@palimpsest/block-device/testing';

/** The shape of one history's store. Bytes, unless the name says otherwise. */
export interface Geometry {
  readonly blockSize: number;
  readonly volumes: number;
  readonly volumeBlocks: number;
  readonly saveBytes: number;
  /** Bytes held before writers must wait: small, so that commits start by themselves. */
  readonly dirtyBytes: number;
  /** Bytes of map pages in memory: small, so that pages are read again. */
  readonly cacheBytes: number;
  /** True when the save volume is meant to run full; else it grows when it has to. */
  readonly full: boolean;
  /**
   * True when free blocks are handed out from the front. The store goes round its free space, and may
   * get away with giving back too early what nobody asks for in time; here the next one to ask gets it.
   */
  readonly frontFirst: boolean;
  /** True when calls take random turns. */
  readonly jittered: boolean;
  /** True when, of these, half of those of the first volume's image take very long: others go on. */
  readonly slowImage?: boolean;
  /** True when the history ends with a flush that fails. */
  readonly failing: boolean;
}

/** The journal's least size; the store makes it no smaller. */
export const JOURNAL_BYTES = 16_384;

/** Superblocks and journal; what is more is blocks to save to. */
const METADATA = 2 * 4096 + JOURNAL_BYTES;

/** The same with `blocks` small blocks to save to, and no disk that fails. */
export function fullOf(geometry: Geometry, blocks: number): Geometry {
  const blockSize = 512;
  return {
    ...{ ...geometry, blockSize, full: true, failing: false },
    saveBytes: METADATA + blocks * blockSize,
    dirtyBytes: (geometry.dirtyBytes / geometry.blockSize) * blockSize,
    cacheBytes: (geometry.cacheBytes / geometry.blockSize) * blockSize,
  };
}

/** Draws a geometry. */
export function drawGeometry(random: Random): Geometry {
  const blockSize = random.chance(0.12) ? 4096 : 512;
  const full = random.chance(0.25);
  const blocks = full ? random.between(60, 150) : random.pick([60, 200, 700]);
  return {
    blockSize,
    volumes: random.chance(0.3) ? 2 : 1,
    volumeBlocks: 32,
    saveBytes: METADATA + blocks * blockSize,
    dirtyBytes: blockSize * random.pick([8, 32, 256]),
    cacheBytes: blockSize * random.pick([4, 64]),
    full,
    jittered: random.chance(0.3),
    failing: random.chance(0.2),
    // Drawn last: what seeds stood for before is the same.
    frontFirst: random.chance(0.4),
    slowImage: random.chance(0.4),
  };
}
