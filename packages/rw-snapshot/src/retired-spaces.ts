/**
 * Retired spaces: what a branch had of its own before a refresh, or before it was deleted. One lives
 * on while it has snapshots; its last present, LIVE, answers for them as it stands.
 *
 *   X1  Of a retired space the present is given back as soon as no snapshot reads it, and everything,
 *       the space's object too, when there is no snapshot any more.
 *   X2  What a crash or a close interrupts goes on at the next opening: every step is a commit that
 *       leaves nothing half done.
 */
import { forgetQueue, queueOf, type StoredSnapshot } from '@palimpsest/ro-snapshot';
import {
  atLevel,
  LIVE,
  levelOf,
  type SaveVolume,
  storedObject,
  storedObjects,
  versionOf,
} from '@palimpsest/save-volume';
import { openBranchOf } from './open-branches.js';
import { findSpace, type StoredSpace } from './records.js';

/** Entries that one commit gives back at most. */
const STEP = 4096;
/** It may use what is kept for giving back when the store is full. */
const GIVES_BACK = { givesBack: true };
/** Past the last block that the map can name. */
const EVERY_BLOCK = 2 ** 48 - 1;

/** How giving back tells of itself. */
export interface GivingBackOptions {
  /** Hears how many entries were dealt with, and about how many there are. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** X1, for one space, if it is retired. Resolves when what nobody needs is free. */
export async function settleRetired(
  save: SaveVolume,
  space: number,
  { onProgress }: GivingBackOptions = {},
): Promise<void> {
  if (storedObject<StoredSpace>(save, 'space', space)?.retired !== true) return;
  const total = onProgress === undefined ? 0 : await save.map.count(space);
  const youngest = queueOf(save, space).youngest;
  let done = 0;
  const { branch } = findSpace(save, space);
  for (let from = 0; ; ) {
    let freed = 0;
    // A block may have an entry a level and one a snapshot; each takes two operations.
    const limit = Math.max(1, Math.min(STEP, Math.floor(save.operationsMax / 2) - 16));
    let last: number | undefined;
    await save.transact(async (batch) => {
      const entries = await save.map.listEntries(space, from, EVERY_BLOCK, limit);
      last = entries.at(-1)?.block;
      for (const { block, entry } of entries) {
        if (youngest > 0) {
          if (versionOf(entry.version) !== LIVE) continue;
          const level = levelOf(entry.version);
          const read = await save.find(space, block, atLevel(level, youngest));
          if (read?.version === entry.version) continue;
        }
        batch.remove(space, block, entry.version);
        if (entry.address === 0) continue;
        batch.free(entry.address);
        freed += 1;
      }
      done += entries.length;
    }, GIVES_BACK);
    openBranchOf(save, branch)?.parts.own.adopted(-freed);
    if (last === undefined) break;
    onProgress?.(done, Math.max(done, total));
    from = last + 1;
  }
  if (youngest > 0) return;
  await save.transact((batch) => batch.object(space, undefined), GIVES_BACK);
  forgetQueue(save, space);
}

/** X2, for all branches. Call it once after opening the store. */
export async function resumeBranchDeletions(save: SaveVolume): Promise<void> {
  const spaces = storedObjects<StoredSpace>(save, 'space');
  const unfinished = new Set(
    storedObjects<StoredSnapshot>(save, 'snapshot')
      .filter(({ object }) => object.deleting === true)
      .map(({ object }) => object.volume),
  );
  // Of ten thousand branches few have anything to be done.
  for (const { id, object } of spaces) {
    if (unfinished.has(id)) await queueOf(save, id).resume();
    if (object.retired === true) await settleRetired(save, id);
  }
}
