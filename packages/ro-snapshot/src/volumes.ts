/**
 * Making, opening and removing production volumes.
 */
import { type BlockDevice, StorageError } from '@palimpsest/block-device';
import { type Attributes, encodeObject, type SaveVolume } from '@palimpsest/save-volume';
import { ProductionVolume } from './production-volume.js';
import { findVolume, type StoredVolume, storedSnapshots } from './records.js';
import { settleGrowth } from './resize.js';
import type { RestoreSource, SnapshotReference } from './restore-source.js';

/** How to open a production volume. */
export interface OpenOptions {
  /**
   * Opens the source of a restore that is under way and is no snapshot of the volume itself. The
   * volume serves nothing yet but its snapshots, which the source may be based on.
   */
  readonly openSource?: (
    ref: SnapshotReference,
    volume: ProductionVolume,
  ) => Promise<RestoreSource> | RestoreSource;
}

/**
 * Takes a device on as a production volume, in place: no byte of it is changed or copied.
 * @throws {StorageError} ERR_INVALID when its size is not whole blocks of the store.
 */
export async function createProductionVolume(
  save: SaveVolume,
  clone: BlockDevice,
  attributes: Attributes = {},
): Promise<ProductionVolume> {
  assertFits(save, clone);
  const id = save.newObjectId();
  const volume: StoredVolume = { type: 'volume', size: clone.size, attributes };
  await save.transact((batch) => batch.object(id, encodeObject(volume)));
  return openProductionVolume(save, id, clone);
}

/**
 * Opens a production volume of the store on its clone volume. Deletions of snapshots that were under
 * way go on; restores that were are there again, and go on when `copyBack` is called. The clone
 * volume and the store are the caller's to close, afterwards.
 * @throws {StorageError} ERR_NOT_FOUND; ERR_INVALID when the clone volume is not of the recorded
 * size, or a restore is under way whose source cannot be opened.
 */
export async function openProductionVolume(
  save: SaveVolume,
  id: number,
  clone: BlockDevice,
  options: OpenOptions = {},
): Promise<ProductionVolume> {
  await settleGrowth(save, id, clone);
  assertFits(save, clone);
  const volume = findVolume(save, id);
  if (volume.size !== clone.size) {
    throw new StorageError(
      'ERR_INVALID',
      `the image has ${clone.size} bytes, the volume was ${volume.size}: ` +
        'its snapshots need the image as it was; put the right file back in its place',
    );
  }
  const opened = new ProductionVolume(save, id, clone, volume.attributes);
  try {
    await opened.reopenRestores(options.openSource);
  } catch (error) {
    await opened.close().catch(() => undefined); // the first failure is the one to tell
    throw error;
  }
  return opened;
}

/**
 * Forgets a production volume; its clone volume is left as it is, plain and complete.
 * @throws {StorageError} ERR_IN_USE while it has snapshots, also ones being deleted; ERR_NOT_FOUND.
 */
export async function removeProductionVolume(save: SaveVolume, id: number): Promise<void> {
  findVolume(save, id);
  const snapshots = storedSnapshots(save, id);
  if (snapshots.length > 0) {
    throw new StorageError(
      'ERR_IN_USE',
      `volume ${id} has ${snapshots.length} snapshots: delete them first`,
    );
  }
  await save.transact((batch) => batch.object(id, undefined));
}

function assertFits(save: SaveVolume, clone: BlockDevice): void {
  if (clone.size % save.blockSize === 0 && save.blockSize % clone.blockSize === 0 && clone.size > 0)
    return;
  const padded = Math.max(1, Math.ceil(clone.size / save.blockSize)) * save.blockSize;
  throw new StorageError(
    'ERR_INVALID',
    `an image of ${clone.size} bytes is not a whole number of the store's ${save.blockSize}-byte ` +
      `blocks: pad it to ${padded} bytes (truncate -s ${padded} FILE)`,
  );
}
