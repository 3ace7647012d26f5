/**
 * The journal: what happened since the last checkpoint, one record a commit, appended from the
 * journal's start; a checkpoint makes it empty again. There is no wrapping round.
 *
 *   J1  A record is written together with the data it points to and made durable by one flush: its
 *       put operations carry the data's checksums, so that a record whose data did not arrive is
 *       known for what it is, a commit that nobody was promised, and is dropped.
 *   J2  The next record is written only after that flush. So only the last record can be unfinished,
 *       and only its data need be checked at recovery.
 *   J3  Operations are absolute (this block is at that address), so replaying them twice is the
 *       same as once.
 */
import { type BlockDevice, StorageError } from '@palimpsest/block-device';
import { checksum, viewOf } from '@palimpsest/bytes';
import { ENTRY, JOURNAL_HEADER, JOURNAL_MAGIC } from './format.js';

/** What ties a record to its place in history. */
export interface RecordPlace {
  readonly epoch: number;
  readonly sequence: number;
  readonly generation: number;
  /** From the store's id, so that a record of another store is never taken for ours. */
  readonly seed: number;
}

/** A valid record as read back. */
export interface JournalRecord {
  readonly epoch: number;
  readonly sequence: number;
  readonly generation: number;
  /** The operations, ENTRY by ENTRY (object bytes between them). */
  readonly body: Uint8Array;
  /** Blocks that the record takes in the journal. */
  readonly blocks: number;
}

/** Blocks of the journal that a record with `bodyBytes` of operations takes. */
export function recordBlocks(blockSize: number, bodyBytes: number): number {
  return Math.ceil((JOURNAL_HEADER.size + bodyBytes) / blockSize);
}

/** Puts header, operations and padding together, ready to be written. */
export function encodeRecord(blockSize: number, place: RecordPlace, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(recordBlocks(blockSize, body.length) * blockSize);
  JOURNAL_HEADER.encode(bytes, 0, {
    magic: JOURNAL_MAGIC,
    epoch: place.epoch,
    sequence: place.sequence,
    generation: place.generation,
    bodyBytes: body.length,
    bodyChecksum: checksum(body, place.seed),
    reserved: new Uint8Array(28),
    checksum: 0,
  });
  const header = bytes.subarray(0, JOURNAL_HEADER.size);
  viewOf(header).setUint32(JOURNAL_HEADER.at.checksum, checksum(header, place.seed), true);
  bytes.set(body, JOURNAL_HEADER.size);
  return bytes;
}

/**
 * Reads the record at journal block `at`; `undefined` when what is there is no whole record of this
 * store, which is what the end of the journal looks like.
 */
export async function readRecord(
  device: BlockDevice,
  blockSize: number,
  journal: { readonly start: number; readonly blocks: number },
  at: number,
  seed: number,
): Promise<JournalRecord | undefined> {
  if (at >= journal.blocks) return undefined;
  const first = new Uint8Array(blockSize);
  await device.readInto(first, (journal.start + at) * blockSize);
  const header = JOURNAL_HEADER.decode(first, 0);
  if (header.magic !== JOURNAL_MAGIC) return undefined;
  viewOf(first).setUint32(JOURNAL_HEADER.at.checksum, 0, true);
  if (checksum(first.subarray(0, JOURNAL_HEADER.size), seed) !== header.checksum) return undefined;
  const blocks = recordBlocks(blockSize, header.bodyBytes);
  if (header.bodyBytes % ENTRY.size !== 0 || at + blocks > journal.blocks) return undefined;
  const all = new Uint8Array(blocks * blockSize);
  await device.readInto(all, (journal.start + at) * blockSize);
  const body = all.subarray(JOURNAL_HEADER.size, JOURNAL_HEADER.size + header.bodyBytes);
  if (checksum(body, seed) !== header.bodyChecksum) return undefined;
  return {
    epoch: header.epoch,
    sequence: header.sequence,
    generation: header.generation,
    body,
    blocks,
  };
}

/** A journal and how to read it. */
export interface Journal {
  readonly device: BlockDevice;
  readonly blockSize: number;
  readonly journal: { readonly start: number; readonly blocks: number };
  readonly seed: number;
}

/** Bytes of the journal looked through with one read. */
const SCAN_BYTES = 1 << 20;

/**
 * Every whole record of this store that starts at journal block `from` or later, whatever its
 * sequence: also those that a checkpoint has left behind.
 */
export async function* recordsFrom(where: Journal, from: number): AsyncGenerator<JournalRecord> {
  const { device, blockSize, journal, seed } = where;
  const step = Math.max(1, Math.floor(SCAN_BYTES / blockSize));
  for (let first = from; first < journal.blocks; first += step) {
    const bytes = new Uint8Array(Math.min(step, journal.blocks - first) * blockSize);
    await device.readInto(bytes, (journal.start + first) * blockSize);
    const view = viewOf(bytes);
    for (let at = 0; at < bytes.length; at += blockSize) {
      if (view.getUint32(at + JOURNAL_HEADER.at.magic, true) !== JOURNAL_MAGIC) continue;
      const block = first + at / blockSize;
      const record = await readRecord(device, blockSize, journal, block, seed);
      if (record !== undefined) yield record;
    }
  }
}

/** Refuses to go on from a journal that contradicts the superblock (S3, and damage at rest). */
export function journalDamaged(detail: string): StorageError {
  return new StorageError(
    'ERR_CORRUPT',
    `the journal of the save volume is damaged: ${detail}; opening it would lose flushed writes`,
  );
}
