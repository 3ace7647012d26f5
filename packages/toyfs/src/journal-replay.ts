/**
 * Replay: what a journal holds of an image that was not closed. All of it is read and checked first, and the
 * result is where the newest content of each block lies. Whoever opens for writing brings it home from there
 * (journal-home.ts); whoever opens for reading keeps the contents in memory as an overlay and writes nothing.
 *
 *   Y2  A block revoked in transaction n is not replayed from transactions up to n: it was freed, and
 *       may hold file data since.
 *   Y3  Nothing is written, whatever happens, so replaying twice is replaying once.
 */
import { StorageError } from '@palimpsest/block-device';
import { viewOf } from '@palimpsest/bytes';
import { crc32c } from './crc32c.js';
import {
  JOURNAL_64BIT,
  JOURNAL_ASYNC_COMMIT,
  JOURNAL_CHECKSUM_V2,
  JOURNAL_CHECKSUM_V3,
  JOURNAL_MAGIC,
  JOURNAL_REVOKES,
  JOURNAL_SUPERBLOCK,
  KIND_SUPERBLOCK_V1,
  KIND_SUPERBLOCK_V2,
} from './disk/journal-record.js';
import { superblockSum } from './journal-format.js';
import { JournalContents, PIECE_BLOCKS, type ReadJournal } from './journal-reader.js';
import { type Found, type Logged, Scan } from './journal-scan.js';

/** What the journal's superblock says. */
export interface JournalState {
  readonly blocks: number;
  /** The first block of the ring. */
  readonly first: number;
  /** Where the oldest transaction begins; 0: none. */
  readonly start: number;
  readonly sequence: number;
  readonly incompatible: number;
  readonly checksumSeed: number;
}

/** What was found. */
export interface Checked {
  /** Where the newest content of each block is, by block number of the image. */
  readonly newest: ReadonlyMap<number, Logged>;
  readonly transactions: number;
  /** Blocks that were logged and revoked later. */
  readonly revoked: number;
  /** The number of the first transaction that is not in the log. */
  readonly nextSequence: number;
}

/** The same, and the contents. */
export interface Replayed extends Checked {
  /** New contents by block number of the image. */
  readonly contents: Map<number, Uint8Array>;
}

/** @throws {StorageError} ERR_FORMAT for a journal with features not known here. */
export function parseJournal(bytes: Uint8Array, blockSize: number): JournalState {
  const view = viewOf(bytes);
  const at = JOURNAL_SUPERBLOCK.at;
  const get = (field: number): number => view.getUint32(field, false);
  if (get(at.magic) !== JOURNAL_MAGIC) {
    throw new StorageError('ERR_CORRUPT', 'the journal has no superblock');
  }
  const isV2 = get(at.kind) === KIND_SUPERBLOCK_V2;
  if (!isV2 && get(at.kind) !== KIND_SUPERBLOCK_V1) {
    throw new StorageError('ERR_FORMAT', `the journal's superblock is of kind ${get(at.kind)}`);
  }
  const incompatible = isV2 ? get(at.incompatible) : 0;
  const known =
    JOURNAL_REVOKES |
    JOURNAL_64BIT |
    JOURNAL_ASYNC_COMMIT |
    JOURNAL_CHECKSUM_V2 |
    JOURNAL_CHECKSUM_V3;
  // A fast commit area is harmless when it is empty, and unreadable for us when it is not.
  if ((incompatible & ~known) !== 0) {
    throw new StorageError('ERR_FORMAT', `the journal uses features ${incompatible & ~known}`);
  }
  const state: JournalState = {
    blocks: get(at.blocks),
    first: get(at.first),
    start: get(at.start),
    sequence: get(at.sequence),
    incompatible,
    checksumSeed: crc32c(bytes.subarray(at.uuid, at.uuid + 16), 0xffff_ffff),
  };
  const isSummed = (incompatible & (JOURNAL_CHECKSUM_V2 | JOURNAL_CHECKSUM_V3)) !== 0;
  if (isSummed && get(at.checksum) !== superblockSum(bytes)) {
    throw new StorageError('ERR_CORRUPT', "the checksum of the journal's superblock is wrong");
  }
  if (get(at.blockSize) !== blockSize || state.first < 1 || state.first >= state.blocks) {
    throw new StorageError('ERR_CORRUPT', "the journal's superblock makes no sense");
  }
  if (state.start !== 0 && (state.start < state.first || state.start >= state.blocks)) {
    throw new StorageError('ERR_CORRUPT', `the journal begins at its block ${state.start}`);
  }
  return state;
}

/**
 * Reads the journal into memory. `limit` bounds the bytes held there.
 * @throws {StorageError} ERR_NO_SPACE when it holds more than that; as `checkJournal`
 */
export async function replayJournal(
  state: JournalState,
  blockSize: number,
  read: ReadJournal,
  limit: number,
): Promise<Replayed> {
  const contents = new JournalContents(blockSize, limit);
  const checked = await checkJournal(state, blockSize, read, ({ home, escaped }, bytes) => {
    restoreMagic(contents.set(home, bytes), escaped);
  });
  return { ...checked, contents: contents.blocks };
}

/** Gives a content of the journal the number back that zeros stand for. */
export function restoreMagic(bytes: Uint8Array, escaped: boolean): void {
  if (escaped) viewOf(bytes).setUint32(0, JOURNAL_MAGIC, false);
}

/**
 * Reads the journal and checks what it holds. `visit` is shown each content that is not revoked, the oldest
 * first; the bytes are used again.
 * @throws {StorageError} ERR_CORRUPT for a content that is damaged
 */
export async function checkJournal(
  state: JournalState,
  blockSize: number,
  read: ReadJournal,
  visit?: (logged: Logged, bytes: Uint8Array) => void,
): Promise<Checked> {
  const scan = new Scan(state, blockSize, read);
  const found: Found[] = [];
  if (state.start !== 0) {
    for (;;) {
      const transaction = await scan.next();
      if (transaction === undefined) break;
      found.push(transaction);
    }
  }
  const revokedAt = new Map<number, number>();
  found.forEach(({ revoked }, order) => {
    for (const home of revoked) revokedAt.set(home, order);
  });
  const newest = new Map<number, Logged>();
  const piece = new Uint8Array(PIECE_BLOCKS * blockSize);
  let revoked = 0;
  for (const [order, { logged, sequence }] of found.entries()) {
    for (let from = 0; from < logged.length; ) {
      const run = runFrom(logged, from);
      await read(piece.subarray(0, run.length * blockSize), (run[0] as Logged).index);
      for (const [i, each] of run.entries()) {
        const { home, checksum } = each;
        if (order <= (revokedAt.get(home) ?? -1)) {
          revoked++; // Y2
          continue;
        }
        const bytes = piece.subarray(i * blockSize, (i + 1) * blockSize);
        if (!scan.contentFits(bytes, sequence, checksum)) {
          throw new StorageError('ERR_CORRUPT', `the journal's copy of block ${home} is damaged`);
        }
        newest.set(home, each);
        visit?.(each, bytes);
      }
      from += run.length;
    }
  }
  return {
    newest,
    transactions: found.length,
    revoked,
    nextSequence: (state.sequence + found.length) >>> 0,
  };
}

/** Blocks that lie behind each other in the journal, from the one at `from` on. */
export function runFrom(logged: readonly Logged[], from: number): readonly Logged[] {
  const { index } = logged[from] as Logged;
  let to = from + 1;
  while (to - from < PIECE_BLOCKS && logged[to]?.index === index + to - from) to++;
  return logged.slice(from, to);
}
