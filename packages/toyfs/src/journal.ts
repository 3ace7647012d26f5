/**
 * Journal: writes transactions into the journal and brings their blocks home. It is filled from the
 * front, and begun at the front again when all is home: a ring that never wraps.
 *
 *   J1  The log of a transaction, and the file data it refers to, are durable before its commit block
 *       is written; it counts when that is durable.
 *   J2  A block goes home only from the image in the log of a transaction that counts.
 *   J3  The ring's space is reused only after everything in it is home, durably, and the journal's
 *       superblock, durably, says that the journal is empty.
 *   J4  An image of a block that was freed is forgotten when the freeing transaction counts.
 *   J5  The image's superblock says, durably, that the journal is needed before the journal's own says
 *       that it holds something, and as long as it does.
 *   J6  The memory of logs is used again only when no image of them is waiting any more.
 *
 * Images wait in `logged`, the cache's overlay: they are slices of the log as it was written, so a
 * block is copied once a transaction, however often it changes.
 */
import type { BlockDevice } from '@palimpsest/block-device';
import { invariant } from '@palimpsest/block-device';
import { viewOf } from '@palimpsest/bytes';
import type { Block } from './block-cache.js';
import {
  JOURNAL_COMMIT,
  JOURNAL_HEAD,
  JOURNAL_MAGIC,
  JOURNAL_REVOKE,
  JOURNAL_SUPERBLOCK,
  KIND_COMMIT,
  KIND_DESCRIPTOR,
  KIND_REVOKE,
  TAG_ESCAPED,
  TAG_LAST,
  TAG_SAME_UUID,
} from './disk/journal-record.js';
import { JournalFormat } from './journal-format.js';
import { LogMemory } from './log-memory.js';
import { writeRuns } from './write-runs.js';

/** A transaction's log, frozen: later changes of its blocks do not reach it. */
interface Log {
  readonly sequence: number;
  /** All blocks but the commit block, as they go into the ring. */
  readonly bytes: Uint8Array;
}

/** See the head of the file. */
export class Journal {
  readonly #device: BlockDevice;
  readonly #blockSize: number;
  /** The image's block for each block of the journal. */
  readonly #places: readonly number[];
  readonly #superblock: Uint8Array;
  readonly #logged: Map<number, Uint8Array>;
  readonly #mark: () => Promise<void>;
  readonly #format: JournalFormat;
  readonly #first: number;
  readonly #memory = new LogMemory();
  /** Where the next block of log goes. */
  #head: number;
  #sequence: number;
  #superblockSaysEmpty = true;

  /** `superblock` is the journal's block 0, of an empty journal; `sequence` the next number. */
  constructor(options: {
    readonly device: BlockDevice;
    readonly blockSize: number;
    readonly places: readonly number[];
    readonly superblock: Uint8Array;
    readonly sequence: number;
    readonly logged: Map<number, Uint8Array>;
    /** Whether the journal has checksums. */
    readonly isSummed: boolean;
    /** Says in the image's superblock, durably, that the journal is needed. */
    readonly mark: () => Promise<void>;
  }) {
    this.#device = options.device;
    this.#blockSize = options.blockSize;
    this.#places = options.places;
    this.#superblock = options.superblock;
    this.#logged = options.logged;
    this.#mark = options.mark;
    this.#sequence = options.sequence;
    // The ring is empty, so nothing in it needs another format.
    this.#format = new JournalFormat(options.superblock, options.blockSize, options.isSummed);
    this.#first = viewOf(this.#superblock).getUint32(JOURNAL_SUPERBLOCK.at.first, false);
    this.#head = this.#first;
  }

  /** Blocks that a transaction may change at most. */
  get transactionLimit(): number {
    return Math.floor((this.#places.length - this.#first) / 4) - 8;
  }

  /** True when more than half of the journal is in use. */
  get isFilling(): boolean {
    return this.#head * 2 > this.#places.length;
  }

  get isEmpty(): boolean {
    return this.#superblockSaysEmpty;
  }

  /** Whether a log of so many changed blocks and revokes fits without a checkpoint. */
  hasRoomFor(blocks: number, revokes: number): boolean {
    const length = this.#logLength(blocks, revokes) + 1;
    return this.#head + length <= this.#places.length;
  }

  /** Freezes the contents of `blocks` as a log. From here on the cache reads them from there (J2). */
  compose(blocks: readonly Block[], revoked: readonly number[]): Log {
    const size = this.#blockSize;
    const bytes = this.#memory.take(this.#logLength(blocks.length, revoked.length) * size);
    const view = viewOf(bytes);
    const sequence = this.#sequence;
    let at = 0;
    const head = (kind: number): void => {
      bytes.fill(0, at, at + size);
      view.setUint32(at + JOURNAL_HEAD.at.magic, JOURNAL_MAGIC, false);
      view.setUint32(at + JOURNAL_HEAD.at.kind, kind, false);
      view.setUint32(at + JOURNAL_HEAD.at.sequence, sequence, false);
    };
    const perRevoke = this.#format.revokesPerBlock;
    for (let done = 0; done < revoked.length; done += perRevoke) {
      const part = revoked.slice(done, done + perRevoke);
      head(KIND_REVOKE);
      view.setUint32(at + JOURNAL_REVOKE.at.bytes, JOURNAL_REVOKE.size + part.length * 4, false);
      part.forEach((block, i) => {
        view.setUint32(at + JOURNAL_REVOKE.size + i * 4, block, false);
      });
      this.#format.end(bytes, at);
      at += size;
    }
    const perDescriptor = this.#format.tagsPerBlock;
    for (let done = 0; done < blocks.length; done += perDescriptor) {
      const part = blocks.slice(done, done + perDescriptor);
      head(KIND_DESCRIPTOR);
      const descriptor = at;
      at += size;
      part.forEach((block, i) => {
        let flags = (i > 0 ? TAG_SAME_UUID : 0) | (i === part.length - 1 ? TAG_LAST : 0);
        bytes.set(block.bytes, at);
        let image = bytes.subarray(at, at + size);
        if (view.getUint32(at, false) === JOURNAL_MAGIC) {
          flags |= TAG_ESCAPED;
          image = block.bytes.slice();
          view.setUint32(at, 0, false);
        }
        this.#logged.set(block.number, image);
        const tag = { home: block.number, flags, content: at };
        this.#format.tag(bytes, descriptor, i, tag, sequence);
        at += size;
      });
      this.#format.end(bytes, descriptor);
    }
    invariant(at === bytes.length, 'a log has the length that was computed for it');
    this.#sequence = (sequence + 1) >>> 0;
    return { sequence, bytes };
  }

  /** Writes a log into the ring. The caller flushes, and then calls `commit` (J1). */
  async write(log: Log): Promise<void> {
    if (this.#superblockSaysEmpty) {
      await this.#mark(); // J5
      await this.#writeSuperblock(log.sequence, this.#head);
      this.#superblockSaysEmpty = false;
    }
    await this.#append(log.bytes);
  }

  /** Writes the commit block. The transaction counts after the caller's next flush. */
  async commit(log: Log, nowMs: number): Promise<void> {
    const bytes = new Uint8Array(this.#blockSize);
    const view = viewOf(bytes);
    const at = JOURNAL_COMMIT.at;
    view.setUint32(at.magic, JOURNAL_MAGIC, false);
    view.setUint32(at.kind, KIND_COMMIT, false);
    view.setUint32(at.sequence, log.sequence, false);
    view.setBigUint64(at.seconds, BigInt(Math.floor(nowMs / 1000)), false);
    view.setUint32(at.nanoseconds, Math.floor((nowMs % 1000) * 1e6), false);
    this.#format.endCommit(bytes);
    await this.#append(bytes);
  }

  /** Brings every logged block home and leaves the journal empty, durably (J2, J3). */
  async checkpoint(): Promise<void> {
    if (this.isEmpty && this.#logged.size === 0) return;
    await this.makeEmpty();
  }

  /** As `checkpoint`, of a journal that may hold what another wrote. */
  async makeEmpty(): Promise<void> {
    const images = [...this.#logged];
    await writeRuns(this.#device, this.#blockSize, images);
    await this.#device.flush();
    for (const [number, image] of images) {
      if (this.#logged.get(number) === image) this.#logged.delete(number);
    }
    if (this.#logged.size === 0) this.#memory.reset(); // J6
    await this.#writeSuperblock(this.#sequence, 0);
    await this.#device.flush();
    this.#superblockSaysEmpty = true;
    this.#head = this.#first;
  }

  #logLength(blocks: number, revokes: number): number {
    return (
      blocks +
      Math.ceil(blocks / this.#format.tagsPerBlock) +
      Math.ceil(revokes / this.#format.revokesPerBlock)
    );
  }

  /** Writes blocks at the head of the ring and moves it on. */
  async #append(bytes: Uint8Array): Promise<void> {
    const size = this.#blockSize;
    const entries: [number, Uint8Array][] = [];
    for (let at = 0; at < bytes.length; at += size) {
      entries.push([this.#places[this.#head] as number, bytes.subarray(at, at + size)]);
      this.#head++;
    }
    invariant(this.#head <= this.#places.length, 'a log fits into the journal');
    await writeRuns(this.#device, size, entries);
  }

  async #writeSuperblock(sequence: number, start: number): Promise<void> {
    const view = viewOf(this.#superblock);
    view.setUint32(JOURNAL_SUPERBLOCK.at.sequence, sequence, false);
    view.setUint32(JOURNAL_SUPERBLOCK.at.start, start, false);
    this.#format.endSuperblock(this.#superblock);
    await this.#device.write(
      this.#superblock.slice(),
      (this.#places[0] as number) * this.#blockSize,
    );
  }
}
