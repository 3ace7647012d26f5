/**
 * Replay: what a journal holds of an image that was not closed. The result is the new contents of
 * blocks, in memory; whoever opens for writing brings them home, and whoever opens for reading keeps
 * them as an overlay and writes nothing.
 *
 *   Y1  A transaction counts when its commit block is there, with the expected number; the first that
 *       does not ends the log. One whose checksums do not fit does not count either.
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
  JOURNAL_COMMIT,
  JOURNAL_HEAD,
  JOURNAL_MAGIC,
  JOURNAL_REVOKE,
  JOURNAL_REVOKES,
  JOURNAL_SUPERBLOCK,
  JOURNAL_TAG,
  JOURNAL_TAG3,
  KIND_COMMIT,
  KIND_DESCRIPTOR,
  KIND_REVOKE,
  KIND_SUPERBLOCK_V1,
  KIND_SUPERBLOCK_V2,
  TAG_ESCAPED,
  TAG_LAST,
  TAG_SAME_UUID,
} from './disk/journal-record.js';
import { superblockSum } from './journal-format.js';
import { JournalContents, PIECE_BLOCKS, type ReadJournal } from './journal-reader.js';

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
export interface Replayed {
  /** New contents by block number of the image. */
  readonly contents: Map<number, Uint8Array>;
  readonly transactions: number;
  /** Blocks that were logged and revoked later. */
  readonly revoked: number;
  /** The number of the first transaction that is not in the log. */
  readonly nextSequence: number;
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

/** One logged block: where it belongs, and where its content is in the journal. */
interface Logged {
  readonly home: number;
  readonly index: number;
  readonly escaped: boolean;
  readonly checksum: number;
}

interface Found {
  readonly sequence: number;
  readonly logged: readonly Logged[];
  readonly revoked: readonly number[];
}

/**
 * Reads the journal. `limit` bounds the bytes held in memory.
 * @throws {StorageError} ERR_NO_SPACE when it holds more than that.
 */
export async function replayJournal(
  state: JournalState,
  blockSize: number,
  read: ReadJournal,
  limit: number,
): Promise<Replayed> {
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
  const contents = new JournalContents(blockSize, limit);
  const piece = new Uint8Array(PIECE_BLOCKS * blockSize);
  let revoked = 0;
  for (const [order, { logged, sequence }] of found.entries()) {
    for (let from = 0; from < logged.length; ) {
      const run = runFrom(logged, from);
      await read(piece.subarray(0, run.length * blockSize), (run[0] as Logged).index);
      for (const [i, { home, escaped, checksum }] of run.entries()) {
        if (order <= (revokedAt.get(home) ?? -1)) {
          revoked++; // Y2
          continue;
        }
        const bytes = piece.subarray(i * blockSize, (i + 1) * blockSize);
        if (!scan.contentFits(bytes, sequence, checksum)) {
          throw new StorageError('ERR_CORRUPT', `the journal's copy of block ${home} is damaged`);
        }
        const kept = contents.set(home, bytes);
        if (escaped) viewOf(kept).setUint32(0, JOURNAL_MAGIC, false);
      }
      from += run.length;
    }
  }
  return {
    contents: contents.blocks,
    transactions: found.length,
    revoked,
    nextSequence: (state.sequence + found.length) >>> 0,
  };
}

/** Blocks that lie behind each other in the journal, from the one at `from` on. */
function runFrom(logged: readonly Logged[], from: number): readonly Logged[] {
  const { index } = logged[from] as Logged;
  let to = from + 1;
  while (to - from < PIECE_BLOCKS && logged[to]?.index === index + to - from) to++;
  return logged.slice(from, to);
}

/** Walks the ring, transaction by transaction. */
class Scan {
  readonly #state: JournalState;
  readonly #blockSize: number;
  readonly #read: ReadJournal;
  readonly #summed: boolean;
  #index: number;
  #sequence: number;
  #walked = 0;

  constructor(state: JournalState, blockSize: number, read: ReadJournal) {
    this.#state = state;
    this.#blockSize = blockSize;
    this.#read = read;
    this.#index = state.start;
    this.#sequence = state.sequence;
    this.#summed = (state.incompatible & (JOURNAL_CHECKSUM_V2 | JOURNAL_CHECKSUM_V3)) !== 0;
  }

  /** The next transaction that counts (Y1); undefined at the log's end. */
  async next(): Promise<Found | undefined> {
    const bytes = new Uint8Array(this.#blockSize);
    const view = viewOf(bytes);
    const logged: Logged[] = [];
    const revoked: number[] = [];
    while (this.#walked <= this.#state.blocks) {
      await this.#read(bytes, this.#step());
      const isOurs =
        view.getUint32(JOURNAL_HEAD.at.magic, false) === JOURNAL_MAGIC &&
        view.getUint32(JOURNAL_HEAD.at.sequence, false) === this.#sequence;
      if (!isOurs) return undefined;
      const kind = view.getUint32(JOURNAL_HEAD.at.kind, false);
      if (kind === KIND_DESCRIPTOR) {
        if (!this.#tailFits(bytes)) return undefined;
        this.#tags(view, logged);
      } else if (kind === KIND_REVOKE) {
        if (!this.#tailFits(bytes)) return undefined;
        this.#revokes(view, revoked);
      } else if (kind === KIND_COMMIT) {
        if (this.#summed && !this.#fits(bytes, JOURNAL_COMMIT.at.checksum)) return undefined;
        const sequence = this.#sequence;
        this.#sequence = (sequence + 1) >>> 0;
        return { sequence, logged, revoked };
      } else {
        return undefined;
      }
    }
    return undefined;
  }

  /** Whether a logged content is the one that its tag was written for. */
  contentFits(bytes: Uint8Array, sequence: number, checksum: number): boolean {
    if (!this.#summed) return true;
    const number = new Uint8Array(4);
    viewOf(number).setUint32(0, sequence, false);
    const sum = crc32c(bytes, crc32c(number, this.#state.checksumSeed));
    return (this.#state.incompatible & JOURNAL_CHECKSUM_V3) !== 0
      ? sum === checksum
      : (sum & 0xffff) === checksum;
  }

  /** The block to look at; moves on, around the ring. */
  #step(): number {
    const index = this.#index;
    this.#index = index + 1 === this.#state.blocks ? this.#state.first : index + 1;
    this.#walked++;
    return index;
  }

  #tags(view: DataView, logged: Logged[]): void {
    const { incompatible } = this.#state;
    const isV3 = (incompatible & JOURNAL_CHECKSUM_V3) !== 0;
    const is64 = (incompatible & JOURNAL_64BIT) !== 0;
    // With checksums v2 two bytes follow that nobody uses.
    const spare = (incompatible & JOURNAL_CHECKSUM_V2) !== 0 ? 2 : 0;
    const size = isV3 ? JOURNAL_TAG3.size : JOURNAL_TAG.size + (is64 ? 4 : 0) + spare;
    const end = this.#blockSize - (this.#summed ? 4 : 0);
    for (let at = JOURNAL_HEAD.size; at + size <= end; ) {
      const flags = isV3
        ? view.getUint32(at + JOURNAL_TAG3.at.flags, false)
        : view.getUint16(at + JOURNAL_TAG.at.flags, false);
      const low = view.getUint32(at + JOURNAL_TAG.at.block, false);
      // Both forms have the high half 8 bytes in.
      const high = is64 ? view.getUint32(at + JOURNAL_TAG3.at.blockHigh, false) : 0;
      const checksum = isV3
        ? view.getUint32(at + JOURNAL_TAG3.at.checksum, false)
        : view.getUint16(at + JOURNAL_TAG.at.checksum, false);
      const escaped = (flags & TAG_ESCAPED) !== 0;
      logged.push({ home: high * 2 ** 32 + low, index: this.#step(), escaped, checksum });
      if ((flags & TAG_LAST) !== 0) return;
      at += size + ((flags & TAG_SAME_UUID) !== 0 ? 0 : 16);
    }
  }

  #revokes(view: DataView, revoked: number[]): void {
    const is64 = (this.#state.incompatible & JOURNAL_64BIT) !== 0;
    const end = Math.min(view.getUint32(JOURNAL_REVOKE.at.bytes, false), this.#blockSize);
    for (let at: number = JOURNAL_REVOKE.size; at + (is64 ? 8 : 4) <= end; at += is64 ? 8 : 4) {
      const high = is64 ? view.getUint32(at, false) : 0;
      revoked.push(high * 2 ** 32 + view.getUint32(at + (is64 ? 4 : 0), false));
    }
  }

  #tailFits(bytes: Uint8Array): boolean {
    return !this.#summed || this.#fits(bytes, this.#blockSize - 4);
  }

  /** Whether the block's checksum at `at` is that of the block with zeros there. */
  #fits(bytes: Uint8Array, at: number): boolean {
    const view = viewOf(bytes);
    const stored = view.getUint32(at, false);
    view.setUint32(at, 0, false);
    const sum = crc32c(bytes, this.#state.checksumSeed);
    view.setUint32(at, stored, false);
    return sum === stored;
  }
}
