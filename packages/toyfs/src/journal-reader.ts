/**
 * JournalReader: the blocks of a journal, several at once where they are neighbours on the device too; and
 * the memory for what is read from it, taken in pieces: a full journal is thousands of blocks.
 */
import { type BlockDevice, StorageError } from '@palimpsest/block-device';

/** Reads whole blocks, from block `index` of the journal on. */
export type ReadJournal = (target: Uint8Array, index: number) => Promise<void>;

/** Blocks read, and taken memory for, at once. */
export const PIECE_BLOCKS = 64;

/** Reads a journal that lies at these places, block by block. */
export function journalReader(
  device: BlockDevice,
  blockSize: number,
  places: readonly number[],
): ReadJournal {
  return async (target, index) => {
    const count = target.length / blockSize;
    for (let from = 0; from < count; ) {
      const start = places[index + from] as number;
      let to = from + 1;
      while (to < count && places[index + to] === start + to - from) to++;
      await device.readInto(target.subarray(from * blockSize, to * blockSize), start * blockSize);
      from = to;
    }
  };
}

/** The newest contents of blocks, by number. */
export class JournalContents {
  readonly blocks: Map<number, Uint8Array> = new Map<number, Uint8Array>();
  readonly #blockSize: number;
  readonly #limit: number;
  #piece = new Uint8Array(0);
  #used = 0;

  /** Holds up to `limit` bytes. */
  constructor(blockSize: number, limit: number) {
    this.#blockSize = blockSize;
    this.#limit = limit;
  }

  /** Keeps a copy. @throws {StorageError} ERR_NO_SPACE when there is more than the limit */
  set(number: number, bytes: Uint8Array): Uint8Array {
    let kept = this.blocks.get(number);
    if (kept === undefined) {
      if ((this.blocks.size + 1) * this.#blockSize > this.#limit) {
        throw new StorageError('ERR_NO_SPACE', `the journal holds more than ${this.#limit} bytes`);
      }
      kept = this.#take();
      this.blocks.set(number, kept);
    }
    kept.set(bytes);
    return kept;
  }

  #take(): Uint8Array {
    if (this.#used === this.#piece.length) {
      this.#piece = new Uint8Array(PIECE_BLOCKS * this.#blockSize);
      this.#used = 0;
    }
    this.#used += this.#blockSize;
    return this.#piece.subarray(this.#used - this.#blockSize, this.#used);
  }
}
