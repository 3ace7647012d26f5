/**
 * Removal: deleting snapshots, branches and volumes so that it can be undone.
 *
 *   D1  What is deleted is hidden in one commit, its name free at once. It goes for good when its
 *       grace period ends, or when its space is needed, whichever is first.
 *   D2  Nothing goes for good while something stands on it: it is refused, or, when asked for, hidden
 *       until its last dependant goes.
 *   D3  A held snapshot is not deleted, whoever asks; the refusal says whose hold it is.
 */
import { StorageError } from '@palimpsest/block-device';
import type { VolumeRecord } from '@palimpsest/ro-snapshot';
import { deleteBranches, deleteBranchSnapshot } from '@palimpsest/rw-snapshot';
import { type FoundSnapshot, findBranch, findSnapshot, findVolume } from './catalog.js';
import { listed, makeUnused, type StoreContext } from './context.js';
import { type Dependant, dependantsOf } from './dependants.js';
import { recordOperation } from './operation-log.js';
import {
  branchAttributes,
  changeAttributes,
  isRemoved,
  type Removed,
  snapshotAttributes,
  volumeAttributes,
} from './records.js';
import { branchReference, snapshotReference } from './references.js';
import { readSettings } from './settings.js';
import type { RemovedThing } from './store-index.js';
import type { Removal, RemovalOptions } from './store-types.js';

/** See `Store.deleteSnapshot`. */
export async function deleteSnapshot(
  context: StoreContext,
  text: string,
  options: RemovalOptions,
): Promise<Removal> {
  const found = findSnapshot(context.index, text, context.environment.now());
  const { snapshot, reference } = found;
  assertNotHeld(found);
  const dependants = dependantsOf(context, snapshot.id);
  assertFree(reference, dependants, options, `pal snapshot delete ${reference} --hide`);
  const removal = { removed: [reference], dryRun: options.dryRun === true };
  await makeUnused(context, [reference], options);
  if (removal.dryRun) return { ...removal, ...hiddenBehind(dependants) };
  const thing: RemovedThing = { ...found };
  return remove(context, thing, reference, dependants, options, removal);
}

/** See `Store.deleteBranch`. */
export async function deleteBranch(
  context: StoreContext,
  text: string,
  options: RemovalOptions,
): Promise<Removal> {
  const found = findBranch(context.index, text);
  const { branch, reference } = found;
  const snapshots = branch.snapshots.map((each) => ({
    id: each.id,
    reference: snapshotReference(reference, snapshotAttributes(each).name),
  }));
  if (snapshots.length > 0 && options.recursive !== true && options.hide !== true) {
    throw new StorageError(
      'ERR_IN_USE',
      `${reference} has ${snapshots.length} snapshot${snapshots.length === 1 ? '' : 's'}: ` +
        `${listed(snapshots.map((each) => each.reference))}; delete them first, or let them go ` +
        `with it: pal branch delete ${reference} --recursive`,
    );
  }
  for (const each of branch.snapshots) {
    assertNotHeld({
      reference: snapshotReference(reference, snapshotAttributes(each).name),
      snapshot: each,
    });
  }
  const dependants = snapshots.flatMap(({ id }) => dependantsOf(context, id, branch.id));
  assertFree(reference, dependants, options, `pal branch delete ${reference} --hide`);
  const all = [...snapshots.map((each) => each.reference), reference];
  const removal = { removed: all, dryRun: options.dryRun === true };
  await makeUnused(context, all, options);
  if (removal.dryRun) return { ...removal, ...hiddenBehind(dependants) };
  const thing: RemovedThing = { kind: 'branch', volume: found.volume, branch };
  return remove(context, thing, reference, dependants, options, removal);
}

/** See `Store.deleteVolume`. */
export async function deleteVolume(
  context: StoreContext,
  name: string,
  options: RemovalOptions,
): Promise<Removal> {
  const volume = findVolume(context.index, name);
  const dependants = dependantsOfVolume(context, volume);
  assertFree(name, dependants, options, `pal volume delete ${name} --hide`);
  const removal = { removed: [name], dryRun: options.dryRun === true };
  await makeUnused(context, [name], options);
  if (removal.dryRun) return { ...removal, ...hiddenBehind(dependants) };
  const thing: RemovedThing = { kind: 'volume', volume };
  return remove(context, thing, name, dependants, options, removal);
}

/** What is hidden behind a volume counts too, though it is deleted: it needs the image. */
function dependantsOfVolume(context: StoreContext, { id }: VolumeRecord): readonly Dependant[] {
  const { branches } = context.index.everything();
  const volume = context.index.anyVolume(id);
  if (volume === undefined) return [];
  const { name } = volumeAttributes(volume);
  return [
    ...branches
      .filter((each) => each.volume === id)
      .map((each) => ({
        reference: branchReference(name, branchAttributes(each).name),
        isRemoved: isRemoved(each),
      })),
    ...volume.snapshots.map((each) => ({
      reference: snapshotReference(name, snapshotAttributes(each).name),
      isRemoved: isRemoved(each),
    })),
  ];
}

/** D1: at once when there is no grace and nothing in the way, else hidden for now. */
async function remove(
  context: StoreContext,
  thing: RemovedThing,
  reference: string,
  dependants: readonly Dependant[],
  options: RemovalOptions,
  removal: Removal,
): Promise<Removal> {
  const { environment, save } = context;
  const graceMs = options.now === true ? 0 : readSettings(save).graceMs;
  const at = environment.now();
  const by = options.by ?? context.by;
  const removed: Removed = { at, until: at + graceMs, by };
  const id = objectOf(thing);
  await save.transact(
    (batch) => {
      changeAttributes(save, batch, id, { removed });
      const undo = { kind: 'undelete', object: id } as const;
      recordOperation(save, batch, { at, by, kind: 'delete', target: reference, undo });
    },
    { givesBack: true }, // a full store must let things be deleted
  );
  if (graceMs === 0 && dependants.length === 0) {
    await purge(context, thing, options);
    return removal;
  }
  return {
    ...removal,
    ...(graceMs > 0 ? { recoverableUntil: new Date(removed.until).toISOString() } : {}),
    ...hiddenBehind(dependants),
  };
}

/**
 * Deletes for good what was hidden before, unless something stands on it (D2). Tells whether it is
 * gone.
 */
export async function purge(
  context: StoreContext,
  thing: RemovedThing,
  options: Pick<RemovalOptions, 'onProgress'> = {},
): Promise<boolean> {
  if (hasDependants(context, thing)) return false;
  const { onProgress } = options;
  const giving =
    onProgress === undefined
      ? {}
      : {
          onProgress: (done: number, total: number) =>
            onProgress({ phase: 'giving space back', done, total, unit: 'items' }),
        };
  if (thing.kind === 'branch') {
    await deleteBranches(context.save, [thing.branch.id], { ...giving, withSnapshots: true });
  } else if (thing.kind === 'volume') {
    await context.releaseImage(thing.volume);
  } else if (thing.branch !== undefined) {
    await deleteBranchSnapshot(context.save, thing.snapshot.id, giving);
  } else {
    const { production } = await context.attached.attach(thing.volume);
    await production.deleteSnapshot(thing.snapshot.id, giving);
  }
  return true;
}

/** Whether something stands on it (D2). */
export function hasDependants(context: StoreContext, thing: RemovedThing): boolean {
  return dependantsOn(context, thing).length > 0;
}

/** What stands on it. */
export function dependantsOn(context: StoreContext, thing: RemovedThing): readonly Dependant[] {
  if (thing.kind === 'snapshot') return dependantsOf(context, thing.snapshot.id);
  if (thing.kind === 'volume') return dependantsOfVolume(context, thing.volume);
  const { id } = thing.branch;
  const { snapshots = [] } = context.index.anyBranch(id) ?? {};
  return snapshots.flatMap((snapshot) => dependantsOf(context, snapshot.id, id));
}

/** The engine's object behind something that was deleted. */
export function objectOf(thing: RemovedThing): number {
  if (thing.kind === 'snapshot') return thing.snapshot.id;
  return thing.kind === 'branch' ? thing.branch.id : thing.volume.id;
}

/** D3. @throws {StorageError} ERR_IN_USE. */
export function assertNotHeld({
  reference,
  snapshot,
}: Pick<FoundSnapshot, 'reference' | 'snapshot'>): void {
  const holds = Object.entries(snapshotAttributes(snapshot).holds ?? {});
  if (holds.length === 0) return;
  const told = holds.map(([tag, { reason, by, since }]) => {
    const why = reason === undefined ? '' : `: ${reason}`;
    return `"${tag}" of ${by} since ${new Date(since).toISOString()}${why}`;
  });
  throw new StorageError(
    'ERR_IN_USE',
    `${reference} is held by ${listed(told)}; take the hold away first: ` +
      `pal snapshot unhold ${reference} ${holds[0]?.[0]}`,
  );
}

/** D2. */
function assertFree(
  reference: string,
  dependants: readonly Dependant[],
  options: RemovalOptions,
  command: string,
): void {
  const shown = dependants.filter((each) => !each.isRemoved).map((each) => each.reference);
  if (shown.length === 0 || options.hide === true) return;
  const some = `${shown.length} dependant${shown.length === 1 ? '' : 's'}`;
  throw new StorageError(
    'ERR_IN_USE',
    `${reference} is needed by ${some}: ${listed(shown)}; delete them first, or hide it ` +
      `until the last of them goes: ${command}`,
  );
}

/** What something waits for, as it is told. */
export function hiddenBehind(dependants: readonly Dependant[]): {
  hiddenBehind?: readonly string[];
} {
  return dependants.length === 0 ? {} : { hiddenBehind: dependants.map((each) => each.reference) };
}
