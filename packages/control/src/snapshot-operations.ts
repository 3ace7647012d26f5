/** Taking snapshots: one, a group at one instant, one again under its name. Checks come first (C3). */
import { StorageError } from '@palimpsest/block-device';
import { createSnapshots, type GroupMember, type SnapshotTaker } from '@palimpsest/ro-snapshot';
import { branchTaker } from '@palimpsest/rw-snapshot';
import type { Batch } from '@palimpsest/save-volume';
import { judgeSnapshots } from './attendants.js';
import { type FoundTarget, findSnapshot, findTarget, ownerOf, volumeName } from './catalog.js';
import { listed, makeUnused, type StoreContext } from './context.js';
import { dependantsOf } from './dependants.js';
import { assertDetails, type Details, detailAttributes } from './details.js';
import { snapshotInfo } from './listing.js';
import { assertName, generatedName, keptName } from './names.js';
import { recordOperation } from './operation-log.js';
import { changeAttributes, snapshotAttributes } from './records.js';
import { snapshotReference } from './references.js';
import { assertNotHeld } from './removal.js';
import type {
  Attribution,
  CreateSnapshotRequest,
  RefreshedSnapshot,
  SnapshotInfo,
} from './store-types.js';
import { assertNoImport } from './unfinished-imports.js';

/** Bytes of a snapshot's identity: no two snapshots have the same. */
const IDENTITY_BYTES = 16;

/** See `Store.createSnapshot`. */
export async function createSnapshot(
  context: StoreContext,
  request: CreateSnapshotRequest,
): Promise<SnapshotInfo> {
  const { volume, ...rest } = request;
  const [info] = await createGroupSnapshot(context, { ...rest, targets: [volume] });
  return info as SnapshotInfo;
}

/** See `Store.createGroupSnapshot`. */
export async function createGroupSnapshot(
  context: StoreContext,
  request: { readonly targets: readonly string[]; readonly name?: string } & Details & Attribution,
): Promise<readonly SnapshotInfo[]> {
  const { environment, index, save } = context;
  if (request.targets.length === 0) {
    throw new StorageError('ERR_INVALID', 'name what to take a snapshot of: a volume or a branch');
  }
  const targets = request.targets.map((text) => findTarget(index, text));
  const now = environment.now();
  const isTaken = (candidate: string): boolean =>
    targets.some((target) => isNameTaken(context, target, candidate));
  const name = request.name ?? generatedName(now, isTaken);
  assertName('snapshot', name);
  assertDetails(request);
  for (const target of targets) {
    if (!isNameTaken(context, target, name)) continue;
    throw new StorageError(
      'ERR_EXISTS',
      `${target.reference} has a snapshot ${name} already; choose another name, or leave the name ` +
        `out to have one made: pal snapshot create ${target.reference}`,
    );
  }
  const by = request.by ?? context.by;
  const members: GroupMember[] = [];
  for (const target of targets) {
    const attributes = {
      name,
      createdAt: now,
      identity: identity(context),
      ...detailAttributes(request, now, by),
    };
    members.push({ taker: await takerOf(context, target), attributes });
  }
  const references = targets.map(({ reference }) => snapshotReference(reference, name));
  await context.attendants.atRest(
    targets.map(({ reference }) => reference),
    () =>
      createSnapshots(members, (batch) => {
        for (const target of references) {
          recordOperation(save, batch, { at: now, by, kind: 'snapshot', target });
        }
      }),
  );
  await judgeSnapshots(context, references);
  return references.map((reference) => infoOf(context, reference));
}

/** See `Store.refreshSnapshot`. */
export async function refreshSnapshot(
  context: StoreContext,
  text: string,
  options: { readonly keep?: boolean; readonly force?: boolean } & Attribution,
): Promise<RefreshedSnapshot> {
  const { environment, index, save } = context;
  const now = environment.now();
  const found = findSnapshot(index, text, now);
  assertNotHeld(found);
  const dependants = dependantsOf(context, found.snapshot.id).map((each) => each.reference);
  if (dependants.length > 0 && options.keep === false) {
    throw new StorageError(
      'ERR_IN_USE',
      `${found.reference} is needed by ${listed(dependants)}; keep what it was: leave --drop out`,
    );
  }
  await makeUnused(context, [found.reference], options);
  const before = snapshotAttributes(found.snapshot);
  const target = targetOf(found);
  const kept = keptName(before.name, now, (name) => isNameTaken(context, target, name));
  const by = options.by ?? context.by;
  const { removed: _, holds: __, consistency: ___, ...same } = before;
  const attributes = { ...same, createdAt: now, identity: identity(context) };
  const isDropped = options.keep === false;
  const members = [{ taker: await takerOf(context, target), attributes }];
  const alongside = (batch: Batch): void => {
    const removed = isDropped ? { removed: { at: now, until: now, by } } : {};
    changeAttributes(save, batch, found.snapshot.id, { name: kept, ...removed });
    recordOperation(save, batch, {
      at: now,
      by,
      kind: 'refresh-snapshot',
      target: found.reference,
      ...(isDropped
        ? {}
        : {
            detail: `what it was is ${snapshotReference(target.reference, kept)}`,
            undo: { kind: 'retake', kept: found.snapshot.id, name: before.name },
          }),
    });
  };
  const { attendants } = context;
  await attendants.atRest([target.reference], () => createSnapshots(members, alongside));
  await judgeSnapshots(context, [found.reference]);
  if (isDropped) await context.sweep();
  return {
    snapshot: infoOf(context, found.reference),
    ...(isDropped ? {} : { kept: snapshotReference(target.reference, kept) }),
  };
}

/** What a snapshot can be taken of. */
export async function takerOf(context: StoreContext, target: FoundTarget): Promise<SnapshotTaker> {
  if (target.kind === 'branch') return branchTaker(context.save, target.branch.id);
  assertNoImport(target.volume);
  const { production } = await context.attached.attach(target.volume);
  return production;
}

/** Whether a volume or branch has a snapshot of that name. */
export function isNameTaken(
  { index }: Pick<StoreContext, 'index'>,
  target: FoundTarget,
  name: string,
): boolean {
  return index.snapshotNamed(ownerOf(target), name) !== undefined;
}

/** The volume or branch that a snapshot is of. */
export function targetOf(found: ReturnType<typeof findSnapshot>): FoundTarget {
  const { volume, branch, reference } = found;
  const target = reference.slice(0, reference.indexOf('@'));
  if (branch === undefined) return { kind: 'volume', reference: volumeName(volume), volume };
  return { kind: 'branch', reference: target, volume, branch };
}

/** A snapshot, told. @throws {StorageError} ERR_NOT_FOUND. */
export function infoOf(context: StoreContext, reference: string): SnapshotInfo {
  return snapshotInfo(context, findSnapshot(context.index, reference, context.environment.now()));
}

/** A new identity. */
export function identity(context: StoreContext): string {
  return Buffer.from(context.environment.random(IDENTITY_BYTES)).toString('hex');
}
