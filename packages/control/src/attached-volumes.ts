/**
 * AttachedVolumes: the production volumes that are open, each with its image and the image's lock.
 * A volume that cannot be opened is remembered with the reason (C4) and tried again when it is next
 * asked for, so putting an image back needs no restart.
 */
import { type BlockDevice, checked, isStorageError, StorageError } from '@palimpsest/block-device';
import {
  openProductionVolume,
  type ProductionVolume,
  type VolumeRecord,
} from '@palimpsest/ro-snapshot';
import type { SaveVolume } from '@palimpsest/save-volume';
import type { ControlEnvironment, StoreLock } from './environment.js';
import { volumeAttributes } from './records.js';
import { openSource } from './restore-source.js';
import type { Meter } from './store-metrics.js';

/** An image opened and locked for us. */
export interface HeldImage {
  readonly device: BlockDevice;
  readonly lock: StoreLock;
}

/** A volume that is open. */
export interface AttachedVolume {
  readonly production: ProductionVolume;
  readonly image: HeldImage;
}

/** The open volumes of one store. */
export interface AttachedVolumes {
  /** Opens the volume unless it is open. @throws {StorageError} ERR_IO with the reason. */
  attach(record: VolumeRecord): Promise<AttachedVolume>;
  /** Takes in a volume that was just made. */
  add(production: ProductionVolume, image: HeldImage): void;
  /** Why the volume is not open; undefined when it is. */
  reason(record: VolumeRecord): string | undefined;
  /** The volume, if it is open. */
  get(record: VolumeRecord): AttachedVolume | undefined;
  /** Every open volume. */
  all(): readonly AttachedVolume[];
  /**
   * Opens only the volume's metadata, over an image that answers every request with ERR_IO: enough
   * to delete the snapshots of a volume whose image is gone.
   */
  openWithoutImage(record: VolumeRecord): Promise<AttachedVolume>;
  /** Forgets the volume; its image is left open. */
  remove(record: VolumeRecord): void;
}

/** Opens an image for us alone. @throws {StorageError} ERR_BUSY when another process holds it. */
export async function holdImage(
  environment: ControlEnvironment,
  path: string,
  blockSize: number,
): Promise<HeldImage> {
  const lock = await environment.files.lock(path);
  try {
    return { device: await environment.files.open(path, blockSize), lock };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** Lets go of an image. */
export async function releaseImage(image: HeldImage): Promise<void> {
  try {
    await image.device.close();
  } finally {
    await image.lock.release();
  }
}

/** Where a volume's image is. */
export function imagePath(
  environment: ControlEnvironment,
  directory: string,
  record: VolumeRecord,
): Promise<string> {
  return environment.files.resolve(directory, volumeAttributes(record).path);
}

/** Makes the set, empty. `meter` is told of volumes that leave. */
export function createAttachedVolumes(
  environment: ControlEnvironment,
  directory: string,
  save: SaveVolume,
  meter: Meter,
): AttachedVolumes {
  const attached = new Map<number, AttachedVolume>();
  const reasons = new Map<number, string>();

  async function open(record: VolumeRecord): Promise<AttachedVolume> {
    const path = await imagePath(environment, directory, record);
    const status = await environment.files.status(path);
    if (status === undefined) {
      throw new StorageError('ERR_IO', `its image ${path} is missing; put it back there`);
    }
    if (status.kind === 'file' && status.size !== record.size) {
      const shrank = status.size < record.size;
      const change = `${shrank ? 'shrank' : 'grew'} from ${record.size} to ${status.size} bytes`;
      throw new StorageError(
        'ERR_IO',
        `its image ${path} ${change}; ` +
          (shrank
            ? 'bring back the whole file'
            : `cut it back: truncate -s ${record.size} ${path}`),
      );
    }
    const image = await holdImage(environment, path, save.blockSize);
    try {
      const production = await openProductionVolume(save, record.id, image.device, {
        openSource: (ref, volume) => openSource(save, ref, volume),
      });
      return { production, image };
    } catch (error) {
      await releaseImage(image);
      throw error;
    }
  }

  return {
    async attach(record) {
      const present = attached.get(record.id);
      if (present !== undefined) return present;
      try {
        const volume = await open(record);
        attached.set(record.id, volume);
        reasons.delete(record.id);
        return volume;
      } catch (error) {
        if (!isStorageError(error)) throw error;
        const { name } = volumeAttributes(record);
        reasons.set(record.id, error.message);
        throw new StorageError('ERR_IO', `${name} is unavailable: ${error.message}`, {
          cause: error,
        });
      }
    },
    add(production, image) {
      attached.set(production.id, { production, image });
    },
    reason(record) {
      if (attached.has(record.id)) return undefined;
      return reasons.get(record.id) ?? 'it is not open';
    },
    get: (record) => attached.get(record.id),
    all: () => [...attached.values()],
    async openWithoutImage(record) {
      const device = absentDevice(record.size, save.blockSize);
      const production = await openProductionVolume(save, record.id, device);
      const volume = { production, image: { device, lock: { release: async () => {} } } };
      attached.set(record.id, volume);
      return volume;
    },
    remove(record) {
      const volume = attached.get(record.id);
      if (volume !== undefined) meter.left(volume.production.metrics());
      attached.delete(record.id);
      reasons.delete(record.id);
    },
  };
}

/** Stands for an image that is gone: nothing can be read or written, nothing is to be flushed. */
function absentDevice(size: number, blockSize: number): BlockDevice {
  const refuse = (): never => {
    throw new StorageError('ERR_IO', 'the image is missing');
  };
  return checked({
    blockSize,
    size,
    readOnly: false,
    readInto: refuse,
    write: refuse,
    flush: () => undefined,
    close: async () => {},
  });
}
