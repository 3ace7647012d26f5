/**
 * InSectors: a device seen in sectors of 512 bytes, for a file system whose blocks are smaller than the
 * device's. What is written to a part of a block is put into the block that is read for it.
 *
 *   IS1  Changes are made one after the other: two to parts of one block are both in it afterwards.
 *   IS2  The rest of a block is written as it was: a crash that tears the write makes nothing else of it.
 */
import { type BlockDevice, type BlockDriver, checked } from '@palimpsest/block-device';

/** Bytes in a sector: what every file system's block is a multiple of. */
const SECTOR = 512;

/** See the file header. Closing it leaves `device` open. */
export function inSectors(device: BlockDevice): BlockDevice {
  return checked(new SectorDriver(device));
}

class SectorDriver implements BlockDriver {
  readonly blockSize = SECTOR;
  readonly #device: BlockDevice;
  #last: Promise<unknown> = Promise.resolve();

  constructor(device: BlockDevice) {
    this.#device = device;
  }

  get size(): number {
    return this.#device.size;
  }

  get readOnly(): boolean {
    return this.#device.readOnly;
  }

  async readInto(target: Uint8Array, position: number): Promise<void> {
    const { start, whole } = this.#around(target, position);
    await this.#device.readInto(whole, start);
    target.set(whole.subarray(position - start, position - start + target.length));
  }

  write(source: Uint8Array, position: number): Promise<void> {
    const written = this.#last.then(() => this.#write(source, position)); // IS1
    this.#last = written.catch(() => undefined);
    return written;
  }

  async flush(): Promise<void> {
    await this.#device.flush();
  }

  async close(): Promise<void> {
    await this.#last;
  }

  async #write(source: Uint8Array, position: number): Promise<void> {
    const { start, whole } = this.#around(source, position);
    const { blockSize } = this.#device;
    const last = whole.length - blockSize;
    const end = position + source.length;
    // IS2: the blocks at both ends, where they are written in part; they may be the same.
    if (position > start) await this.#device.readInto(whole.subarray(0, blockSize), start);
    if (end < start + whole.length && (last > 0 || position === start)) {
      await this.#device.readInto(whole.subarray(last), start + last);
    }
    whole.set(source, position - start);
    await this.#device.write(whole, start);
  }

  /** Memory for the blocks that the bytes lie in, and where those begin. */
  #around(bytes: Uint8Array, position: number): { start: number; whole: Uint8Array } {
    const { blockSize } = this.#device;
    const start = position - (position % blockSize);
    const end = Math.ceil((position + bytes.length) / blockSize) * blockSize;
    return { start, whole: new Uint8Array(end - start) };
  }
}
