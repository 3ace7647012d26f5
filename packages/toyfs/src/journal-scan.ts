/**
 * JournalScan: walks the ring of a journal, transaction by transaction: which blocks each has logged,
 * where their contents lie, and which it has revoked. Contents are read by others, and checked here.
 *
 *   Y1  A transaction counts when its commit block is there, with the expected number; the first that
 *       does not ends the log. One whose checksums do not fit does not count either.
 */
import { viewOf } from '@palimpsest/bytes';
import { crc32c } from './crc32c.js';
import {
  JOURNAL_64BIT,
  JOURNAL_CHECKSUM_V2,
  JOURNAL_CHECKSUM_V3,
  JOURNAL_COMMIT,
  JOURNAL_HEAD,
  JOURNAL_MAGIC,
  JOURNAL_REVOKE,
  JOURNAL_TAG,
  JOURNAL_TAG3,
  KIND_COMMIT,
  KIND_DESCRIPTOR,
  KIND_REVOKE,
  TAG_ESCAPED,
  TAG_LAST,
  TAG_SAME_UUID,
} from './disk/journal-record.js';
import type { ReadJournal } from './journal-reader.js';
import type { JournalState } from './journal-replay.js';

/** One logged block: where it belongs, and where its content is in the journal. */
export interface Logged {
  readonly home: number;
  readonly index: number;
  /** The content begins with the journal's own number, for which zeros stand there. */
  readonly escaped: boolean;
  readonly checksum: number;
}

/** A transaction that counts. */
export interface Found {
  readonly sequence: number;
  readonly logged: readonly Logged[];
  readonly revoked: readonly number[];
}

/** See the head of the file. */
export class Scan {
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
