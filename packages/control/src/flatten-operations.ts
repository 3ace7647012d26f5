/**
 * Flatten: making a branch independent of its base, as a job that goes on after a restart. A restore
 * that reads through the branch pauses it until it has ended.
 */
import { isStorageError, StorageError } from '@palimpsest/block-device';
import {
  assertNotRestoredFrom,
  flattenBranch as flatten,
  listBranches,
} from '@palimpsest/rw-snapshot';
import { findBranch, volumeName } from './catalog.js';
import type { StoreContext } from './context.js';
import { recordOperation } from './operation-log.js';
import { branchAttributes, changeAttributes } from './records.js';
import { branchReference } from './references.js';
import type { JobInfo } from './work-types.js';

/** See `Store.flattenBranch`. */
export async function flattenBranch(
  context: StoreContext,
  reference: string,
  { bytesPerSecond }: { readonly bytesPerSecond?: number },
): Promise<JobInfo> {
  const { branch, reference: target } = findBranch(context.index, reference);
  const { save } = context;
  naming(target, () => assertNotRestoredFrom(save, branch.id));
  const rate = bytesPerSecond === undefined ? {} : { flattenRate: bytesPerSecond };
  await save.transact((batch) => {
    changeAttributes(save, batch, branch.id, { flattening: 'running', ...rate });
  });
  return start(context, branch.id, target, bytesPerSecond);
}

/** See `Store.pauseFlatten`. */
export async function pauseFlatten(context: StoreContext, reference: string): Promise<JobInfo> {
  const { branch, reference: target } = findBranch(context.index, reference);
  const info = await context.jobs.pause('flatten', target);
  await context.save.transact((batch) => {
    changeAttributes(context.save, batch, branch.id, { flattening: 'paused' });
  });
  return info;
}

/** Goes on with what was under way, here or when the store was last closed, but for what was paused. */
export function resumeFlattens(context: StoreContext): void {
  for (const branch of listBranches(context.save)) {
    const { flattening, flattenRate } = branch.attributes;
    const volume = context.index.volumeWithId(branch.volume);
    if (flattening !== 'running' || branch.base === null || volume === undefined) continue;
    const reference = branchReference(volumeName(volume), branchAttributes(branch).name);
    start(context, branch.id, reference, typeof flattenRate === 'number' ? flattenRate : undefined);
  }
}

function start(
  context: StoreContext,
  id: number,
  target: string,
  bytesPerSecond: number | undefined,
): JobInfo {
  const { environment, index, save } = context;
  return context.jobs.start({
    kind: 'flatten',
    target,
    ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
    run: async (how) => {
      const { volume } = findBranch(index, target);
      const { production } = await context.attached.attach(volume);
      naming(target, () => assertNotRestoredFrom(save, id));
      await flatten(save, id, ({ snapshot }) => production.openSnapshot(snapshot), {
        ...how,
        alongside: (batch) => {
          changeAttributes(save, batch, id, { flattening: undefined, flattenRate: undefined });
          const at = environment.now();
          recordOperation(save, batch, { at, by: context.by, kind: 'flatten', target });
        },
      });
    },
  });
}

/** Lets an error of the engine name the branch as its user does. */
function naming(target: string, check: () => void): void {
  try {
    check();
  } catch (cause) {
    if (!isStorageError(cause, 'ERR_BUSY')) throw cause;
    throw new StorageError(
      'ERR_BUSY',
      `a restore reads through ${target}, which can be flattened when that has ended: ` +
        'pal restore status',
      { cause },
    );
  }
}
