/**
 * Partitions: where on a disk its file systems are, from an MBR or a GPT. Sizes and positions are bytes.
 */
import { type BlockDevice, StorageError, slice } from '@palimpsest/block-device';

/** A part of a disk. */
export interface Partition {
  /** As `/dev/sdaN` counts them. */
  readonly number: number;
  readonly position: number;
  readonly length: number;
}

const SECTOR = 512;
const MBR_TABLE = 446;
const MBR_ENTRIES = 4;
/** MBR types that hold other partitions, which are not looked for, and that stand for a whole GPT disk. */
const MBR_EXTENDED = [0x05, 0x0f, 0x85];
const MBR_GPT = 0xee;
/** Entries of a GPT that are looked at: as many as every tool makes. */
const GPT_ENTRIES_MAX = 128;

/** The partitions of a disk; empty when it has no table of them. */
export async function partitionsOf(device: BlockDevice): Promise<readonly Partition[]> {
  // The table of a GPT follows in its third sector and takes 32 more.
  const length = Math.min(device.size, Math.max(34 * SECTOR, device.blockSize));
  const head = new Uint8Array(Math.floor(length / device.blockSize) * device.blockSize);
  if (head.length < 2 * SECTOR) return [];
  await device.readInto(head, 0);
  const view = new DataView(head.buffer);
  if (view.getUint16(510, true) !== 0xaa55) return [];
  const found: Partition[] = [];
  for (let i = 0; i < MBR_ENTRIES; i++) {
    const at = MBR_TABLE + 16 * i;
    const [status, type] = [view.getUint8(at), view.getUint8(at + 4)];
    // A boot sector that is no MBR has code here.
    if ((status & 0x7f) !== 0) return [];
    if (type === MBR_GPT) return gptPartitions(head, device);
    if (type === 0 || MBR_EXTENDED.includes(type)) continue;
    const position = view.getUint32(at + 8, true) * SECTOR;
    found.push({ number: i + 1, position, length: view.getUint32(at + 12, true) * SECTOR });
  }
  return found.filter((each) => isInside(each, device));
}

function gptPartitions(head: Uint8Array, device: BlockDevice): readonly Partition[] {
  const view = new DataView(head.buffer);
  if (Buffer.from(head.subarray(SECTOR, SECTOR + 8)).toString('latin1') !== 'EFI PART') return [];
  const table = Number(view.getBigUint64(SECTOR + 72, true)) * SECTOR;
  const count = Math.min(view.getUint32(SECTOR + 80, true), GPT_ENTRIES_MAX);
  const size = view.getUint32(SECTOR + 84, true);
  const found: Partition[] = [];
  for (let i = 0; i < count; i++) {
    const at = table + i * size;
    if (at + 128 > head.length) break;
    if (head.subarray(at, at + 16).every((byte) => byte === 0)) continue;
    const first = Number(view.getBigUint64(at + 32, true));
    const last = Number(view.getBigUint64(at + 40, true));
    found.push({ number: i + 1, position: first * SECTOR, length: (last - first + 1) * SECTOR });
  }
  return found.filter((each) => isInside(each, device));
}

function isInside({ position, length }: Partition, { size }: BlockDevice): boolean {
  return position > 0 && length > 0 && position + length <= size;
}

/**
 * A partition as a device of its own.
 * @throws {StorageError} ERR_NOT_FOUND when there is none of that number; ERR_INVALID when it does not
 * begin and end with blocks of the store.
 */
export async function openPartition(
  device: BlockDevice,
  number: number,
  reference: string,
): Promise<BlockDevice> {
  const all = await partitionsOf(device);
  const found = all.find((each) => each.number === number);
  if (found !== undefined) {
    const length = found.length - (found.length % device.blockSize);
    return slice(device, found.position, length);
  }
  const known =
    all.length === 0
      ? 'no partition table'
      : `partitions ${all.map((each) => each.number).join(', ')}`;
  throw new StorageError('ERR_NOT_FOUND', `${reference} has ${known}, and no partition ${number}`);
}
