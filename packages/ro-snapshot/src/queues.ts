/**
 * The snapshot queues of a store: one a space, kept as the stored objects are by every commit that
 * changes a snapshot.
 */
import { isStorageError } from '@palimpsest/block-device';
import { decodeObject, type SaveVolume } from '@palimpsest/save-volume';
import { SnapshotQueue } from './snapshot-queue.js';

const QUEUES = new WeakMap<SaveVolume, Map<number, SnapshotQueue>>();

/** The queue of a space: of a production volume, or of what one branch has of its own. */
export function queueOf(save: SaveVolume, space: number): SnapshotQueue {
  return queuesOf(save).get(space) ?? openQueue(save, space);
}

/** The same, made anew, as when a volume that was closed is opened again. */
export function openQueue(save: SaveVolume, space: number): SnapshotQueue {
  const queue = new SnapshotQueue(save, space);
  queuesOf(save).set(space, queue);
  return queue;
}

/** Forgets the queue of a space that is gone. */
export function forgetQueue(save: SaveVolume, space: number): void {
  queuesOf(save).delete(space);
}

function queuesOf(save: SaveVolume): Map<number, SnapshotQueue> {
  let queues = QUEUES.get(save);
  if (queues === undefined) {
    const made = new Map<number, SnapshotQueue>();
    QUEUES.set(save, made);
    save.watchObjects((id, before) => followSnapshot(made, id, [before, save.object(id)]));
    queues = made;
  }
  return queues;
}

/** Q5: of all queues only that of the space that the snapshot is of, or was of, has changed. */
function followSnapshot(
  queues: ReadonlyMap<number, SnapshotQueue>,
  id: number,
  states: readonly (Uint8Array | undefined)[],
): void {
  try {
    for (const bytes of states) {
      const object = bytes === undefined ? undefined : decodeObject(id, bytes);
      if (object?.type === 'snapshot') queues.get(object.volume ?? 0)?.follow(id);
    }
  } catch (error) {
    // One that is damaged fails those who read it, not the commit that is heard of here.
    if (!isStorageError(error, 'ERR_CORRUPT')) throw error;
  }
}
