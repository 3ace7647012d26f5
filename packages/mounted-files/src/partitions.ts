/**
 * Partitions: where on a disk its file systems are, from an MBR or a GPT. Sizes and positions are bytes.
 */
import { type BlockDevice, StorageError, slice } from '@palimpsest/block-device';
import { gptPartitions } from './gpt.js';
import { inSectors } from './in-sectors.js';
import type { Partition } from './partition.js';

const SECTOR = 512;
const TABLE = 446;
const ENTRIES = 4;
/** Types that hold other partitions, and that stand for a whole GPT disk. */
const EXTENDED = [0x05, 0x0f, 0x85];
const GPT = 0xee;
/** The number of the first partition within another. */
const LOGICAL_FIRST = 5;
/** Tables of such partitions that are looked at: a chain of them may go in a circle. */
const LOGICAL_MAX = 250;

/** An entry of an MBR, in sectors. */
interface Entry {
  readonly type: number;
  readonly start: number;
  readonly count: number;
}

/**
 * The partitions of a disk; empty when it has no table of them. `reference` is for messages.
 * @throws {StorageError} ERR_CORRUPT for a GPT of which neither the table nor its copy is whole
 */
export async function partitionsOf(
  device: BlockDevice,
  reference: string,
): Promise<readonly Partition[]> {
  if (device.size < 2 * SECTOR) return [];
  const disk = inSectors(device);
  const table = await entriesAt(disk, 0);
  if (table === undefined) return [];
  const isGpt = table.some(({ type }) => type === GPT);
  const found = isGpt ? await gptPartitions(disk, reference) : await mbrPartitions(disk, table);
  return found.filter((each) => isInside(each, device));
}

/** The four entries of the sector at `start`; undefined: it is none of an MBR. */
async function entriesAt(disk: BlockDevice, start: number): Promise<readonly Entry[] | undefined> {
  const bytes = Buffer.alloc(SECTOR);
  await disk.readInto(bytes, start * SECTOR);
  if (bytes.readUInt16LE(SECTOR - 2) !== 0xaa55) return undefined;
  const places = Array.from({ length: ENTRIES }, (_, i) => TABLE + 16 * i);
  // A boot sector that is no MBR has code here.
  if (places.some((at) => ((bytes[at] as number) & 0x7f) !== 0)) return undefined;
  return places.map((at) => ({
    type: bytes.readUInt8(at + 4),
    start: bytes.readUInt32LE(at + 8),
    count: bytes.readUInt32LE(at + 12),
  }));
}

async function mbrPartitions(disk: BlockDevice, table: readonly Entry[]): Promise<Partition[]> {
  const found: Partition[] = [];
  let extended: Entry | undefined;
  for (const [i, entry] of table.entries()) {
    if (EXTENDED.includes(entry.type)) extended ??= entry;
    else if (entry.type !== 0) found.push(partition(i + 1, entry.start, entry.count));
  }
  if (extended !== undefined) found.push(...(await logicalPartitions(disk, extended.start)));
  return found;
}

/**
 * The partitions within an extended one: a chain of tables, each with a partition, counted from that
 * table on, and the place of the next table, counted from the extended one on. It ends where it leaves the
 * disk or finds no table.
 */
async function logicalPartitions(disk: BlockDevice, extended: number): Promise<Partition[]> {
  const found: Partition[] = [];
  let at = extended;
  for (let tables = 0; tables < LOGICAL_MAX && (at + 1) * SECTOR <= disk.size; tables++) {
    const table = await entriesAt(disk, at);
    if (table === undefined) break;
    const own = table.find(({ type }) => type !== 0 && !EXTENDED.includes(type));
    if (own !== undefined) {
      found.push(partition(LOGICAL_FIRST + found.length, at + own.start, own.count));
    }
    const next = table.find(({ type }) => EXTENDED.includes(type));
    if (next === undefined) break;
    at = extended + next.start;
  }
  return found;
}

function partition(number: number, start: number, count: number): Partition {
  return { number, position: start * SECTOR, length: count * SECTOR };
}

function isInside({ position, length }: Partition, { size }: BlockDevice): boolean {
  return position > 0 && length > 0 && position + length <= size;
}

/**
 * A partition as a device of its own.
 * @throws {StorageError} ERR_NOT_FOUND when there is none of that number; ERR_CORRUPT as
 * `partitionsOf`; ERR_INVALID when it does not begin with a block of the store.
 */
export async function openPartition(
  device: BlockDevice,
  number: number,
  reference: string,
): Promise<BlockDevice> {
  const all = await partitionsOf(device, reference);
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
