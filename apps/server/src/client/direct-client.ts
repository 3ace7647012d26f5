/** A StoreClient on a store that this process opens itself, under the store's lock. */
import { type Logger, openStore } from '@palimpsest/control';
import { createFileVerbs, createMounts } from '@palimpsest/mounted-files';
import { followJob } from '../follow-job.js';
import { createNodeEnvironment } from '../node-environment.js';
import { directExchange } from './exchange-client.js';
import type { StoreClient } from './store-client.js';

/**
 * Opens the store in a directory, for this process alone. `by` is who asks, for the log.
 * @throws {StorageError} as `openStore`.
 */
export async function openDirectClient(
  directory: string,
  logger: Logger,
  by: string,
): Promise<StoreClient> {
  const store = await openStore(directory, createNodeEnvironment(logger), { by });
  const mounts = createMounts(store, { idleMs: 0, warn: (message) => logger.warn(message) });
  const close = async (): Promise<void> => {
    await mounts.close();
    await store.close();
  };
  return {
    mode: 'direct',
    files: createFileVerbs(mounts),
    ...directExchange(store),
    status: async () => store.status(),
    metrics: async () => store.metrics(),
    createVolume: (request) => store.createVolume(request),
    adoptVolume: (request) => store.adoptVolume(request),
    releaseVolume: (name, options) => store.releaseVolume(name, options),
    deleteVolume: (name, options) => store.deleteVolume(name, options),
    listVolumes: async () => store.listVolumes(),
    resize: (reference, size, options) => store.resize(reference, size, options),
    createSnapshot: (request) => store.createSnapshot(request),
    createGroupSnapshot: (request) => store.createGroupSnapshot(request),
    refreshSnapshot: (reference, options) => store.refreshSnapshot(reference, options),
    listSnapshots: async (target) => store.listSnapshots(target),
    deleted: async () => store.deleted(),
    hold: (reference, tag, options) => store.hold(reference, tag, options),
    unhold: (reference, tag, options) => store.unhold(reference, tag, options),
    edit: (reference, request) => store.edit(reference, request),
    deleteSnapshot: (reference, options) => store.deleteSnapshot(reference, options),
    createBranch: (request) => store.createBranch(request),
    refreshBranch: (request) => store.refreshBranch(request),
    flattenBranch: (reference, options) => store.flattenBranch(reference, options),
    pauseFlatten: (reference) => store.pauseFlatten(reference),
    setQuota: (branch, bytes) => store.setQuota(branch, bytes),
    listBranches: async (volume) => store.listBranches(volume),
    deleteBranch: (reference, options) => store.deleteBranch(reference, options),
    restore: (request) => store.restore(request),
    restores: async () => store.restores(),
    pauseRestore: (target) => store.pauseRestore(target),
    resumeRestore: (target, options) => store.resumeRestore(target, options),
    cancelRestore: (target, options) => store.cancelRestore(target, options),
    jobs: async () => store.jobs(),
    undo: (request) => store.undo(request),
    log: async (limit) => store.log(limit),
    setSchedule: (target, schedule, how) => store.setSchedule(target, schedule, how),
    schedules: async () => store.schedules(),
    settings: async () => store.settings(),
    configure: (changes) => store.configure(changes),
    verify: (options) => store.verify(options),
    resolve: async (reference) => store.resolve(reference),
    listExports: async () => store.exports(),
    listClients: async () => [],
    followJob: (id, onProgress) => followJob(store, id, onProgress),
    close,
    [Symbol.asyncDispose]: close,
  };
}
