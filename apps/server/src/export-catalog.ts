/**
 * ExportCatalog: a store's exports as the NBD server asks for them. Names are keys, never paths.
 * What is made while the server runs is found at once, as nothing is kept here.
 */
import { isStorageError } from '@palimpsest/block-device';
import type { Store } from '@palimpsest/control';
import type { ExportCatalog } from '@palimpsest/nbd';
import { contextsOf } from './export-contexts.js';

/** The exports of a store. */
export function createExportCatalog(store: Store): ExportCatalog {
  return {
    async list() {
      return store
        .exports()
        .filter((each) => each.state === 'available')
        .map(({ name, description }) => ({ name, description }));
    },
    async open(name) {
      const reference = name === '' ? defaultExport(store) : name;
      if (reference === undefined) return undefined;
      try {
        const opened = await store.openExport(reference);
        const { device, description, release } = opened;
        return { device, description, release, contexts: () => contextsOf(store, opened) };
      } catch (error) {
        // To a client, what is not a name here is as unknown as a name that is not taken.
        if (isUnknown(error)) return undefined;
        throw error;
      }
    },
  };
}

/** What a client gets that names nothing: the volume, when there is only one. */
export function defaultExport(store: Store): string | undefined {
  const volumes = store.listVolumes();
  return volumes.length === 1 ? volumes[0]?.name : undefined;
}

/** The export that a client's name means now, or the name itself when it means none. */
export function meaning(store: Store, name: string): string {
  try {
    return store.resolve(name === '' ? (defaultExport(store) ?? name) : name);
  } catch (error) {
    if (isUnknown(error)) return name;
    throw error;
  }
}

function isUnknown(error: unknown): boolean {
  return (
    isStorageError(error, 'ERR_NOT_FOUND') ||
    isStorageError(error, 'ERR_INVALID') ||
    isStorageError(error, 'ERR_UNSUPPORTED')
  );
}
