/**
 * checked: the one door into a backend. It settles what every device must refuse (D4, D7, D8) and
 * what every device must remember (D5), and fills in what a driver leaves out, so that no backend
 * and no filter has to. It counts what it lets through. It adds no promise and no allocation to a
 * request that succeeds.
 */
import type {
  BlockDevice,
  BlockDriver,
  Completion,
  DeviceMetrics,
  Extent,
  ZeroOptions,
} from './block-device.js';
import { isStorageError, StorageError } from './errors.js';

const SMALLEST_BLOCK = 512;
const LARGEST_BLOCK = 65_536;
/** Bytes of zeros written at a time by the fallback of `zero`: large enough to stream. */
const ZERO_SLICE = 1 << 20;

type Counters = { -readonly [Name in keyof DeviceMetrics]: number };

/**
 * Makes a BlockDevice of a driver.
 * @throws {StorageError} ERR_INVALID when the driver's geometry is not valid.
 */
export function checked(driver: BlockDriver): BlockDevice {
  assertGeometry(driver.blockSize, driver.size);
  return new CheckedDevice(driver);
}

/**
 * Refuses a block size or a device size that no device may have.
 * @throws {StorageError} ERR_INVALID.
 */
export function assertGeometry(blockSize: number, size: number): void {
  const isPowerOfTwo = Number.isInteger(Math.log2(blockSize));
  if (!isPowerOfTwo || blockSize < SMALLEST_BLOCK || blockSize > LARGEST_BLOCK) {
    throw new StorageError(
      'ERR_INVALID',
      `block size ${blockSize} is not a power of two from ${SMALLEST_BLOCK} to ${LARGEST_BLOCK}`,
    );
  }
  if (!Number.isSafeInteger(size) || size < 0 || size % blockSize !== 0) {
    throw new StorageError(
      'ERR_INVALID',
      `size ${size} is not a whole number of ${blockSize}-byte blocks`,
    );
  }
}

class CheckedDevice implements BlockDevice {
  readonly blockSize: number;
  readonly readOnly: boolean;
  readonly metrics: Counters = {
    reads: 0,
    readBytes: 0,
    writes: 0,
    writtenBytes: 0,
    zeroedBytes: 0,
    discardedBytes: 0,
    flushes: 0,
  };
  readonly #driver: BlockDriver;
  #closing: Promise<void> | undefined;
  #failure: unknown;
  #failed = false;

  constructor(driver: BlockDriver) {
    this.#driver = driver;
    this.blockSize = driver.blockSize;
    this.readOnly = driver.readOnly;
  }

  get size(): number {
    return this.#driver.size;
  }

  readInto(target: Uint8Array, position: number): Completion {
    this.#admit(position, target.length);
    this.metrics.reads += 1;
    this.metrics.readBytes += target.length;
    return this.#driver.readInto(target, position);
  }

  write(source: Uint8Array, position: number): Completion {
    this.#admit(position, source.length);
    this.#admitChange();
    this.metrics.writes += 1;
    this.metrics.writtenBytes += source.length;
    return this.#driver.write(source, position);
  }

  zero(position: number, length: number, options: ZeroOptions = {}): Completion {
    this.#admit(position, length);
    this.#admitChange();
    this.metrics.zeroedBytes += length;
    if (this.#driver.zero !== undefined) return this.#driver.zero(position, length, options);
    if (options.fast === true) {
      throw new StorageError('ERR_UNSUPPORTED', 'this device has no fast way to write zeros');
    }
    return this.#writeZeros(position, length);
  }

  discard(position: number, length: number): Completion {
    this.#admit(position, length);
    this.#admitChange();
    this.metrics.discardedBytes += length;
    return this.#driver.discard?.(position, length);
  }

  flush(): Completion {
    this.#admitOpen();
    if (this.readOnly) return undefined;
    this.#admitUnfailed();
    this.metrics.flushes += 1;
    let completion: Completion;
    try {
      completion = this.#driver.flush();
    } catch (error) {
      throw this.#fail(error);
    }
    if (completion === undefined) return undefined;
    return completion.then(
      // The system reports an error of write-back once. Of two flushes in flight the other may
      // have got it, and this one's success then says nothing about what was lost (D5).
      () => this.#admitUnfailed(),
      (error) => {
        throw this.#fail(error);
      },
    );
  }

  async extents(position: number, length: number): Promise<readonly Extent[]> {
    this.#admit(position, length);
    return (
      this.#driver.extents?.(position, length) ??
      Promise.resolve([{ length, zero: false, hole: false }])
    );
  }

  async resize(size: number): Promise<void> {
    this.#admitOpen();
    this.#admitChange();
    assertGeometry(this.blockSize, size);
    if (this.#driver.resize === undefined) {
      throw new StorageError('ERR_UNSUPPORTED', `this device keeps its size of ${this.size} bytes`);
    }
    await this.#driver.resize(size);
  }

  close(): Promise<void> {
    this.#closing ??= this.#driver.close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #admitOpen(): void {
    if (this.#closing !== undefined) throw new StorageError('ERR_CLOSED', 'the device is closed');
  }

  #admit(position: number, length: number): void {
    this.#admitOpen();
    const { blockSize } = this;
    if (length === 0 || position % blockSize !== 0 || length % blockSize !== 0) {
      throw new StorageError(
        'ERR_MISALIGNED',
        `${length} bytes at ${position} are not whole blocks of ${blockSize} bytes`,
      );
    }
    // Written so that NaN fails it too.
    if (!(position >= 0 && length > 0 && position + length <= this.size)) {
      throw new StorageError(
        'ERR_OUT_OF_RANGE',
        `bytes ${position}..${position + length} are outside the device of ${this.size} bytes`,
      );
    }
  }

  #admitChange(): void {
    if (this.readOnly) throw new StorageError('ERR_READ_ONLY', 'the device is read-only');
    this.#admitUnfailed();
  }

  #admitUnfailed(): void {
    if (this.#failed) {
      throw new StorageError('ERR_FAILED', 'a flush failed earlier; reopen the device', {
        cause: this.#failure,
      });
    }
  }

  /** D5. A refusal for want of space is not a failed flush: what it covers is still to be written. */
  #fail(error: unknown): unknown {
    if (isStorageError(error, 'ERR_NO_SPACE')) return error;
    this.#failed = true;
    this.#failure = error;
    return error;
  }

  async #writeZeros(position: number, length: number): Promise<void> {
    const zeros = new Uint8Array(Math.min(length, ZERO_SLICE));
    for (let done = 0; done < length; done += zeros.length) {
      await this.#driver.write(
        zeros.subarray(0, Math.min(zeros.length, length - done)),
        position + done,
      );
    }
  }
}
