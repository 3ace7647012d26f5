/**
 * What of a device a file system uses: the rest need not be saved for a snapshot, nor copied.
 */
import { isSet } from './bitmap.js';
import { BLOCKS_UNWRITTEN } from './disk/group-descriptor.js';
import { groupBlocks, groupStart } from './geometry.js';
import type { Image } from './image.js';

/** A range of the device, in bytes. */
export interface UsedRange {
  readonly position: number;
  readonly length: number;
}

/** Every range in use, in order. Runs as an operation. */
export function usedRanges({ core, geometry, groups }: Image): UsedRange[] {
  const size = geometry.blockSize;
  core.cache.need(groups.places.map(({ blockBitmap }) => blockBitmap));
  const found: { position: number; length: number }[] = [];
  const add = (block: number, count: number): void => {
    const last = found.at(-1);
    const position = block * size;
    if (last !== undefined && last.position + last.length === position) last.length += count * size;
    else found.push({ position, length: count * size });
  };
  if (geometry.firstDataBlock > 0) add(0, geometry.firstDataBlock);
  groups.places.forEach(({ blockBitmap }, group) => {
    const start = groupStart(geometry, group);
    const count = groupBlocks(geometry, group);
    if (groups.hasFlag(group, BLOCKS_UNWRITTEN)) {
      add(start, count); // Nobody wrote down what is used: all may be.
      return;
    }
    const { bytes } = core.cache.get(blockBitmap);
    for (let bit = 0; bit < count; ) {
      if (!isSet(bytes, bit)) {
        bit++;
        continue;
      }
      let end = bit + 1;
      while (end < count && isSet(bytes, end)) end++;
      add(start + bit, end - bit);
      bit = end;
    }
  });
  return found;
}
