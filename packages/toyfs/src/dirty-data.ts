/**
 * DirtyData: file data in memory that the device does not have yet, and writing it there. It may go at
 * any time: what maps a new block counts only later, and a block that was mapped before is the file's.
 */
import { type BlockDevice, isStorageError } from '@palimpsest/block-device';
import type { Block } from './block-cache.js';
import { FsError } from './errors.js';
import { writeRuns } from './write-runs.js';

/** See the head of the file. */
export class DirtyData {
  readonly #device: BlockDevice;
  readonly #blockSize: number;
  readonly #failed: (error: unknown) => void;
  readonly #blocks = new Map<number, Block>();
  #writing: Promise<void> | undefined;

  /** `failed` hears of failures that leave the device in an unknown state. */
  constructor(device: BlockDevice, blockSize: number, failed: (error: unknown) => void) {
    this.#device = device;
    this.#blockSize = blockSize;
    this.#failed = failed;
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

  /** Writes all of it as it is now. When the device has no space for it, it stays, to be written later. */
  async write(): Promise<void> {
    if (this.#blocks.size === 0) return;
    const blocks = [...this.#blocks.values()].sort((a, b) => a.number - b.number);
    this.#blocks.clear();
    const size = this.#blockSize;
    const copy = new Uint8Array(blocks.length * size);
    const entries = blocks.map((block, i): [number, Uint8Array] => {
      const bytes = copy.subarray(i * size, (i + 1) * size);
      bytes.set(block.bytes);
      block.dirty = false;
      block.pins++;
      return [block.number, bytes];
    });
    const numbers = blocks.map(({ number }) => number);
    try {
      await writeRuns(this.#device, size, entries);
    } catch (error) {
      blocks.forEach((block, i) => {
        if (block.number === numbers[i]) this.add(block);
      });
      if (!isStorageError(error, 'ERR_NO_SPACE')) this.#failed(error);
      throw writeFailure(error);
    } finally {
      for (const block of blocks) block.pins--;
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
