/**
 * A snapshot of a branch as what production is restored to (US 2005/0065985): its own blocks, and
 * those of the branches beneath it, over a snapshot of production.
 */
import type { Completion } from '@palimpsest/block-device';
import { together } from '@palimpsest/block-device';
import type { RestoreSource } from '@palimpsest/ro-snapshot';
import { atLevel, LEVELS_MAX, LIVE, type SaveVolume } from '@palimpsest/save-volume';
import { spaceOfSnapshot } from './branch-snapshots.js';
import { type Beneath, Lineage } from './lineage.js';
import { ownRuns } from './own-runs.js';
import { spanBlocks } from './zero-spans.js';

/**
 * Opens it. `beneath` opens the production snapshot at the root of the lineage.
 * @throws {StorageError} ERR_NOT_FOUND.
 */
export async function branchRestoreSource(
  save: SaveVolume,
  snapshot: number,
  beneath: Beneath,
): Promise<RestoreSource> {
  const { space, size } = spaceOfSnapshot(save, snapshot);
  const ref = { volume: space, snapshot };
  const lineage = await Lineage.ofSnapshot(save, ref, beneath);
  const total = size / save.blockSize;
  return {
    ref,
    // Without a root, as after a flatten, every block may differ.
    root: lineage.root ?? 0,
    size,
    readInto: (target, position): Completion =>
      together((waits) => lineage.read(position / save.blockSize, target, waits)),
    nextDiffering: (from, limit, before = total) => {
      // Beyond its end are zeros, and the root, which is no larger, says nothing of what lies there.
      const end = Math.min(before, total);
      if (lineage.root !== undefined) return nextOwn(save, lineage, from, limit, end);
      const count = Math.max(0, Math.min(limit, before - from));
      return Promise.resolve(Array.from({ length: count }, (_, index) => from + index));
    },
    countDiffering: () => countOwnAtMost(save, lineage, total),
    close: () => lineage.close(),
  };
}

/** What `nextOwn` can find in all, at most: entries are counted in the map, not looked at. */
async function countOwnAtMost(save: SaveVolume, lineage: Lineage, total: number): Promise<number> {
  const { map } = save;
  let count = 0;
  for (const { space, version, size } of lineage.layers) {
    count += await map.countFrom(space, version);
    for (let level = 1; level <= LEVELS_MAX; level += 1) {
      const spans = await map.countAtMost(space, atLevel(level, version), atLevel(level, LIVE) + 1);
      count += spans * spanBlocks(level);
    }
    count += Math.max(0, total - size);
    if (count >= total) return total;
  }
  return count;
}

/** The union of what the layers have of their own, as far as all of them were looked at. */
async function nextOwn(
  save: SaveVolume,
  lineage: Lineage,
  from: number,
  limit: number,
  before: number,
): Promise<readonly number[]> {
  const found = new Set<number>();
  let horizon = before;
  for (const layer of lineage.layers) {
    let count = 0;
    const note = (first: number, end: number): void => {
      for (let block = first; block < end && count < limit; block += 1) {
        found.add(block);
        count += 1;
        if (count === limit) horizon = Math.min(horizon, block + 1);
      }
    };
    const end = Math.min(horizon, layer.size);
    if (from < end) {
      for await (const run of ownRuns(save, layer, from, end)) {
        note(run.first, run.first + run.count);
        if (count === limit) break;
      }
    }
    if (count < limit) note(Math.max(from, layer.size), horizon);
  }
  return [...found].filter((block) => block < horizon).sort((a, b) => a - b);
}
