/**
 * DirtyData: file data in memory that the device does not have yet, and writing it there. It may go at
 * any time: what maps a new block counts only later, and a block that was mapped before is the file's.
 */
import { type BlockDevice, isStorageError } from '@palimpsest/block-device';
import type { Block } from './block-cache.js';
import { FsError } from './errors.js';
import { InFlight } from './in-flight.js';

/** Bytes of one write at most. */
const WRITE_MAX = 1 << 18;
/** Writes under way at once. */
const WRITES_MAX = 4;

/** See the head of the file. */
export class DirtyData {
  readonly #device: BlockDevice;
  readonly #blockSize: number;
  readonly #failed: (error: unknown) => void;
  readonly #written: (block: Block) => void;
  readonly #blocks = new Map<number, Block>();
  readonly #perWrite: number;
  readonly #buffers: Uint8Array[] = [];
  #writing: Promise<void> | undefined;

  /**
   * `failed` hears of failures that leave the device in an unknown state; `written` of each block that
   * the device has, and that was not changed meanwhile.
   */
  constructor(
    device: BlockDevice,
    blockSize: number,
    failed: (error: unknown) => void,
    written: (block: Block) => void,
  ) {
    this.#device = device;
    this.#blockSize = blockSize;
    this.#failed = failed;
    this.#written = written;
    this.#perWrite = Math.max(1, Math.floor(WRITE_MAX / blockSize));
  }

  get isWriting(): boolean {
    return this.#writing !== undefined;
  }

  get isEmpty(): boolean {
    return this.#blocks.size === 0;
  }

  /** Bytes. */
  get size(): number {
    return this.#blocks.size * this.#blockSize;
  }

  add(block: Block): void {
    if (block.dirty) return;
    block.dirty = true;
    this.#blocks.set(block.number, block);
  }

  /** Forgets a block: it was freed. */
  drop(block: Block): void {
    if (!block.dirty) return;
    block.dirty = false;
    this.#blocks.delete(block.number);
  }

  /** Writes what there is; those who ask while it is under way wait for that. */
  writeBack(): Promise<void> {
    if (this.#writing === undefined) {
      const work = this.write().finally(() => {
        if (this.#writing === work) this.#writing = undefined;
      });
      this.#writing = work;
    }
    return this.#writing;
  }

  /** Resolves when a `writeBack` that is under way has ended. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  /** Writes all that there is now. When the device has no space for it, it stays, to be written later. */
  async write(): Promise<void> {
    if (this.#blocks.size === 0) return;
    const blocks = [...this.#blocks.values()].sort((a, b) => a.number - b.number);
    const numbers = blocks.map(({ number }) => number);
    const isThere = (i: number): boolean =>
      blocks[i]?.dirty === true && blocks[i]?.number === numbers[i];
    const writes = new InFlight(WRITES_MAX);
    try {
      for (let from = 0; from < blocks.length; ) {
        // Before looking: while this waits, blocks are freed, and their memory becomes another's.
        await writes.room();
        if (!isThere(from)) {
          from++; // Freed, or written by another, while earlier ones were written.
          continue;
        }
        let to = from + 1;
        while (
          to - from < this.#perWrite &&
          isThere(to) &&
          numbers[to] === (numbers[to - 1] ?? 0) + 1
        ) {
          to++;
        }
        const wait = this.#writeRun(blocks.slice(from, to));
        if (wait !== undefined) writes.add(wait);
        from = to;
      }
      await writes.settled();
    } catch (error) {
      await writes.settled().catch(() => undefined); // not while others are still under way
      if (!isStorageError(error, 'ERR_NO_SPACE')) this.#failed(error);
      throw writeFailure(error);
    }
  }

  /** Writes neighbours, from a copy: they may change while the device has it. */
  #writeRun(blocks: readonly Block[]): Promise<void> | undefined {
    const size = this.#blockSize;
    const start = (blocks[0] as Block).number;
    // Memory is used again: taking it anew for every write costs more than the copy.
    const buffer = this.#buffers.pop() ?? new Uint8Array(this.#perWrite * size);
    blocks.forEach((block, i) => {
      buffer.set(block.bytes, i * size);
      block.dirty = false;
      block.pins++;
      this.#blocks.delete(block.number);
    });
    const done = (error?: unknown): void => {
      this.#buffers.push(buffer);
      blocks.forEach((block, i) => {
        block.pins--;
        if (error !== undefined && block.number === start + i) this.add(block);
        if (!block.dirty) this.#written(block);
      });
    };
    try {
      const wait = this.#device.write(buffer.subarray(0, blocks.length * size), start * size);
      if (wait === undefined) done();
      return wait?.then(
        () => done(),
        (error: unknown) => {
          done(error);
          throw error;
        },
      );
    } catch (error) {
      done(error);
      throw error;
    }
  }
}

/** What a failed write of the device means for whoever waits for it. */
export function writeFailure(error: unknown): FsError {
  if (error instanceof FsError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return isStorageError(error, 'ERR_NO_SPACE')
    ? new FsError('EDQUOT', `the device has no space: ${message}`, { cause: error })
    : new FsError('EIO', `the device failed: ${message}`, { cause: error });
}

/** What a change, or a sync, says once a write has failed. */
export function afterFailure(code: 'EIO' | 'EROFS', cause: Error): FsError {
  const since = code === 'EROFS' ? 'read-only since a write failed' : 'an earlier write failed';
  return new FsError(code, `${since}: ${cause.message}`, { cause });
}
