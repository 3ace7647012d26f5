/**
 * Restores: starting, finishing and reopening the restores of a production volume (docs/adr/0016).
 *
 *   RS7  A restore starts alone: what was answered is in the clone volume, flushed, and marked where an
 *        earlier restore needs it; then one commit makes the undo snapshot and the restore exist. The
 *        content that is read changes at that instant, whatever the volume's size.
 *   RS8  Layers are there again before a reopened volume serves anything.
 */
import { type BlockDevice, invariant, StorageError } from '@palimpsest/block-device';
import {
  type Attributes,
  type Batch,
  encodeObject,
  type SaveVolume,
  type StoredObject,
  storedObject,
} from '@palimpsest/save-volume';
import type { CopyOut } from './copy-out.js';
import type { Exclusion } from './exclusion.js';
import type { SnapshotRecord } from './records.js';
import type { RestoreLayers } from './restore-layers.js';
import {
  endRestores,
  forgetEnded,
  type RestoreLayer,
  type StoredRestore,
  storedRestores,
} from './restore-records.js';
import { setAsideAgain, setAsideFor } from './restore-room.js';
import type { RestoreSource, SnapshotReference } from './restore-source.js';
import type { RestoreSpace } from './restore-space.js';
import type { SavedStates } from './saved-states.js';
import type { SnapshotQueue } from './snapshot-queue.js';

/** The parts of a production volume that restores work with. */
export interface RestoreParts {
  readonly save: SaveVolume;
  readonly clone: BlockDevice;
  /** Id of the volume. */
  readonly volume: number;
  readonly queue: SnapshotQueue;
  readonly layers: RestoreLayers;
  readonly states: SavedStates;
  readonly space: RestoreSpace;
  readonly copyOut: CopyOut;
  readonly exclusion: Exclusion;
  /** Bytes. */
  readonly size: () => number;
  readonly openSnapshot: (id: number) => BlockDevice;
  /** Everything that was answered is durable when it resolves. */
  readonly drain: () => Promise<void>;
  /** Takes over what follows from the queue and the layers. */
  readonly follow: () => void;
  /** @throws {StorageError} ERR_CLOSED. */
  readonly assertOpen: () => void;
}

/** How to start a restore. */
export interface RestoreOptions {
  /** What the snapshot of the state before is to carry. */
  readonly undo: Attributes;
  /** What the restore is to carry. */
  readonly attributes?: Attributes;
  /** More changes of objects in the same commit; hears the id of the undo snapshot. */
  readonly alongside?: (batch: Batch, undo: number) => void;
}

/** A restore that has started. */
export interface StartedRestore {
  /** Id of the restore. */
  readonly restore: number;
  /** The state before. */
  readonly undo: SnapshotRecord;
}

/** Opens a source that is no snapshot of the volume itself. */
export type OpenSource = (ref: SnapshotReference) => Promise<RestoreSource> | RestoreSource;

/** Starts a restore; see `ProductionVolume.startRestore`. The caller keeps requests out (RS7). */
export async function startRestore(
  parts: RestoreParts,
  from: number | RestoreSource,
  options: RestoreOptions,
): Promise<StartedRestore> {
  const source = typeof from === 'number' ? ownSource(parts, from) : from;
  try {
    return await startFrom(parts, source, options);
  } catch (error) {
    source.close?.();
    throw error;
  }
}

async function startFrom(
  parts: RestoreParts,
  source: RestoreSource,
  options: RestoreOptions,
): Promise<StartedRestore> {
  const { save, volume, queue, layers } = parts;
  assertFits(parts, source);
  await parts.drain();
  const before = parts.space.blocks;
  const total = await setAsideFor(parts, source);
  let started: StartedRestore | undefined;
  try {
    await save.transact((batch) => {
      assertThere(save, batch, source.ref);
      const undo = queue.addTo(batch, parts.size(), options.undo);
      const restore = save.newObjectId();
      const stored: StoredRestore = {
        type: 'restore',
        volume,
        source: source.ref,
        undo: undo.id,
        needs: [...new Set([source.ref.snapshot, source.root, undo.id])].filter((id) => id > 0),
        cursor: 0,
        done: 0,
        total,
        attributes: options.attributes ?? {},
      };
      batch.object(restore, encodeObject(stored));
      options.alongside?.(batch, undo.id);
      started = { restore, undo };
    });
  } catch (error) {
    parts.space.shrinkTo(before);
    throw error;
  }
  const { restore, undo } = started as StartedRestore;
  const blockCount = undo.size / save.blockSize;
  const layer = { id: restore, source, undo: undo.id, blockCount, cursor: 0, done: 0, total };
  layers.reset([...layers.all, layer]);
  parts.follow();
  return { restore, undo };
}

/**
 * Makes the layers of restores that were running when the store was last closed (RS8), and gives back
 * what ended ones left behind.
 * @throws {StorageError} ERR_INVALID when a source is not the volume's own and there is no `openSource`.
 */
export async function reopenRestores(parts: RestoreParts, openSource?: OpenSource): Promise<void> {
  const { save, volume, queue, layers } = parts;
  const reopened: RestoreLayer[] = [];
  for (const { id, object } of storedRestores(save, volume)) {
    if (object.ended === true) continue;
    const { source: ref, undo, cursor, done, total } = object;
    let source: RestoreSource;
    if (ref.volume === volume) source = ownSource(parts, ref.snapshot);
    else if (openSource !== undefined) source = await openSource(ref);
    else {
      throw new StorageError(
        'ERR_INVALID',
        `volume ${volume} is being restored from snapshot ${ref.snapshot} of space ${ref.volume}, ` +
          'which is not its own: open it with `openSource`',
      );
    }
    const before = queue.find(undo);
    invariant(before !== undefined, 'a running restore keeps its undo snapshot');
    const blockCount = before.size / save.blockSize;
    reopened.push({ id, source, undo, blockCount, cursor, done, total });
    // Sources may be snapshots that read through the layers before them.
    layers.reset([...reopened]);
  }
  parts.follow();
  if (reopened.length > 0) await setAsideAgain(parts);
}

/** Ends the restores of a volume whose blocks are all done. The caller keeps requests out. */
export async function finishRestores(parts: RestoreParts): Promise<void> {
  const { save, volume, layers, space } = parts;
  await parts.drain();
  await endRestores(save, volume);
  layers.reset([]);
  space.shrinkTo(0);
  parts.follow();
}

/** Gives back what ended restores left behind. */
export function forgetRestores(parts: RestoreParts): Promise<void> {
  const { save, volume, copyOut } = parts;
  return forgetEnded(save, volume, () => copyOut.closed);
}

/** A snapshot of the volume itself. */
function ownSource({ queue, openSnapshot, volume }: RestoreParts, id: number): RestoreSource {
  const record = queue.find(id);
  if (record === undefined) {
    throw new StorageError('ERR_NOT_FOUND', `volume ${volume} has no snapshot ${id}`);
  }
  const device = openSnapshot(id);
  return {
    ref: { volume, snapshot: id },
    root: id,
    size: record.size,
    readInto: (target, position) => device.readInto(target, position),
    nextDiffering: () => Promise.resolve([]),
    countDiffering: () => Promise.resolve(0),
  };
}

function assertFits({ queue, volume, size }: RestoreParts, source: RestoreSource): void {
  if (source.root !== 0 && queue.find(source.root) === undefined) {
    throw new StorageError('ERR_NOT_FOUND', `volume ${volume} has no snapshot ${source.root}`);
  }
  if (source.size <= size()) return;
  throw new StorageError(
    'ERR_INVALID',
    `the source has ${source.size} bytes, the volume ${size()}: grow the volume first`,
  );
}

/** A snapshot that is being deleted can be no source any more. */
function assertThere(save: SaveVolume, batch: Batch, ref: SnapshotReference): void {
  const found = storedObject<StoredObject>(save, 'snapshot', ref.snapshot, batch);
  if (found !== undefined && found.deleting !== true) return;
  throw new StorageError('ERR_NOT_FOUND', `space ${ref.volume} has no snapshot ${ref.snapshot}`);
}
