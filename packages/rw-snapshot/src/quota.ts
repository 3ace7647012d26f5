/** Quotas of branches: what one has of its own, counted, and the refusal of more. */
import { StorageError } from '@palimpsest/block-device';
import { type SaveVolume, storedObjectsOf } from '@palimpsest/save-volume';
import { findSpace, type StoredSpace } from './records.js';

/** Entries of the map looked at together. */
const STEP = 4096;
const EVERY_BLOCK = 2 ** 48 - 1;

/** Blocks that a branch may own, and owns. */
export interface Quota {
  readonly blocks: number;
  used: number;
}

/** The refusal of a branch that would own more than it may. Blocks. */
export function overQuota(
  { blockSize }: SaveVolume,
  { blocks, used }: Quota,
  needed: number,
): StorageError {
  return new StorageError(
    'ERR_NO_SPACE',
    `the branch's quota of ${blocks * blockSize} bytes is used up: it has ${used * blockSize} bytes ` +
      `of its own, and ${needed * blockSize} more are needed`,
  );
}

/** Blocks that the branch of a space has of its own, for its present and all its snapshots. */
export async function countOwned(save: SaveVolume, space: number): Promise<number> {
  const { branch } = findSpace(save, space);
  let count = 0;
  for (const { id } of storedObjectsOf<StoredSpace>(save, 'space', branch)) {
    count += await countOwn(save, id);
  }
  return count;
}

/** Blocks that a space has of its own. */
async function countOwn(save: SaveVolume, space: number): Promise<number> {
  let count = 0;
  for (let from = 0; ; ) {
    const entries = await save.map.listEntries(space, from, EVERY_BLOCK, STEP);
    for (const { entry } of entries) if (entry.address !== 0) count += 1;
    const last = entries.at(-1);
    if (last === undefined) return count;
    from = last.block + 1;
  }
}
