/** Making a file system on a volume or branch, with a word about what is there. */
import { type BlockDevice, isStorageError, StorageError } from '@palimpsest/block-device';
import { format, probe } from '@palimpsest/toyfs';
import type { FileVerbs, FormatInfo } from './file-types.js';
import { partOf } from './open-image.js';
import { partitionsOf } from './partitions.js';

/** Bytes at the beginning that are looked at: boot sectors, superblocks, partition tables are there. */
const LOOK = 64 << 10;

/** See `FileVerbs.format`. */
export async function formatVolume(
  disk: BlockDevice,
  reference: string,
  options: NonNullable<Parameters<FileVerbs['format']>[1]>,
): Promise<FormatInfo> {
  const { partition, label, overwrite = false, dryRun = false } = options;
  if (disk.readOnly) {
    throw new StorageError(
      'ERR_READ_ONLY',
      `${reference} is a snapshot and never changes; format a branch of it: ` +
        `pal branch create NAME --from ${reference}`,
    );
  }
  const device = await partOf(disk, reference, partition);
  const before = await contentOf(device, reference);
  const info = { reference, before, sizeBytes: device.size, dryRun };
  if (dryRun) return info;
  if (before !== 'nothing' && !overwrite) {
    throw new StorageError(
      'ERR_EXISTS',
      `there is ${before} on ${reference}, which would be lost; keep it as a snapshot, ` +
        `pal snapshot create ${reference}, and say --yes`,
    );
  }
  await format(device, label === undefined ? {} : { label });
  return info;
}

/** What is on a device, for people. */
async function contentOf(device: BlockDevice, reference: string): Promise<string> {
  const image = await probe(device);
  if (image !== undefined) {
    return `an ${image.kind} file system${image.label === '' ? '' : ` "${image.label}"`}`;
  }
  const table = await tableOn(device, reference);
  if (table !== undefined) return table;
  const length = Math.min(LOOK, device.size);
  const head = new Uint8Array(length - (length % device.blockSize));
  if (head.length > 0) await device.readInto(head, 0);
  return head.some((byte) => byte !== 0) ? 'something that is not known here' : 'nothing';
}

/** A table of partitions, whole or not, is something that is there. */
async function tableOn(device: BlockDevice, reference: string): Promise<string | undefined> {
  try {
    const { length } = await partitionsOf(device, reference);
    return length === 0 ? undefined : `a partition table with ${length} partitions`;
  } catch (error) {
    if (isStorageError(error, 'ERR_CORRUPT')) return 'a damaged partition table';
    throw error;
  }
}
