/** Changing what is said about things: names, messages, labels, holds, expiry. */
import { StorageError } from '@palimpsest/block-device';
import { type Found, find, findSnapshot, volumeName } from './catalog.js';
import { assertUnused, type StoreContext } from './context.js';
import { assertLabels, assertMessage, assertTag } from './details.js';
import { assertName } from './names.js';
import { recordOperation } from './operation-log.js';
import {
  branchAttributes,
  changeAttributes,
  snapshotAttributes,
  volumeAttributes,
} from './records.js';
import { branchReference, snapshotReference } from './references.js';
import { infoOf, isNameTaken, targetOf } from './snapshot-operations.js';
import type { Attribution, EditRequest, SnapshotInfo } from './store-types.js';

/** See `Store.edit`. The reference that it has now. */
export async function edit(
  context: StoreContext,
  reference: string,
  request: EditRequest,
): Promise<string> {
  const { environment, index, save } = context;
  const found = find(index, reference, environment.now());
  const changes: Record<string, unknown> = {};
  let renamed = found.reference;
  if (request.name !== undefined && request.name !== nameOf(found)) {
    renamed = await assertRename(context, found, request.name);
    changes.name = request.name;
  }
  if (request.message !== undefined) {
    assertMessage(request.message);
    changes.message = request.message === '' ? undefined : request.message;
  }
  if (request.labels !== undefined) {
    assertLabels(request.labels);
    changes.labels = Object.keys(request.labels).length === 0 ? undefined : request.labels;
  }
  if (request.expiresAt !== undefined) {
    if (found.kind !== 'snapshot') {
      throw new StorageError(
        'ERR_INVALID',
        `only snapshots expire; ${reference} is a ${found.kind}`,
      );
    }
    changes.expiresAt = request.expiresAt === null ? undefined : timeOf(request.expiresAt);
  }
  await save.transact((batch) => {
    changeAttributes(save, batch, idOf(found), changes);
    recordOperation(save, batch, {
      at: environment.now(),
      by: request.by ?? context.by,
      kind: 'edit',
      target: found.reference,
      detail: Object.keys(changes).join(', '),
    });
  });
  return renamed;
}

/** See `Store.hold`. */
export async function hold(
  context: StoreContext,
  reference: string,
  tag: string,
  options: { readonly reason?: string } & Attribution,
): Promise<SnapshotInfo> {
  assertTag(tag);
  if (options.reason !== undefined) assertMessage(options.reason);
  const by = options.by ?? context.by;
  const since = context.environment.now();
  const reason = options.reason === undefined ? {} : { reason: options.reason };
  return changeHolds(context, reference, by, 'hold', (holds) => {
    if (tag in holds) {
      throw new StorageError('ERR_EXISTS', `${reference} is held by "${tag}" already`);
    }
    return { ...holds, [tag]: { since, by, ...reason } };
  });
}

/** See `Store.unhold`. */
export async function unhold(
  context: StoreContext,
  reference: string,
  tag: string,
  options: Attribution,
): Promise<SnapshotInfo> {
  return changeHolds(context, reference, options.by ?? context.by, 'unhold', (holds) => {
    const { [tag]: found, ...rest } = holds;
    if (found !== undefined) return rest;
    const known = Object.keys(holds).join(', ') || 'none';
    throw new StorageError('ERR_NOT_FOUND', `${reference} has no hold "${tag}"; it has: ${known}`);
  });
}

type Holds = NonNullable<ReturnType<typeof snapshotAttributes>['holds']>;

async function changeHolds(
  context: StoreContext,
  reference: string,
  by: string,
  kind: string,
  change: (holds: Holds) => Holds,
): Promise<SnapshotInfo> {
  const { environment, index, save } = context;
  const found = findSnapshot(index, reference, environment.now());
  const holds = change(snapshotAttributes(found.snapshot).holds ?? {});
  const kept = Object.keys(holds).length === 0 ? undefined : holds;
  await save.transact((batch) => {
    changeAttributes(save, batch, found.snapshot.id, { holds: kept });
    const target = found.reference;
    recordOperation(save, batch, { at: environment.now(), by, kind, target });
  });
  return infoOf(context, found.reference);
}

async function assertRename(context: StoreContext, found: Found, name: string): Promise<string> {
  assertName(found.kind, name);
  const volume = volumeName(found.volume);
  // Clients come back to the name that they know.
  await assertUnused(context, [found.reference]);
  if (found.kind === 'volume') {
    if (context.index.volumeNamed(name) !== undefined) throw taken(found.reference, name);
    return name;
  }
  if (found.kind === 'branch') {
    if (context.index.branchNamed(found.volume, name) !== undefined) throw taken(volume, name);
    return branchReference(volume, name);
  }
  const target = targetOf(found);
  if (isNameTaken(context, target, name)) throw taken(target.reference, name);
  return snapshotReference(target.reference, name);
}

function taken(where: string, name: string): StorageError {
  return new StorageError('ERR_EXISTS', `the name ${name} is taken (${where}); choose another one`);
}

function nameOf(found: Found): string {
  if (found.kind === 'volume') return volumeAttributes(found.volume).name;
  if (found.kind === 'branch') return branchAttributes(found.branch).name;
  return snapshotAttributes(found.snapshot).name;
}

function idOf(found: Found): number {
  if (found.kind === 'volume') return found.volume.id;
  return found.kind === 'branch' ? found.branch.id : found.snapshot.id;
}

function timeOf(text: string): number {
  const ms = Date.parse(text);
  if (Number.isFinite(ms)) return ms;
  throw new StorageError(
    'ERR_INVALID',
    `"${text}" is not a time; write it as 2026-12-31T12:00:00Z`,
  );
}
