/** A StoreClient on a store that this process opens itself, under the store's lock. */
import { type Logger, openStore } from '@palimpsest/control';
import { createNodeEnvironment } from '../node-environment.js';
import type { StoreClient } from './store-client.js';

/**
 * Opens the store in a directory, for this process alone.
 * @throws {StorageError} as `openStore`.
 */
export async function openDirectClient(directory: string, logger: Logger): Promise<StoreClient> {
  const store = await openStore(directory, createNodeEnvironment(logger));
  return {
    mode: 'direct',
    status: async () => store.status(),
    createVolume: (request) => store.createVolume(request),
    adoptVolume: (request) => store.adoptVolume(request),
    releaseVolume: (name, options) => store.releaseVolume(name, options),
    listVolumes: async () => store.listVolumes(),
    createSnapshot: (request) => store.createSnapshot(request),
    deleteSnapshot: (reference, options) => store.deleteSnapshot(reference, options),
    listSnapshots: async (volume) => store.listSnapshots(volume),
    createBranch: (request) => store.createBranch(request),
    deleteBranch: (reference, options) => store.deleteBranch(reference, options),
    listBranches: async (volume) => store.listBranches(volume),
    listExports: async () => store.exports(),
    listClients: async () => [],
    close: () => store.close(),
    [Symbol.asyncDispose]: () => store.close(),
  };
}
