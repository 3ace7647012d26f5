/**
 * Restore: production, or a branch, becomes a snapshot or a branch again, at once. Production's image
 * is copied back behind it by a job; the state before is a snapshot.
 */
import { StorageError } from '@palimpsest/block-device';
import type { ProductionVolume, RestoreSource, VolumeRecord } from '@palimpsest/ro-snapshot';
import { judgeSnapshots } from './attendants.js';
import { findBase, refreshBranch } from './branch-operations.js';
import { baseOf, find, findTarget, findVolume, volumeName } from './catalog.js';
import { makeUnused, type StoreContext } from './context.js';
import { resumeFlattens } from './flatten-operations.js';
import { keptName } from './names.js';
import { recordOperation } from './operation-log.js';
import { changeAttributes, snapshotAttributes } from './records.js';
import { snapshotReference } from './references.js';
import { openSource } from './restore-source.js';
import { identity, isNameTaken } from './snapshot-operations.js';
import type { RestoreInfo, RestoreRequest } from './work-types.js';

/** A slow copy-back goes in small steps: one that waits for its turn when the daemon ends waits anew. */
const STEPS_A_SECOND = 4;
const STEP_BYTES_MAX = 2 << 20;

type RunningRestore = ProductionVolume['restores'][number];

/** See `Store.restore`. */
export async function restore(
  context: StoreContext,
  request: RestoreRequest,
): Promise<RestoreInfo> {
  const { environment, index, save } = context;
  const target = findTarget(index, request.target);
  if (target.kind === 'branch') return restoreBranch(context, target.reference, request);
  const source = await findBase(context, request.from, () => {}, request.by);
  if (source.volume.id !== target.volume.id) {
    throw new StorageError(
      'ERR_INVALID',
      `${source.reference} is not of ${target.reference}; a volume is restored from its own ` +
        `snapshots and branches: pal snapshot list ${target.reference}`,
    );
  }
  assertRate(request.bytesPerSecond);
  await makeUnused(context, [target.reference], request);
  await context.jobs.pause('restore', target.reference).catch(() => undefined);
  const { production } = await context.attached.attach(target.volume);
  const now = environment.now();
  const by = request.by ?? context.by;
  const name = keptName(target.reference, now, (candidate) =>
    isNameTaken(context, target, candidate),
  );
  const kept = snapshotReference(target.reference, name);
  const { bytesPerSecond } = request;
  try {
    await production.startRestore(await sourceOf(context, production, source.snapshot.id), {
      undo: { name, createdAt: now, identity: identity(context) },
      attributes: {
        from: source.reference,
        startedAt: now,
        ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
      },
      alongside: (batch, undo) => {
        recordOperation(save, batch, {
          at: now,
          by,
          kind: 'restore',
          target: target.reference,
          detail: `from ${source.reference}; what it was is ${kept}`,
          undo: { kind: 'restore', volume: target.volume.id, undo },
        });
      },
    });
  } finally {
    resumeCopyBack(context, target.volume, production);
  }
  const info = restoreInfo(context, target.volume, production) as RestoreInfo;
  await judgeSnapshots(context, [kept]);
  return info;
}

async function restoreBranch(
  context: StoreContext,
  reference: string,
  request: RestoreRequest,
): Promise<RestoreInfo> {
  const startedAt = new Date(context.environment.now()).toISOString();
  const { from, by, force } = request;
  const found = find(context.index, from, context.environment.now());
  const { kept } = await refreshBranch(
    context,
    {
      branch: reference,
      from,
      ...(by === undefined ? {} : { by }),
      ...(force === undefined ? {} : { force }),
    },
    'restore',
  );
  return {
    target: reference,
    from: found.reference,
    ...(kept === undefined ? {} : { undo: kept }),
    state: 'done',
    doneBytes: 0,
    totalBytes: 0,
    startedAt,
  };
}

/** What a restore reads: a snapshot of the volume, or of a branch of it. */
async function sourceOf(
  context: StoreContext,
  production: ProductionVolume,
  snapshot: number,
): Promise<number | RestoreSource> {
  const ref = baseOf(context.save, snapshot);
  return ref.volume === production.id ? snapshot : openSource(context.save, ref, production);
}

/** Starts, or goes on with, the copy-back of a volume that is being restored, unless it is paused. */
export function resumeCopyBack(
  context: StoreContext,
  volume: VolumeRecord,
  production: ProductionVolume,
): void {
  const top = production.restores.at(-1);
  if (top === undefined || top.attributes.paused === true) return;
  const { bytesPerSecond } = top.attributes;
  const isLimited = typeof bytesPerSecond === 'number';
  context.jobs.start({
    kind: 'restore',
    target: volumeName(volume),
    ...(isLimited ? { bytesPerSecond } : {}),
    run: async (how) => {
      await production.copyBack({
        ...(isLimited
          ? { stepBytes: Math.min(STEP_BYTES_MAX, bytesPerSecond / STEPS_A_SECOND) }
          : {}),
        signal: how.signal,
        pace: how.pace,
        onProgress: ({ doneBlocks, totalBlocks }) => how.onProgress(doneBlocks, totalBlocks),
      });
      resumeFlattens(context); // those that the restore kept from going on
      const at = context.environment.now();
      context.emit({ type: 'restore-done', at, reference: volumeName(volume) });
    },
  });
}

/** Goes on with every restore that nobody paused and that did not fail. */
export function resumeAll(context: StoreContext): void {
  for (const { production } of context.attached.all()) {
    const record = context.index.volumeWithId(production.id);
    if (record === undefined) continue;
    const state = context.jobs.find('restore', volumeName(record))?.state;
    if (state !== 'failed') resumeCopyBack(context, record, production);
  }
}

/** See `Store.pauseRestore`. */
export async function pauseRestore(context: StoreContext, target: string): Promise<RestoreInfo> {
  const { volume, production, top } = await running(context, target);
  await context.save.transact((batch) => {
    changeAttributes(context.save, batch, top.id, { paused: true });
  });
  await context.jobs.pause('restore', volumeName(volume)).catch(() => undefined);
  return restoreInfo(context, volume, production) as RestoreInfo;
}

/** See `Store.resumeRestore`. */
export async function resumeRestore(
  context: StoreContext,
  target: string,
  { bytesPerSecond }: { readonly bytesPerSecond?: number },
): Promise<RestoreInfo> {
  assertRate(bytesPerSecond);
  const { volume, production, top } = await running(context, target);
  await context.jobs.pause('restore', volumeName(volume)).catch(() => undefined);
  await context.save.transact((batch) => {
    const rate = bytesPerSecond === undefined ? {} : { bytesPerSecond };
    changeAttributes(context.save, batch, top.id, { paused: undefined, ...rate });
  });
  resumeCopyBack(context, volume, production);
  return restoreInfo(context, volume, production) as RestoreInfo;
}

/** See `Store.cancelRestore`: back to what it was before, at once. */
export async function cancelRestore(
  context: StoreContext,
  target: string,
  options: { readonly force?: boolean; readonly by?: string },
): Promise<RestoreInfo> {
  const { volume, top } = await running(context, target);
  const name = volumeName(volume);
  const undo = volume.snapshots.find(({ id }) => id === top.undo);
  if (undo === undefined)
    throw new StorageError('ERR_NOT_FOUND', `the undo snapshot of ${name} is gone`);
  const from = snapshotReference(name, snapshotAttributes(undo).name);
  return restore(context, { ...options, target: name, from });
}

/** Every restore that is under way. */
export function restoreInfos(context: StoreContext): readonly RestoreInfo[] {
  return context.index.volumes().flatMap((volume) => {
    const production = context.attached.get(volume)?.production;
    const info = production && restoreInfo(context, volume, production);
    return info === undefined ? [] : [info];
  });
}

function restoreInfo(
  context: StoreContext,
  volume: VolumeRecord,
  production: ProductionVolume,
): RestoreInfo | undefined {
  const top = production.restores.at(-1);
  if (top === undefined) return undefined;
  const name = volumeName(volume);
  const undo = context.index.volumeWithId(volume.id)?.snapshots.find(({ id }) => id === top.undo);
  const { from, startedAt } = top.attributes;
  const job = context.jobs.find('restore', name);
  const { blockSize } = context.save;
  return {
    target: name,
    from: String(from ?? ''),
    ...(undo === undefined ? {} : { undo: snapshotReference(name, snapshotAttributes(undo).name) }),
    state: job?.state === 'running' ? 'running' : job?.state === 'failed' ? 'failed' : 'paused',
    doneBytes: top.doneBlocks * blockSize,
    totalBytes: top.totalBlocks * blockSize,
    startedAt: new Date(Number(startedAt ?? 0)).toISOString(),
    ...(job === undefined ? {} : { job: job.id }),
  };
}

async function running(
  context: StoreContext,
  target: string,
): Promise<{ volume: VolumeRecord; production: ProductionVolume; top: RunningRestore }> {
  const volume = findVolume(context.index, target);
  const { production } = await context.attached.attach(volume);
  const top = production.restores.at(-1);
  if (top !== undefined) return { volume, production, top };
  throw new StorageError(
    'ERR_NOT_FOUND',
    `no restore of ${target} is under way: pal restore status`,
  );
}

function assertRate(bytesPerSecond: number | undefined): void {
  if (bytesPerSecond === undefined || (Number.isFinite(bytesPerSecond) && bytesPerSecond >= 4096)) {
    return;
  }
  throw new StorageError(
    'ERR_INVALID',
    `${bytesPerSecond} bytes a second are too few: at least 4096, or no limit at all`,
  );
}
