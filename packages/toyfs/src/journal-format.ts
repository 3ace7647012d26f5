/**
 * JournalFormat: how the journal's blocks are laid out, with checksums (v3, on images whose metadata
 * have them) or without. With them tags are twice as long, and each block but the contents ends with,
 * or has in it, its own sum.
 */
import { viewOf } from '@palimpsest/bytes';
import { CRC_START, crc32c } from './crc32c.js';
import {
  JOURNAL_CHECKSUM_V3,
  JOURNAL_COMMIT,
  JOURNAL_HEAD,
  JOURNAL_REVOKE,
  JOURNAL_REVOKES,
  JOURNAL_SUPERBLOCK,
  JOURNAL_TAG,
  JOURNAL_TAG3,
  TYPE_CRC32C,
} from './disk/journal-record.js';

const SUPER = JOURNAL_SUPERBLOCK.at;

/** See the head of the file. */
export class JournalFormat {
  readonly #blockSize: number;
  /** Undefined without checksums. */
  readonly #seed: number | undefined;
  readonly #tagSize: number;
  readonly #tailSize: number;

  /** `superblock` is the journal's, whose features this sets. */
  constructor(superblock: Uint8Array, blockSize: number, isSummed: boolean) {
    this.#blockSize = blockSize;
    this.#seed = isSummed ? crc32c(superblock, CRC_START, SUPER.uuid, SUPER.uuid + 16) : undefined;
    this.#tagSize = isSummed ? JOURNAL_TAG3.size : JOURNAL_TAG.size;
    this.#tailSize = isSummed ? 4 : 0;
    const view = viewOf(superblock);
    view.setUint32(SUPER.kind, 4, false);
    view.setUint32(SUPER.compatible, 0, false);
    const checksums = isSummed ? JOURNAL_CHECKSUM_V3 : 0;
    view.setUint32(SUPER.incompatible, JOURNAL_REVOKES | checksums, false);
    view.setUint8(SUPER.checksumType, isSummed ? TYPE_CRC32C : 0);
    view.setUint32(SUPER.checksum, 0, false);
  }

  get tagsPerBlock(): number {
    const room = this.#blockSize - JOURNAL_HEAD.size - 16 - this.#tailSize;
    return Math.floor(room / this.#tagSize);
  }

  get revokesPerBlock(): number {
    return Math.floor((this.#blockSize - JOURNAL_REVOKE.size - this.#tailSize) / 4);
  }

  /** Writes tag `index` of the descriptor at `at`, for the contents at `content` of the log. */
  tag(
    log: Uint8Array,
    at: number,
    index: number,
    tag: { readonly home: number; readonly flags: number; readonly content: number },
    sequence: number,
  ): void {
    const view = viewOf(log);
    // The uuid follows the first.
    const place = at + JOURNAL_HEAD.size + index * this.#tagSize + (index > 0 ? 16 : 0);
    view.setUint32(place + JOURNAL_TAG.at.block, tag.home, false);
    if (this.#seed === undefined) {
      view.setUint16(place + JOURNAL_TAG.at.flags, tag.flags, false);
      return;
    }
    const sum = crc32c(
      log,
      this.#ofSequence(this.#seed, sequence),
      tag.content,
      tag.content + this.#blockSize,
    );
    view.setUint32(place + JOURNAL_TAG3.at.flags, tag.flags, false);
    view.setUint32(place + JOURNAL_TAG3.at.checksum, sum, false);
  }

  /** Ends the descriptor or revoke block at `at`, when all of it is written. */
  end(log: Uint8Array, at: number): void {
    if (this.#seed === undefined) return;
    const tail = at + this.#blockSize - 4;
    const sum = crc32c(ZEROS, crc32c(log, this.#seed, at, tail));
    viewOf(log).setUint32(tail, sum, false);
  }

  /** Ends a commit block. */
  endCommit(bytes: Uint8Array): void {
    if (this.#seed === undefined) return;
    viewOf(bytes).setUint32(JOURNAL_COMMIT.at.checksum, crc32c(bytes, this.#seed), false);
  }

  /** Ends the superblock. */
  endSuperblock(bytes: Uint8Array): void {
    if (this.#seed === undefined) return;
    const view = viewOf(bytes);
    view.setUint32(SUPER.checksum, 0, false);
    view.setUint32(SUPER.checksum, superblockSum(bytes), false);
  }

  #ofSequence(seed: number, sequence: number): number {
    viewOf(NUMBER).setUint32(0, sequence, false);
    return crc32c(NUMBER, seed);
  }
}

const ZEROS = new Uint8Array(4);
const NUMBER = new Uint8Array(4);

/** The sum of a journal's superblock, with zeros in its place. */
export function superblockSum(bytes: Uint8Array): number {
  const at = SUPER.checksum;
  const head = crc32c(ZEROS, crc32c(bytes, CRC_START, 0, at));
  return crc32c(bytes, head, at + 4, JOURNAL_SUPERBLOCK.size);
}
