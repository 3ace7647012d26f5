/**
 * Opening the file system on a device of a store.
 *
 *   OI1  An image that has a journal to replay is opened for writing only by who means to write: looking
 *        at a volume changes no byte of it. A clean one is opened for writing as well as for reading, as
 *        that alone writes nothing.
 */
import { type BlockDevice, isStorageError, StorageError } from '@palimpsest/block-device';
import { type FileSystem, type OpenOptions, openFileSystem, probe } from '@palimpsest/toyfs';
import { inSectors } from './in-sectors.js';
import { openPartition, partitionsOf } from './partitions.js';

/** Which of the file systems of a disk, and what for. */
export interface ImageChoice {
  /** A partition of it, from 1. @default the disk as a whole */
  readonly partition?: number;
  /** Open it for changes, also when its journal has to be replayed for that. @default false */
  readonly write?: boolean;
}

/**
 * Opens what is on a device. `reference` is for messages.
 * @throws {StorageError} ERR_FORMAT when there is no file system that can be opened; ERR_NOT_FOUND for a
 * partition that is not there; ERR_CORRUPT, also for a partition table that is damaged
 */
export async function openImage(
  device: BlockDevice,
  reference: string,
  { partition, write = false }: ImageChoice,
  options: OpenOptions,
): Promise<FileSystem> {
  const part = await partOf(device, reference, partition);
  const image = await probe(part);
  if (image === undefined) throw await nothingThere(part, reference, partition);
  const readOnly = part.readOnly || (!write && !image.isClean); // OI1
  try {
    return await openFileSystem(inBlocks(part, image.blockSize), { ...options, readOnly });
  } catch (error) {
    if (!isStorageError(error)) throw error;
    throw new StorageError(error.code, `${reference}: ${error.message}`, { cause: error });
  }
}

/** The disk, or a partition of it. @throws {StorageError} ERR_NOT_FOUND, ERR_INVALID, ERR_CORRUPT */
export async function partOf(
  device: BlockDevice,
  reference: string,
  partition: number | undefined,
): Promise<BlockDevice> {
  return partition === undefined ? device : await openPartition(device, partition, reference);
}

async function nothingThere(
  device: BlockDevice,
  reference: string,
  partition: number | undefined,
): Promise<StorageError> {
  const parts = partition === undefined ? await partitionsOf(device, reference) : [];
  if (parts.length > 0) {
    const numbers = parts.map(({ number }) => number);
    return new StorageError(
      'ERR_FORMAT',
      `${reference} is a disk with partitions (${numbers.join(', ')}); say which one: ` +
        `--partition ${numbers[0]}`,
    );
  }
  const where = partition === undefined ? reference : `partition ${partition} of ${reference}`;
  return new StorageError(
    'ERR_FORMAT',
    `there is no ext2, ext3 or ext4 file system on ${where}; make one, over whatever is there: ` +
      `pal fs format ${reference}`,
  );
}

/** A disk, or a partition of it, to be read in blocks of any file system. */
export async function readablePart(
  disk: BlockDevice,
  reference: string,
  partition: number | undefined,
): Promise<BlockDevice> {
  const device = await partOf(disk, reference, partition);
  const image = await probe(device);
  if (image === undefined) throw await nothingThere(device, reference, partition);
  return inBlocks(device, image.blockSize);
}

/** The device as a file system with blocks of that size can use it. */
function inBlocks(device: BlockDevice, blockSize: number): BlockDevice {
  return blockSize % device.blockSize === 0 ? device : inSectors(device);
}
