/** Flatten: making a branch independent of its base, as a job that goes on after a restart. */
import { flattenBranch as flatten, listBranches } from '@palimpsest/rw-snapshot';
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
  const rate = bytesPerSecond === undefined ? {} : { flattenRate: bytesPerSecond };
  await save.transact((batch) => {
    changeAttributes(save, batch, branch.id, { flattening: 'running', ...rate });
  });
  context.index.changed();
  return start(context, branch.id, target, bytesPerSecond);
}

/** See `Store.pauseFlatten`. */
export async function pauseFlatten(context: StoreContext, reference: string): Promise<JobInfo> {
  const { branch, reference: target } = findBranch(context.index, reference);
  const info = await context.jobs.pause('flatten', target);
  await context.save.transact((batch) => {
    changeAttributes(context.save, batch, branch.id, { flattening: 'paused' });
  });
  context.index.changed();
  return info;
}

/** Goes on with what was under way when the store was last closed, but for what was paused. */
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
      await flatten(save, id, ({ snapshot }) => production.openSnapshot(snapshot), {
        ...how,
        alongside: (batch) => {
          changeAttributes(save, batch, id, { flattening: undefined, flattenRate: undefined });
          const at = environment.now();
          recordOperation(save, batch, { at, by: context.by, kind: 'flatten', target });
        },
      });
      index.changed();
    },
  });
}
