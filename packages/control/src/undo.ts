/**
 * Undo: taking back the last operation, or a named one, as long as what it replaced is still there.
 * An undo is an operation itself, so it can be undone.
 */
import { StorageError } from '@palimpsest/block-device';
import { storedObject } from '@palimpsest/save-volume';
import { refreshBranch } from './branch-operations.js';
import type { StoreContext } from './context.js';
import { ownerReference } from './listing.js';
import { generatedName, keptName } from './names.js';
import {
  listOperations,
  markUndone,
  type OperationRecord,
  recordOperation,
} from './operation-log.js';
import { changeAttributes, isGoing, isRemoved, snapshotAttributes } from './records.js';
import { snapshotReference } from './references.js';
import { objectOf } from './removal.js';
import { restore } from './restore-operations.js';
import type { OwnedSnapshot, RemovedThing } from './store-index.js';
import { attributesOf, referenceOf } from './sweep.js';
import type { OperationInfo, UndoRequest } from './work-types.js';

/** See `Store.undo`. */
export async function undo(context: StoreContext, request: UndoRequest): Promise<OperationInfo> {
  const operation = chosen(context, request.operation);
  const before = new Set(listOperations(context.save).map(({ id }) => id));
  await takeBack(context, operation, request);
  // What was done to undo it is the newest entry; the two are tied together.
  const done = listOperations(context.save).findLast(({ id }) => !before.has(id));
  if (done === undefined) throw new StorageError('ERR_NOT_FOUND', 'the undo left no trace');
  await context.save.transact((batch) => {
    markUndone(context.save, batch, operation.id, done.id);
  });
  return operationInfo(context, done);
}

/** See `Store.log`; newest first. */
export function operationInfos(context: StoreContext, limit?: number): readonly OperationInfo[] {
  const all = [...listOperations(context.save)].reverse();
  return (limit === undefined ? all : all.slice(0, limit)).map((each) =>
    operationInfo(context, each),
  );
}

function operationInfo(context: StoreContext, operation: OperationRecord): OperationInfo {
  const { id, at, by, kind, target, detail } = operation;
  const state = undoState(context, operation);
  return {
    id,
    at: new Date(at).toISOString(),
    by,
    kind,
    target,
    ...(detail === undefined ? {} : { detail }),
    ...(state === undefined ? {} : { undo: state }),
  };
}

function undoState(
  context: StoreContext,
  { undo: how, undoneBy }: OperationRecord,
): 'possible' | 'done' | 'gone' | undefined {
  if (how === undefined) return undefined;
  if (undoneBy !== undefined) return 'done';
  if (how.kind === 'undelete') return removedThing(context, how.object) ? 'possible' : 'gone';
  const kept = how.kind === 'restore' ? how.undo : how.kept;
  return storedObject(context.save, 'snapshot', kept) === undefined ? 'gone' : 'possible';
}

function chosen(context: StoreContext, id: number | undefined): OperationRecord {
  const all = listOperations(context.save);
  if (id === undefined) {
    const last = all.findLast((each) => undoState(context, each) === 'possible');
    if (last !== undefined) return last;
    throw new StorageError('ERR_NOT_FOUND', 'there is nothing to undo; see what was done: pal log');
  }
  const found = all.find((each) => each.id === id);
  const state = found && undoState(context, found);
  if (found !== undefined && state === 'possible') return found;
  const why =
    found === undefined
      ? 'there is no such operation'
      : {
          done: 'it was undone already',
          gone: 'what it replaced is gone',
          none: 'it cannot be undone',
        }[state === 'done' || state === 'gone' ? state : 'none'];
  throw new StorageError(
    'ERR_NOT_FOUND',
    `operation ${id} cannot be undone: ${why}; see what can: pal log`,
  );
}

async function takeBack(
  context: StoreContext,
  operation: OperationRecord,
  request: UndoRequest,
): Promise<void> {
  const how = operation.undo;
  const by = request.by === undefined ? {} : { by: request.by };
  const force = request.force === undefined ? {} : { force: request.force };
  switch (how?.kind) {
    case 'restore':
      await restore(context, { ...snapshotOf(context, how.undo), ...by, ...force });
      return;
    case 'refresh': {
      const { target, from } = snapshotOf(context, how.kept);
      await refreshBranch(context, { branch: target, from, ...by, ...force });
      return;
    }
    case 'retake':
      return swapNames(context, operation, how.kept, how.name, request.by);
    case 'undelete':
      return undelete(context, operation, how.object, request.by);
    default:
      throw new StorageError('ERR_UNSUPPORTED', `operation ${operation.id} cannot be undone`);
  }
}

/** A snapshot by its id: what it is of, and its reference. */
function snapshotOf(context: StoreContext, id: number): { target: string; from: string } {
  const found = context.index.snapshotWithId(id);
  const isHidden = [found?.snapshot, found?.branch].some((each) => each && isRemoved(each));
  if (found !== undefined && !isHidden) {
    const target = ownerReference(found);
    return { target, from: snapshotReference(target, snapshotAttributes(found.snapshot).name) };
  }
  throw new StorageError(
    'ERR_NOT_FOUND',
    'the state from before was deleted; have it back first: pal log, pal undo OPERATION',
  );
}

/** The old snapshot gets its name back, the new one another. */
async function swapNames(
  context: StoreContext,
  operation: OperationRecord,
  kept: number,
  name: string,
  by: string | undefined,
): Promise<void> {
  const { environment, index, save } = context;
  const { target } = snapshotOf(context, kept);
  const now = environment.now();
  const { volume, branch = volume } = index.snapshotWithId(kept) as OwnedSnapshot;
  const newer = index.snapshotNamed(branch, name)?.id;
  await save.transact((batch) => {
    if (newer !== undefined) {
      const other = keptName(
        name,
        now,
        (candidate) => index.snapshotNamed(branch, candidate) !== undefined,
      );
      changeAttributes(save, batch, newer, { name: other });
    }
    changeAttributes(save, batch, kept, { name });
    recordOperation(save, batch, {
      at: now,
      by: by ?? context.by,
      kind: 'undo',
      target: snapshotReference(target, name),
      detail: `operation ${operation.id}`,
      ...(newer === undefined ? {} : { undo: { kind: 'retake', kept: newer, name } }),
    });
  });
}

async function undelete(
  context: StoreContext,
  operation: OperationRecord,
  object: number,
  by: string | undefined,
): Promise<void> {
  const { environment, save } = context;
  const thing = removedThing(context, object);
  if (thing === undefined) throw new StorageError('ERR_NOT_FOUND', `${operation.target} is gone`);
  const now = environment.now();
  const { name } = attributesOf(thing);
  const isTaken = (candidate: string): boolean => isNameUsed(context, thing, candidate);
  const back = isTaken(name) ? generatedName(now, isTaken, `${name.slice(0, 96)}-`) : name;
  await save.transact((batch) => {
    const stored = storedObject(save, undefined, objectOf(thing), batch);
    if (stored === undefined || isGoing(stored)) {
      throw new StorageError('ERR_NOT_FOUND', `${operation.target} is gone: its space was needed`);
    }
    changeAttributes(save, batch, objectOf(thing), { removed: undefined, name: back });
    const renamed = back === name ? '' : `, now called ${back}`;
    recordOperation(save, batch, {
      at: now,
      by: by ?? context.by,
      kind: 'undo',
      target: referenceOf(thing),
      detail: `operation ${operation.id}${renamed}`,
    });
  });
}

function removedThing(context: StoreContext, object: number): RemovedThing | undefined {
  return context.index
    .removed()
    .find((each) => objectOf(each) === object && attributesOf(each).removed?.isGoing !== true);
}

function isNameUsed(context: StoreContext, thing: RemovedThing, name: string): boolean {
  const { index } = context;
  if (thing.kind === 'volume') return false; // a deleted volume keeps its name (I1)
  if (thing.kind === 'branch') return index.branchNamed(thing.volume, name) !== undefined;
  const owner = thing.branch ?? thing.volume;
  return index.snapshotNamed(owner, name) !== undefined;
}
