/**
 * What the save volume keeps about restores: one object each, and marks: entries in the space of the
 * restore's id, one for each block that is done beyond the cursor.
 *
 *   RS6  Restores of a volume end together, in one commit: as `ended` they are no layers any more and
 *        need nothing. Their marks are given back after that, resumed at the next opening, and the
 *        objects go last.
 */
import {
  type Batch,
  encodeObject,
  type Indexed,
  type SaveVolume,
  type StoredObject,
  storedObjects,
  storedObjectsOf,
} from '@palimpsest/save-volume';
import type { RestoreProgress, RestoreSource, SnapshotReference } from './restore-source.js';

/** The version of a mark. */
export const DONE = 1;
/** Marks that one commit gives back at most. */
const STEP = 4096;
const EVERY_BLOCK = 2 ** 48 - 1;
const GIVES_BACK = { givesBack: true };

/** A restore object as stored. */
export interface StoredRestore extends StoredObject {
  readonly type: 'restore';
  readonly volume: number;
  readonly source: SnapshotReference;
  readonly undo: number;
  readonly needs: readonly number[];
  /** Every block before it is done. */
  readonly cursor: number;
  /** Blocks done, and about how many there are in all, for reports. */
  readonly done: number;
  readonly total: number;
  /** Set when it is no layer any more (RS6). */
  readonly ended?: boolean;
}

/** A restore as its volume works with it. */
export interface RestoreLayer {
  readonly id: number;
  readonly source: RestoreSource;
  readonly undo: number;
  /** Blocks that the volume had when it started. */
  readonly blockCount: number;
  /** Every block before it is done, and that is durable. */
  cursor: number;
  done: number;
  readonly total: number;
}

/** The restores of a volume, oldest first. */
export function storedRestores(
  save: SaveVolume,
  volume: number,
): readonly Indexed<StoredRestore>[] {
  return storedObjectsOf<StoredRestore>(save, 'restore', volume);
}

/**
 * What the running restores of the whole store read from. While they run they rely on it that neither
 * a source nor what it stands on gets or loses blocks of its own (RS5).
 */
export function restoreSources(save: SaveVolume, batch?: Batch): readonly SnapshotReference[] {
  return storedObjects<StoredRestore>(save, 'restore', batch).flatMap(({ object }) =>
    object.ended === true ? [] : [object.source],
  );
}

/** A layer as listed. */
export function progressOf(save: SaveVolume, volume: number, layer: RestoreLayer): RestoreProgress {
  const stored = storedRestores(save, volume).find(({ id }) => id === layer.id);
  return {
    id: layer.id,
    source: layer.source.ref,
    undo: layer.undo,
    doneBlocks: layer.done,
    totalBlocks: Math.max(layer.done, layer.total),
    attributes: stored?.object.attributes ?? {},
  };
}

/** Ends all restores of a volume, in one commit. The caller has seen to it that all blocks are done. */
export async function endRestores(save: SaveVolume, volume: number): Promise<void> {
  await save.transact((batch) => {
    for (const { id, object } of storedRestores(save, volume)) {
      const ended: StoredRestore = { ...object, needs: [], ended: true };
      batch.object(id, encodeObject(ended));
    }
  }, GIVES_BACK);
}

/** Gives back the marks of restores that have ended, and then their objects (RS6). */
export async function forgetEnded(
  save: SaveVolume,
  volume: number,
  isStopped: () => boolean,
): Promise<void> {
  for (const { id, object } of storedRestores(save, volume)) {
    if (object.ended !== true) continue;
    for (let more = true; more; ) {
      if (isStopped()) return;
      await save.transact(async (batch) => {
        const step = Math.min(STEP, Math.max(1, save.operationsMax - 8));
        // Listed in the transaction, where the map does not change.
        const entries = await save.map.listEntries(id, 0, EVERY_BLOCK, step);
        for (const { block, entry } of entries.slice(0, step)) {
          batch.remove(id, block, entry.version);
        }
        more = entries.length > 0;
        if (!more) batch.object(id, undefined);
      }, GIVES_BACK);
    }
  }
}
