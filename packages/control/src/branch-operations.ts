/** Branch operations: create, refresh, size, quota. Checks come before the first change (C3). */
import { StorageError } from '@palimpsest/block-device';
import * as engine from '@palimpsest/rw-snapshot';
import { judgeSnapshots } from './attendants.js';
import { baseOf, type FoundSnapshot, find, findBranch, findTarget, volumeName } from './catalog.js';
import { makeUnused, type StoreContext } from './context.js';
import { assertLabels } from './details.js';
import { branchInfo, volumeInfo } from './listing.js';
import { assertName, keptName, quote } from './names.js';
import { recordOperation } from './operation-log.js';
import { branchAttributes } from './records.js';
import { branchReference, parseReference, snapshotReference } from './references.js';
import { createSnapshot, identity, isNameTaken } from './snapshot-operations.js';
import { withRelief } from './space-policy.js';
import type {
  Attribution,
  BranchInfo,
  CreateBranchRequest,
  RefreshBranchRequest,
  RefreshedBranch,
  VolumeInfo,
} from './store-types.js';

/** See `Store.createBranch`. */
export async function createBranch(
  context: StoreContext,
  request: CreateBranchRequest,
): Promise<BranchInfo> {
  const { environment, save } = context;
  const { volume } = parseReference(request.from);
  const name = branchName(request.name, volume);
  assertName('branch', name);
  if (request.labels !== undefined) assertLabels(request.labels);
  const base = await findBase(
    context,
    request.from,
    () => assertNewBranch(context, volume, name),
    request.by,
  );
  const volumeRecord = base.volume;
  assertNewBranch(context, volume, name);
  const { labels, quotaBytes } = request;
  if (quotaBytes !== undefined) assertQuota(quotaBytes);
  const now = environment.now();
  const by = request.by ?? context.by;
  const attributes = { name, createdAt: now, ...(labels === undefined ? {} : { labels }) };
  await withRelief(save, () =>
    engine.createBranch(save, baseOf(save, base.snapshot.id), attributes, {
      ...(quotaBytes === undefined ? {} : { quotaBytes }),
      alongside: (batch) => {
        const target = branchReference(volume, name);
        const detail = `from ${base.reference}`;
        recordOperation(save, batch, { at: now, by, kind: 'branch', target, detail });
      },
    }),
  );
  return infoOf(context, branchReference(volumeName(volumeRecord), name));
}

/** See `Store.refreshBranch`; a restore of a branch is the same. */
export async function refreshBranch(
  context: StoreContext,
  request: RefreshBranchRequest,
  kind: 'refresh' | 'restore' = 'refresh',
): Promise<RefreshedBranch> {
  const { environment, index, save } = context;
  const found = findBranch(index, request.branch);
  const source = await findBase(context, request.from, () => {}, request.by);
  if (source.volume.id !== found.volume.id) {
    throw new StorageError(
      'ERR_INVALID',
      `${source.reference} is not of ${volumeName(found.volume)}, as ${found.reference} is; choose ` +
        `a snapshot of it: pal snapshot list ${volumeName(found.volume)}`,
    );
  }
  const now = environment.now();
  const name = branchAttributes(found.branch).name;
  const kept = keptName(name, now, (candidate) => isNameTaken(context, found, candidate));
  const isKept = request.keep !== false;
  const by = request.by ?? context.by;
  await makeUnused(context, [found.reference], request);
  const keptReference = snapshotReference(found.reference, kept);
  const keep = { name: kept, createdAt: now, identity: identity(context) };
  const { settled } = await engine.refreshBranch(
    save,
    found.branch.id,
    baseOf(save, source.snapshot.id),
    {
      ...(isKept ? { keep } : {}),
      alongside: (batch, keptId) =>
        void recordOperation(save, batch, {
          at: now,
          by,
          kind,
          target: found.reference,
          detail: isKept
            ? `from ${source.reference}; what it was is ${keptReference}`
            : `from ${source.reference}`,
          ...(keptId === undefined
            ? {}
            : { undo: { kind: 'refresh', branch: found.branch.id, kept: keptId } }),
        }),
    },
  );
  if (isKept) await judgeSnapshots(context, [keptReference]);
  else await settled;
  return {
    branch: infoOf(context, found.reference),
    ...(isKept ? { kept: keptReference } : {}),
  };
}

/** See `Store.resize`. */
export async function resize(
  context: StoreContext,
  reference: string,
  size: number,
  { by }: Attribution,
): Promise<BranchInfo | VolumeInfo> {
  const { environment, index, save } = context;
  const found = findTarget(index, reference);
  const alongside = (batch: Parameters<typeof recordOperation>[1]): void => {
    recordOperation(save, batch, {
      at: environment.now(),
      by: by ?? context.by,
      kind: 'resize',
      target: found.reference,
      detail: `to ${size} bytes`,
    });
  };
  if (found.kind === 'branch') {
    await engine.resizeBranch(save, found.branch.id, size, alongside);
    return infoOf(context, found.reference);
  }
  const { production } = await context.attached.attach(found.volume);
  await production.resize(size, { alongside });
  const record = index.volumeNamed(found.reference);
  if (record === undefined) throw new StorageError('ERR_NOT_FOUND', `${reference} went away`);
  return volumeInfo(context, record, context.pathOf(record));
}

/** See `Store.setQuota`. */
export async function setQuota(
  context: StoreContext,
  reference: string,
  bytes: number | null,
): Promise<BranchInfo> {
  const { branch, reference: found } = findBranch(context.index, reference);
  if (bytes !== null) assertQuota(bytes);
  await engine.setBranchQuota(context.save, branch.id, bytes ?? undefined);
  return infoOf(context, found);
}

/**
 * The snapshot that something is to be based on. Of a volume or a branch one is taken first, after
 * `check`.
 */
export async function findBase(
  context: StoreContext,
  from: string,
  check: () => void,
  by?: string,
): Promise<FoundSnapshot> {
  const now = context.environment.now();
  const found = find(context.index, from, now);
  if (found.kind === 'snapshot') return found;
  check();
  const attribution = by === undefined ? {} : { by };
  const taken = await createSnapshot(context, { volume: found.reference, ...attribution });
  return find(context.index, taken.reference, now) as FoundSnapshot;
}

/** A branch, told. @throws {StorageError} ERR_NOT_FOUND. */
export function infoOf(context: StoreContext, reference: string): BranchInfo {
  const { volume, branch } = findBranch(context.index, reference);
  return branchInfo(context, volume, branch);
}

/** The branch's own name, when it is written with its volume. */
function branchName(name: string, volume: string): string {
  const slash = name.indexOf('/');
  if (slash < 0) return name;
  if (name.slice(0, slash) === volume) return name.slice(slash + 1);
  throw new StorageError(
    'ERR_INVALID',
    `${quote(name)} is not a branch of ${volume}, where the snapshot is; write ` +
      `${branchReference(volume, 'NAME')}, or only the name`,
  );
}

function assertNewBranch(context: StoreContext, volume: string, name: string): void {
  const record = context.index.volumeNamed(volume);
  if (record === undefined || context.index.branchNamed(record, name) === undefined) return;
  throw new StorageError(
    'ERR_EXISTS',
    `${volume} has a branch ${name} already; choose another name, or see it: ` +
      `pal branch list ${volume}`,
  );
}

function assertQuota(bytes: number): void {
  if (Number.isSafeInteger(bytes) && bytes >= 0) return;
  throw new StorageError('ERR_INVALID', `a quota is a number of bytes, not ${bytes}`);
}
