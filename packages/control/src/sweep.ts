/**
 * Sweep: what time does by itself. Snapshots that expire are deleted; what was deleted goes for good
 * when its grace period ends and nothing stands on it any more.
 *
 *   W1  A snapshot that is held, or that something stands on, does not expire: it goes when that ends.
 *   W2  When space is needed, what was deleted goes first, oldest deletion first, whatever its grace.
 *   W3  That may happen while an undo is under way. So it is marked first, in a commit that looks
 *       whether it is deleted still; what is marked is not had back.
 */
import { isStorageError } from '@palimpsest/block-device';
import { storedObject } from '@palimpsest/save-volume';
import type { StoreContext } from './context.js';
import { dependantsOf } from './dependants.js';
import { recordOperation } from './operation-log.js';
import {
  branchAttributes,
  changeAttributes,
  type NamedAttributes,
  snapshotAttributes,
  volumeAttributes,
} from './records.js';
import { branchReference, snapshotReference } from './references.js';
import { hasDependants, objectOf, purge } from './removal.js';
import { runSchedules } from './schedules.js';
import type { RemovedThing } from './store-index.js';

/** Deletes what has expired and gives back what nobody can have back any more. */
export async function sweep(context: StoreContext): Promise<void> {
  context.resumeRestores();
  const now = context.environment.now();
  await runSchedules(context);
  await expire(context, now);
  // Deleting one may free another: a branch, and then the snapshot that was hidden behind it.
  for (let more = true; more; ) {
    more = false;
    for (const thing of context.index.removed()) {
      const { until = 0, isGoing = false } = attributesOf(thing).removed ?? {};
      if (until > now && !isGoing) continue;
      if (await purgeQuietly(context, thing)) more = true;
      if (more) break;
    }
  }
}

/** W2: gives back the oldest deleted thing that can go. Tells whether there was one. */
export async function purgeOne(context: StoreContext): Promise<boolean> {
  for (const thing of context.index.removed()) {
    if (thing.kind === 'volume' || hasDependants(context, thing)) continue;
    if (thing.kind === 'snapshot' && context.attached.get(thing.volume) === undefined) continue;
    if ((await mark(context, thing)) && (await purgeQuietly(context, thing))) return true;
  }
  return false;
}

/** W3. Tells whether it may go. */
async function mark({ save }: StoreContext, thing: RemovedThing): Promise<boolean> {
  const id = objectOf(thing);
  let marked = false;
  await save.transact(
    (batch) => {
      const removed = storedObject(save, undefined, id, batch)?.attributes.removed;
      if (typeof removed !== 'object' || removed === null) return;
      changeAttributes(save, batch, id, { removed: { ...removed, isGoing: true } });
      marked = true;
    },
    { givesBack: true },
  );
  return marked;
}

/** What cannot go now, because a volume's image is missing say, is tried again the next time. */
async function purgeQuietly(context: StoreContext, thing: RemovedThing): Promise<boolean> {
  try {
    return await purge(context, thing);
  } catch (error) {
    if (!isStorageError(error)) throw error;
    if (error.code === 'ERR_CLOSED') throw error;
    if (error.code === 'ERR_NOT_FOUND') return false; // it went meanwhile: the sweep, or need of space
    context.environment.logger.warn(`${referenceOf(thing)} cannot be given back: ${error.message}`);
    return false;
  }
}

async function expire(context: StoreContext, now: number): Promise<void> {
  const { index, save } = context;
  const { volumes, branches } = index.everything();
  const due = [...volumes, ...branches]
    .flatMap(({ snapshots }) => snapshots)
    .filter((snapshot) => {
      const { expiresAt, holds, removed } = snapshotAttributes(snapshot);
      const isDue = expiresAt !== undefined && expiresAt <= now && removed === undefined;
      return isDue && holds === undefined && dependantsOf(context, snapshot.id).length === 0; // W1
    });
  for (const snapshot of due) {
    const { name } = snapshotAttributes(snapshot);
    await save.transact(
      (batch) => {
        const removed = { at: now, until: now, by: 'expiry' };
        changeAttributes(save, batch, snapshot.id, { removed });
        recordOperation(save, batch, { at: now, by: 'expiry', kind: 'expire', target: name });
      },
      { givesBack: true },
    );
    context.emit({ type: 'expired', at: now, reference: name });
  }
}

/** The attributes of what was deleted. */
export function attributesOf(thing: RemovedThing): NamedAttributes {
  if (thing.kind === 'volume') return volumeAttributes(thing.volume);
  if (thing.kind === 'branch') return branchAttributes(thing.branch);
  return snapshotAttributes(thing.snapshot);
}

/** The reference that it had. */
export function referenceOf(thing: RemovedThing): string {
  const volume = volumeAttributes(thing.volume).name;
  if (thing.kind === 'volume') return volume;
  if (thing.kind === 'branch') return branchReference(volume, branchAttributes(thing.branch).name);
  const target =
    thing.branch === undefined
      ? volume
      : branchReference(volume, branchAttributes(thing.branch).name);
  return snapshotReference(target, snapshotAttributes(thing.snapshot).name);
}
