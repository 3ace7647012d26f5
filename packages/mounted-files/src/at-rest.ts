/**
 * Whether what lies on a disk is at rest: it can be used as it is, with nothing to replay and nothing to
 * mend. Known from the bytes alone, so it is asked of snapshots.
 *
 *   AR1  Only what is known is called at rest. A disk with partitions is when each of them holds a file
 *        system of ours to open that is, or swap, which holds nothing; one partition that is not known
 *        here (FAT, XFS, LVM) leaves the whole disk in doubt.
 */
import { type BlockDevice, isStorageError, slice } from '@palimpsest/block-device';
import { probe } from '@palimpsest/toyfs';
import { inSectors } from './in-sectors.js';
import { partitionsOf } from './partitions.js';

/** Where Linux marks swap: at the end of its first page. */
const SWAP = { at: 4086, text: 'SWAPSPACE2' } as const;

/** See the file header. */
export async function isAtRest(device: BlockDevice): Promise<boolean> {
  const image = await probe(device);
  if (image !== undefined) return image.isClean;
  try {
    const parts = await partitionsOf(device, 'the disk');
    const disk = inSectors(device);
    for (const { position, length } of parts) {
      if (!(await isPartAtRest(slice(disk, position, length)))) return false;
    }
    return parts.length > 0;
  } catch (error) {
    if (isStorageError(error, 'ERR_CORRUPT')) return false; // of the table nothing can be believed
    throw error;
  }
}

async function isPartAtRest(part: BlockDevice): Promise<boolean> {
  const image = await probe(part);
  if (image !== undefined) return image.isClean;
  const page = Buffer.alloc(SWAP.at + SWAP.text.length);
  if (part.size < page.length) return false;
  await part.readInto(page, 0);
  return page.toString('latin1', SWAP.at) === SWAP.text;
}
