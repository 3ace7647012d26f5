/**
 * CopyOut: the part of a production volume that takes part in commits. It holds writes to blocks
 * that must be saved first, saves the old blocks, and only then overwrites them (US 6,934,822).
 *
 *   W1  Old bytes are read from the clone volume when a commit gathers them. Nothing can have
 *       changed them since the snapshot: every write to a block that is not saved is held here.
 *   W2  `settle` runs only when old bytes and map entries are durable; only there is a held block
 *       written to the clone volume (I3).
 *   W3  A block whose bit is set is never saved again (I2); its held bytes are only written.
 */
import { type BlockDevice, isStorageError, together } from '@palimpsest/block-device';
import { type Batch, HeldBlocks, type Participant, type SaveVolume } from '@palimpsest/save-volume';
import type { SavedBlocks } from './saved-blocks.js';

/** Reads or writes of the clone volume in flight at once: enough to fill a disk's queue. */
const IN_FLIGHT_MAX = 64;
/** Bytes of one read or write of the clone volume at most. */
const RUN_BYTES = 1 << 20;

/**
 * Bytes of blocks gathered at a time, in memory that is used again: as much as a commit starts at by
 * default. Fresh memory for each block would cost more than reading it.
 */
const ARENA_BYTES = 8 << 20;

interface Run {
  readonly first: number;
  readonly bytes: Uint8Array;
}

type Move = (bytes: Uint8Array, position: number) => Promise<void> | undefined;

/** See the file header. */
export class CopyOut implements Participant {
  readonly held: HeldBlocks;
  /** The snapshot that old blocks are saved for; 0 when there is none. */
  youngest = 0;
  /** Set for good when the clone volume failed under a write that was answered already (R15). */
  failure: unknown;
  /** Set when the volume is left: nothing more is held, since nobody would commit it. */
  closed = false;
  /** Why the last cycle could not write to the clone volume; it is tried again by the next. */
  refusal: unknown;
  readonly #save: SaveVolume;
  readonly #clone: BlockDevice;
  readonly #volume: number;
  readonly #saved: SavedBlocks;
  #arena: Uint8Array = new Uint8Array(0);

  constructor(save: SaveVolume, clone: BlockDevice, volume: number, saved: SavedBlocks) {
    this.held = new HeldBlocks(save);
    this.#save = save;
    this.#clone = clone;
    this.#volume = volume;
    this.#saved = saved;
  }

  begin(): void {
    if (this.failure === undefined) this.held.begin();
  }

  async fill(batch: Batch): Promise<boolean> {
    if (this.failure !== undefined) return false;
    const unfilled = this.held.unfilled();
    const unsaved: number[] = [];
    let taken = 0;
    for (const block of unfilled) {
      if (taken >= this.#arenaBlocks) break;
      if (this.youngest > 0) {
        // Again if need be: a region may be dropped between its loading and here. A block taken for
        // unsaved would be saved with what overwrote it.
        while (this.#saved.has(block) === undefined) await this.#saved.load(block);
        if (this.#saved.has(block) !== true) {
          if (!batch.hasRoom(unsaved.length + 1)) break;
          unsaved.push(block);
        }
      }
      taken += 1;
    }
    try {
      const read: Move = (bytes, position) => this.#clone.readInto(bytes, position);
      const runs = this.#runsOf(unsaved);
      await transferAll(runs, this.#save.blockSize, read);
      for (const run of runs) this.#putOld(batch, run);
    } catch (error) {
      // What cannot be saved must not be overwritten: the writes that wait for it cannot be kept.
      this.#fail(error);
      return false;
    }
    for (const block of unfilled.slice(0, taken)) this.held.fill(block);
    return taken < unfilled.length;
  }

  async settle(): Promise<void> {
    const { filled } = this.held;
    if (filled.length === 0) return;
    for (const block of filled) this.#saved.add(block);
    try {
      const write: Move = (bytes, position) => this.#clone.write(bytes, position);
      await transferAll(this.#runsOf(filled, true), this.#save.blockSize, write);
      this.refusal = undefined;
      this.held.settle();
    } catch (error) {
      if (isStorageError(error, 'ERR_NO_SPACE')) this.refusal = error;
      else this.#fail(error);
      this.held.abandon();
    }
  }

  /** What is held can be read from now on, and that is all: others must not wait for it. */
  #fail(error: unknown): void {
    this.failure = error;
    this.held.forfeit();
  }

  abandon(): void {
    this.held.abandon();
  }

  #putOld(batch: Batch, run: Run): void {
    const { blockSize } = this.#save;
    for (let at = 0; at < run.bytes.length; at += blockSize) {
      const old = run.bytes.subarray(at, at + blockSize);
      const block = run.first + at / blockSize;
      // Zeros are recorded, not copied: a volume that was never written costs no space.
      if (isZero(old)) batch.putZero(this.#volume, block, this.youngest);
      else batch.put(this.#volume, block, this.youngest, old);
    }
  }

  get #arenaBlocks(): number {
    return ARENA_BYTES / this.#save.blockSize;
  }

  /** Neighbours as one run each, with memory for their bytes: what is held of them, or room for it. */
  #runsOf(blocks: readonly number[], held = false): Run[] {
    const { blockSize } = this.#save;
    const needed = blocks.length * blockSize;
    if (this.#arena.length < needed) this.#arena = new Uint8Array(needed);
    const runs: Run[] = [];
    for (let index = 0; index < blocks.length; ) {
      const first = blocks[index] as number;
      let count = 1;
      while (blocks[index + count] === first + count && count * blockSize < RUN_BYTES) count += 1;
      const at = index * blockSize;
      const single = held && count === 1 ? this.held.committing(first) : null;
      const bytes = single ?? this.#arena.subarray(at, at + count * blockSize);
      if (held && single === null) {
        for (let offset = 0; offset < count; offset += 1) {
          const part = this.held.committing(first + offset);
          if (part === null) bytes.fill(0, offset * blockSize, (offset + 1) * blockSize);
          else bytes.set(part, offset * blockSize);
        }
      }
      runs.push({ first, bytes });
      index += count;
    }
    return runs;
  }
}

/** Reads or writes runs of the clone volume, several at a time. */
async function transferAll(runs: readonly Run[], blockSize: number, move: Move): Promise<void> {
  for (let from = 0; from < runs.length; from += IN_FLIGHT_MAX) {
    await together((waits) => {
      for (const { first, bytes } of runs.slice(from, from + IN_FLIGHT_MAX)) {
        const completion = move(bytes, first * blockSize);
        if (completion !== undefined) waits.push(completion);
      }
    });
  }
}

/** Tells whether all bytes are zero; most blocks that are not say so in their first byte. */
function isZero(bytes: Uint8Array): boolean {
  if (bytes[0] !== 0) return false;
  return Buffer.compare(bytes, ZEROS.subarray(0, bytes.length)) === 0;
}

const ZEROS = new Uint8Array(65_536);
