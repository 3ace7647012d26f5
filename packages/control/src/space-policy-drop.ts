/**
 * What the space policy does in an open store: which snapshots `drop-oldest` may drop, and how one is
 * dropped.
 *
 *   FD1 Never dropped: what is held, what something stands on (a branch, a kept state, a restore) and
 *       what a client has open; looked at in the commit that hides the snapshot, so that a hold or a
 *       branch that comes meanwhile is either seen or refused.
 *   FD2 That commit has the log's entry too. From then on it is a deletion like any other: a crash
 *       leaves the rest of it to the next opening.
 */
import { isStorageError, StorageError } from '@palimpsest/block-device';
import { type Batch, storedDependants, storedObject } from '@palimpsest/save-volume';
import type { StoreContext } from './context.js';
import { recordOperation } from './operation-log.js';
import { changeAttributes, snapshotAttributes } from './records.js';
import { purge } from './removal.js';
import { readSettings } from './settings.js';
import type { SpacePolicyParts } from './space-policy.js';
import { chooseDrops, type Droppable } from './space-policy-choice.js';
import type { RemovedThing } from './store-index.js';
import { purgeOne, referenceOf } from './sweep.js';

/** Who is said to have dropped it. */
const BY = 'drop-oldest';

interface Candidate extends Droppable {
  readonly thing: Extract<RemovedThing, { kind: 'snapshot' }>;
  readonly reference: string;
  readonly createdAt: number;
}

/** What a `SpacePolicy` works with in an open store. */
export function spacePolicyParts(context: StoreContext): SpacePolicyParts {
  const { environment, save } = context;
  return {
    save,
    logger: environment.logger,
    now: () => environment.now(),
    every: (periodMs, work) => environment.every(periodMs, work),
    settings: () => readSettings(save),
    purgeOne: () => purgeOne(context),
    dropOldest: () => dropOldest(context),
    emit: (event) => context.emit(event),
  };
}

/** Drops as few of the oldest as give space back. Tells whether any was dropped. */
export async function dropOldest(context: StoreContext): Promise<boolean> {
  await context.save.commit(); // what is held is in nobody's account yet
  const { snapshots, bytes } = await chooseDrops(context.save, candidates(context));
  let dropped = false;
  for (const candidate of snapshots) {
    if (!(await drop(context, candidate, bytes))) break;
    dropped = true;
  }
  return dropped;
}

/** Snapshots of volumes that are open, and of their branches, which nothing needs; oldest first. */
function candidates(context: StoreContext): readonly Candidate[] {
  const { attached, index } = context;
  const things = index.volumes().flatMap((volume): Candidate['thing'][] => {
    if (attached.get(volume) === undefined) return [];
    return [
      ...volume.snapshots.map((snapshot) => ({ kind: 'snapshot' as const, volume, snapshot })),
      ...index.branchesOf(volume).flatMap((branch) =>
        branch.snapshots.map((snapshot) => ({
          kind: 'snapshot' as const,
          volume,
          branch,
          snapshot,
        })),
      ),
    ];
  });
  return things
    .map((thing): Candidate => {
      const { id } = thing.snapshot;
      const { createdAt } = snapshotAttributes(thing.snapshot);
      const space = context.spaceOf(id) ?? 0;
      return { id, space, thing, reference: referenceOf(thing), createdAt };
    })
    .filter((each) => isFree(context, each, each.thing.snapshot))
    .filter(({ id }) => storedDependants(context.save, id).length === 0)
    .sort((a, b) => a.createdAt - b.createdAt || a.id - b.id);
}

async function drop(context: StoreContext, candidate: Candidate, bytes: number): Promise<boolean> {
  const { environment, save } = context;
  const { id, reference, thing } = candidate;
  const at = environment.now();
  const detail = `the store was full; ${bytes} bytes come back`;
  try {
    await save.transact(
      (batch) => {
        assertDroppable(context, batch, candidate); // before the batch is changed: FD1
        changeAttributes(save, batch, id, { removed: { at, until: at, by: BY, isGoing: true } });
        recordOperation(save, batch, { at, by: BY, kind: 'drop', target: reference, detail }); // FD2
      },
      { givesBack: true },
    );
  } catch (error) {
    if (!isStorageError(error, 'ERR_IN_USE')) throw error;
    return false;
  }
  environment.logger.warn(`${reference} was dropped: ${detail}; hold what must stay`);
  context.emit({ type: 'dropped', at, reference, detail });
  return purge(context, thing);
}

/** FD1. @throws {StorageError} ERR_IN_USE. */
function assertDroppable(context: StoreContext, batch: Batch, candidate: Candidate): void {
  const { id } = candidate;
  const stored = storedObject(context.save, 'snapshot', id, batch);
  const isNeeded = storedDependants(context.save, id, batch).length > 0;
  if (stored !== undefined && !isNeeded && isFree(context, candidate, stored)) return;
  throw new StorageError('ERR_IN_USE', `${candidate.reference} is needed after all`);
}

/** Neither held, nor deleted, nor open. */
function isFree(
  context: StoreContext,
  { reference, id }: Pick<Candidate, 'reference' | 'id'>,
  { attributes }: Pick<Candidate['thing']['snapshot'], 'attributes'>,
): boolean {
  const { holds, removed } = snapshotAttributes({ id, size: 0, attributes });
  const isHeld = Object.keys(holds ?? {}).length > 0;
  return !isHeld && removed === undefined && context.shared.openers(reference) === 0;
}
