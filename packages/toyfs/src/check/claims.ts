/**
 * Claims: which blocks somebody has, a bit for each, a map for each group that has any. Compared with
 * the bitmaps of the image in the end.
 */
import { isSet, setBits } from '../bitmap.js';
import { type Geometry, groupStart } from '../geometry.js';

/** See the head of the file. */
export class Claims {
  readonly #geometry: Geometry;
  readonly #maps = new Map<number, Uint8Array>();

  constructor(geometry: Geometry) {
    this.#geometry = geometry;
  }

  /** Claims blocks on the device; answers the first that was claimed already, if any. */
  claim(start: number, count: number): number | undefined {
    const { blocksPerGroup, firstDataBlock } = this.#geometry;
    let shared: number | undefined;
    for (let block = start; block < start + count; ) {
      const group = Math.floor((block - firstDataBlock) / blocksPerGroup);
      const first = groupStart(this.#geometry, group);
      const end = Math.min(start + count, first + blocksPerGroup);
      let map = this.#maps.get(group);
      if (map === undefined) {
        map = new Uint8Array(Math.ceil(blocksPerGroup / 8));
        this.#maps.set(group, map);
      } else if (shared === undefined) {
        shared = firstSet(map, block - first, end - first);
        if (shared !== undefined) shared += first;
      }
      setBits(map, block - first, end - block, true);
      block = end;
    }
    return shared;
  }

  /** The bits of a group; undefined: nothing is claimed in it. */
  map(group: number): Uint8Array | undefined {
    return this.#maps.get(group);
  }
}

function firstSet(map: Uint8Array, from: number, to: number): number | undefined {
  for (let bit = from; bit < to; bit++) {
    if ((bit & 7) === 0 && map[bit >>> 3] === 0) bit += 7;
    else if (isSet(map, bit)) return bit;
  }
  return undefined;
}
