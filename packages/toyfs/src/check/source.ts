/**
 * Source: the blocks of an image as they are after its journal was replayed, read and never written.
 * What the journal holds lies over the device in memory.
 */
import type { BlockDevice } from '@palimpsest/block-device';
import { viewOf } from '@palimpsest/bytes';

/** A block, or several in a row, and their numbers. */
export interface Read {
  readonly number: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** See the head of the file. */
export class Source {
  readonly blockSize: number;
  /** New contents by block number. */
  overlay: ReadonlyMap<number, Uint8Array> = new Map();
  readonly #device: BlockDevice;

  constructor(device: BlockDevice, blockSize: number) {
    this.#device = device;
    this.blockSize = blockSize;
  }

  /** Reads `count` blocks from `number` on, which must be on the device. */
  async read(number: number, count = 1): Promise<Read> {
    const size = this.blockSize;
    const bytes = new Uint8Array(count * size);
    const logged = count === 1 ? this.overlay.get(number) : undefined;
    if (logged !== undefined) {
      bytes.set(logged);
      return { number, bytes, view: viewOf(bytes) };
    }
    await this.#device.readInto(bytes, number * size);
    if (this.overlay.size > 0) {
      for (let i = 0; i < count; i++) {
        const newer = this.overlay.get(number + i);
        if (newer !== undefined) bytes.set(newer, i * size);
      }
    }
    return { number, bytes, view: viewOf(bytes) };
  }
}
