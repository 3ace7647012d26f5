/**
 * The superblock: the one place that says what the store is. Two slots, written in turn.
 *
 *   S1  Everything a generation refers to is durable before the generation is written.
 *   S2  A generation is written to the slot that does not hold the current one, so that the current
 *       one survives a torn write.
 *   S3  The valid slot with the higher generation is current. When the other slot is damaged it may
 *       have held a newer one: a journal record that builds on a newer generation then tells.
 */

import { type BlockDevice, invariant, StorageError } from '@palimpsest/block-device';
import { checksum, type RecordOf, viewOf } from '@palimpsest/bytes';
import { FORMAT_VERSION, SUPERBLOCK, SUPERBLOCK_MAGIC, superblockStride } from './format.js';

export type Superblock = RecordOf<(typeof SUPERBLOCK)['fields']>;

/** Writes `superblock` to its slot. Durable after the caller's flush: the commit point. */
export async function writeSuperblock(
  device: BlockDevice,
  blockSize: number,
  superblock: Superblock,
): Promise<void> {
  const bytes = new Uint8Array(blockSize);
  invariant(superblock.generation > 0, 'generations start at 1');
  SUPERBLOCK.encode(bytes, 0, { ...superblock, checksum: 0 });
  viewOf(bytes).setUint32(
    SUPERBLOCK.at.checksum,
    checksum(bytes.subarray(0, SUPERBLOCK.size)),
    true,
  );
  await device.write(bytes, slotPosition(blockSize, superblock.generation));
}

/**
 * Reads the current superblock.
 * @throws {StorageError} ERR_FORMAT when the device holds no save volume or a newer format;
 * ERR_CORRUPT when it was one but neither slot is valid.
 */
export async function readSuperblock(device: BlockDevice): Promise<Superblock> {
  // The block size is in the superblock: slot 0 is at 0 in any case, slot 1 where it may be.
  const candidates = [await readSlot(device, 0)];
  for (let stride = 4096; stride <= 65_536; stride *= 2) {
    const found = await readSlot(device, stride);
    if (found.superblock && superblockStride(2 ** found.superblock.blockShift) !== stride) continue;
    candidates.push(found);
    if (
      candidates[0]?.superblock &&
      superblockStride(2 ** candidates[0].superblock.blockShift) === stride
    )
      break;
  }
  const valid = candidates.flatMap(({ superblock }) => (superblock ? [superblock] : []));
  const current = valid.sort((a, b) => b.generation - a.generation)[0];
  if (current !== undefined) return admit(current, device);
  if (candidates.some(({ magic }) => magic)) {
    throw new StorageError(
      'ERR_CORRUPT',
      'both superblocks are damaged: the save volume cannot be opened; restore it from a copy',
    );
  }
  throw new StorageError(
    'ERR_FORMAT',
    'this is not a save volume: no superblock at its start (`pal init` makes one)',
  );
}

/** Both slots as they are, for a check of a volume that will not open. */
export async function readSlots(device: BlockDevice): Promise<readonly [Slot, Slot]> {
  const first = await readSlot(device, 0);
  for (let stride = 4096; stride <= 65_536; stride *= 2) {
    const second = await readSlot(device, stride);
    const blockShift = (first.superblock ?? second.superblock)?.blockShift;
    if (blockShift !== undefined && superblockStride(2 ** blockShift) === stride) {
      return [first, second];
    }
  }
  return [first, await readSlot(device, 4096)];
}

/** Reads the generation in the slot that `generation` would use; 0 when there is none. */
export async function peekGeneration(
  device: BlockDevice,
  blockSize: number,
  generation: number,
): Promise<number> {
  return (await readSlot(device, slotPosition(blockSize, generation))).superblock?.generation ?? 0;
}

function slotPosition(blockSize: number, generation: number): number {
  return generation % 2 === 0 ? 0 : superblockStride(blockSize);
}

/** What one slot holds. */
export interface Slot {
  readonly superblock?: Superblock;
  /** True when the slot at least starts like a superblock. */
  readonly magic: boolean;
}

async function readSlot(device: BlockDevice, position: number): Promise<Slot> {
  const span = Math.max(device.blockSize, 512);
  if (position + span > device.size) return { magic: false };
  const bytes = new Uint8Array(span);
  await device.readInto(bytes, position);
  const magic = SUPERBLOCK_MAGIC.every((byte, index) => bytes[index] === byte);
  if (!magic) return { magic };
  const stored = viewOf(bytes).getUint32(SUPERBLOCK.at.checksum, true);
  viewOf(bytes).setUint32(SUPERBLOCK.at.checksum, 0, true);
  if (checksum(bytes.subarray(0, SUPERBLOCK.size)) !== stored) return { magic };
  return { magic, superblock: SUPERBLOCK.decode(bytes, 0) };
}

/** Refuses what this version cannot read, and sizes that the device contradicts. */
function admit(superblock: Superblock, device: BlockDevice): Superblock {
  const { version, features, blockShift, totalBlocks } = superblock;
  if (version !== FORMAT_VERSION || features !== 0) {
    throw new StorageError(
      'ERR_FORMAT',
      `the save volume has format version ${version} with features ${features}; this program ` +
        `reads version ${FORMAT_VERSION} with features 0: use a newer one`,
    );
  }
  const blockSize = 2 ** blockShift;
  if (blockSize % device.blockSize !== 0) {
    throw new StorageError(
      'ERR_FORMAT',
      `the save volume has ${blockSize}-byte blocks, the device beneath ${device.blockSize}-byte ones`,
    );
  }
  if (device.size < totalBlocks * blockSize) {
    throw new StorageError(
      'ERR_CORRUPT',
      `the save volume is truncated: ${device.size} bytes, ${totalBlocks * blockSize} expected`,
    );
  }
  return superblock;
}
