/**
 * The block numbers of ext2 and ext3, walked: twelve in the inode, then one block of numbers, one of
 * blocks of numbers, and one level more. A number of 0 is a hole.
 */
import { DIRECT_SLOTS } from '../indirect-map.js';
import type { MapWalk } from './file-map.js';

/** Walks the numbers in the inode and what they lead to. */
export async function walkIndirect(walk: MapWalk): Promise<void> {
  const perBlock = walk.checking.geometry.blockSize / 4;
  for (let i = 0; i < DIRECT_SLOTS; i++) leaf(walk, walk.inode.slot(i), i);
  let logical = DIRECT_SLOTS;
  for (let level = 1; level <= 3; level++) {
    const number = walk.inode.slot(DIRECT_SLOTS + level - 1);
    await node(walk, number, level, logical);
    logical += perBlock ** level;
  }
}

async function node(walk: MapWalk, number: number, level: number, first: number): Promise<void> {
  if (number === 0 || !walk.node(number)) return;
  const { bytes, view } = await walk.checking.source.read(number);
  const perBlock = bytes.length / 4;
  const span = perBlock ** (level - 1);
  for (let i = 0; i < perBlock && !walk.checking.findings.isFull; i++) {
    const next = view.getUint32(i * 4, true);
    if (level === 1) leaf(walk, next, first + i);
    else await node(walk, next, level - 1, first + i * span);
  }
}

function leaf(walk: MapWalk, start: number, logical: number): void {
  if (start !== 0) walk.run({ logical, start, count: 1, unwritten: false });
}
