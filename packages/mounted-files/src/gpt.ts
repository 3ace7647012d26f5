/**
 * The GUID partition table: a header in a disk's second sector and a table of entries behind it, and a
 * copy of both at the disk's end, the header last. Source: UEFI specification 2.10, section 5.3.
 *
 *   GP1  A header counts when its checksum, and that of its table, are right and it lies where it says:
 *        of a table that is not whole nothing is believed.
 *   GP2  The copy is asked when the first does not count, and only then. When neither does, that is said:
 *        a disk whose table is lost is not one without partitions.
 */
import { type BlockDevice, StorageError } from '@palimpsest/block-device';
import { checksum } from '@palimpsest/bytes';
import type { Partition } from './partition.js';

/** Bytes in a sector of disks: what a header counts in. The first are by far the most. */
const SECTOR_SIZES = [512, 4096] as const;
const SIGNATURE = 'EFI PART';
/** Offsets in a header. */
const AT = { size: 12, sum: 16, own: 24, table: 72, count: 80, entry: 84, tableSum: 88 } as const;
const HEADER_MIN = 92;
const ENTRY_MIN = 128;
/** Bytes of a table that are read: 64 times as many as every tool makes. */
const TABLE_MAX = 1 << 20;
/** Bytes at the disk's end where the copy is looked for: an image may have been padded to whole blocks. */
const END_BYTES = 2 * 4096;

/**
 * The partitions of a disk that says it has a GPT. `disk` has sectors of 512 bytes; `reference`
 * is for messages.
 * @throws {StorageError} ERR_CORRUPT when neither the table nor its copy can be believed (GP2)
 */
export async function gptPartitions(
  disk: BlockDevice,
  reference: string,
): Promise<readonly Partition[]> {
  const doubts: string[] = [];
  for (const position of headerPlaces(disk)) {
    const found = await tableAt(disk, position, (doubt) => void doubts.push(doubt));
    if (found !== undefined) return found;
  }
  throw new StorageError(
    'ERR_CORRUPT',
    `the partition table (GPT) of ${reference} is damaged, and so is its copy: ` +
      `${doubts.length === 0 ? 'neither is there' : doubts.join('; ')}; an earlier snapshot may ` +
      'have it whole, and a client that has the disk over NBD can mend it, with gdisk',
  );
}

/** Where headers may be, in the order in which they are believed. */
function headerPlaces({ size }: BlockDevice): number[] {
  const places: number[] = SECTOR_SIZES.filter((sector) => 2 * sector <= size);
  const end = Math.max(0, size - END_BYTES);
  for (let at = size - 512; at >= end; at -= 512) if (!places.includes(at)) places.push(at);
  return places;
}

/**
 * The entries of the header at `position`; undefined, and a word about a damaged one, if it does not
 * count (GP1).
 */
async function tableAt(
  disk: BlockDevice,
  position: number,
  doubt: (what: string) => void,
): Promise<readonly Partition[] | undefined> {
  const header = await read(disk, position, 512);
  if (header.toString('latin1', 0, SIGNATURE.length) !== SIGNATURE) return undefined;
  const bad = (why: string): undefined => {
    doubt(`the header at byte ${position} ${why}`);
    return undefined;
  };
  const size = header.readUInt32LE(AT.size);
  if (size < HEADER_MIN || size > header.length) return bad(`has ${size} bytes`);
  const stored = header.readUInt32LE(AT.sum);
  header.writeUInt32LE(0, AT.sum);
  if (checksum(header.subarray(0, size)) !== stored) return bad('has a wrong checksum');
  const own = number64(header, AT.own);
  const sector = SECTOR_SIZES.find((each) => own * each === position);
  if (sector === undefined) return bad(`says it is in sector ${own}`);
  const [count, entry] = [header.readUInt32LE(AT.count), header.readUInt32LE(AT.entry)];
  const [at, length] = [number64(header, AT.table) * sector, count * entry];
  if (entry < ENTRY_MIN || length > TABLE_MAX || at + length > disk.size) {
    return bad(`has a table of ${count} entries of ${entry} bytes at byte ${at}`);
  }
  const table = await read(disk, at, length);
  if (checksum(table) !== header.readUInt32LE(AT.tableSum)) {
    return bad(`has a table, at byte ${at}, whose checksum is wrong`);
  }
  return entriesOf(table, entry, sector);
}

function entriesOf(table: Buffer, entry: number, sector: number): readonly Partition[] {
  const found: Partition[] = [];
  for (let at = 0; at < table.length; at += entry) {
    // The type, which is zero in an entry that is not used.
    if (table.subarray(at, at + 16).every((byte) => byte === 0)) continue;
    const [first, last] = [number64(table, at + 32), number64(table, at + 40)];
    const length = (last - first + 1) * sector;
    found.push({ number: at / entry + 1, position: first * sector, length });
  }
  return found;
}

async function read(disk: BlockDevice, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(Math.ceil(length / 512) * 512);
  if (length > 0) await disk.readInto(bytes, position);
  return bytes.subarray(0, length);
}

/** A number of 64 bits: whoever would need all of them is outside any disk, and found to be so. */
function number64(bytes: Buffer, at: number): number {
  return Number(bytes.readBigUInt64LE(at));
}
