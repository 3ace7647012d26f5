/**
 * FileDriver: the bytes of one open file as a BlockDriver.
 *
 *   F1  A read never makes bytes up: a file that became shorter than it was is an error, not zeros.
 *   F2  One `fdatasync` at a time. The kernel reports a failed write-back to one caller alone, so
 *       of two at once the second could say "all well" of data that is lost. A flush asked for
 *       while one runs waits for the next, which many callers share; it fails with the first.
 *   F3  Whatever makes `fdatasync` fail, "no space" included, is ERR_IO: the kernel has marked the
 *       pages clean, so unlike a refused write it cannot be repeated.
 *   F4  The file is closed only when no call is in flight: its number may belong to another file
 *       an instant later.
 *   F5  `resize` takes the space before it says yes, so that no write there runs out of it later.
 */
import fs from 'node:fs';
import {
  type BlockDriver,
  type Completion,
  isStorageError,
  StorageError,
  type ZeroOptions,
} from '@palimpsest/block-device';
import type { FileCalls } from './file-calls.js';
import type { Pace } from './pace.js';
import { LARGE, PoolCalls } from './pool-calls.js';
import type { SpaceHelper } from './space.js';
import { reason, systemCode, translate } from './system-errors.js';
import type { Lane } from './thread-pool.js';

/** Ranges of this many bytes or more are worth a run of a program. */
const WORTH_A_HELPER = 1 << 20;
/** Bytes of zeros written at a time. */
const ZERO_SLICE = 1 << 20;

let zeroBytes: Uint8Array | undefined;

/** What is known of an open file. */
export interface OpenFile {
  readonly fd: number;
  /** For messages. */
  readonly path: string;
  readonly size: number;
  readonly blockSize: number;
  readonly readOnly: boolean;
  /** A block special file, whose size is fixed. */
  readonly special: boolean;
}

/** What a driver works with. */
export interface DriverParts {
  readonly calls: FileCalls;
  readonly space: SpaceHelper;
  readonly pace: Pace;
  readonly lane: Lane;
  /** Called when the file has been closed. */
  readonly closed: () => void;
}

export class FileDriver implements BlockDriver {
  readonly blockSize: number;
  readonly readOnly: boolean;
  readonly #fd: number;
  readonly #path: string;
  readonly #special: boolean;
  readonly #calls: FileCalls;
  readonly #space: SpaceHelper;
  readonly #pace: Pace;
  readonly #pool: PoolCalls;
  readonly #closed: () => void;
  #size: number;
  #inFlight = 0;
  #onIdle: (() => void) | undefined;
  /** What an earlier process wrote may still be in the page cache only, so not known as clean. */
  #dirty = true;
  #flushing: Promise<void> | undefined;
  #nextFlush: Promise<void> | undefined;
  #resizing: Promise<void> = Promise.resolve();

  constructor(file: OpenFile, parts: DriverParts) {
    this.blockSize = file.blockSize;
    this.readOnly = file.readOnly;
    this.#fd = file.fd;
    this.#path = file.path;
    this.#special = file.special;
    this.#size = file.size;
    this.#calls = parts.calls;
    this.#space = parts.space;
    this.#pace = parts.pace;
    this.#pool = new PoolCalls(file.fd, parts.calls, parts.pace, parts.lane);
    this.#closed = parts.closed;
  }

  get size(): number {
    return this.#size;
  }

  readInto(target: Uint8Array, position: number): Completion {
    const { length } = target;
    if (length >= LARGE) return this.#track(this.#read(target, position));
    const from = this.#calls.now();
    if (!this.#pace.mayBlock(from)) return this.#track(this.#read(target, position));
    let done = 0;
    while (done < length) {
      let count: number;
      try {
        count = this.#calls.readSync(this.#fd, target, done, length - done, position + done);
      } catch (error) {
        if (systemCode(error) === 'EINTR') continue;
        throw translate(error, `read ${length} bytes at ${position} of ${this.#path}`);
      }
      if (count === 0) throw this.#shrunk(position + done);
      done += count;
    }
    this.#pace.blocked(from, this.#calls.now());
    return undefined;
  }

  write(source: Uint8Array, position: number): Completion {
    const { length } = source;
    this.#dirty = true;
    if (length >= LARGE) return this.#track(this.#write(source, position));
    const from = this.#calls.now();
    if (!this.#pace.mayBlock(from)) return this.#track(this.#write(source, position));
    let done = 0;
    while (done < length) {
      try {
        done += this.#calls.writeSync(this.#fd, source, done, length - done, position + done);
      } catch (error) {
        if (systemCode(error) === 'EINTR') continue;
        throw this.#writeFailed(error, length, position);
      }
    }
    this.#pace.blocked(from, this.#calls.now());
    return undefined;
  }

  flush(): Completion {
    if (this.#flushing !== undefined) {
      // F2. When the one that runs fails, so does this one, and nothing is tried again.
      this.#nextFlush ??= this.#track(
        this.#flushing.then(() => {
          this.#nextFlush = undefined;
          return this.#startFlush();
        }),
      );
      return this.#nextFlush;
    }
    return this.#dirty ? this.#startFlush() : undefined;
  }

  zero(position: number, length: number, options: ZeroOptions): Completion {
    return this.#track(this.#zero(position, length, options));
  }

  discard(position: number, length: number): Completion {
    if (length < WORTH_A_HELPER || !this.#space.can('punch')) return undefined;
    this.#dirty = true;
    return this.#track(this.#space.run('punch', position, length).then(() => undefined));
  }

  async resize(size: number): Promise<void> {
    if (this.#special) {
      throw new StorageError('ERR_UNSUPPORTED', `${this.#path} is a disk of fixed size`);
    }
    const change = (): Promise<void> =>
      size > this.#size ? this.#grow(size) : this.#truncate(size);
    this.#resizing = this.#resizing.then(change, change); // one at a time
    await this.#track(this.#resizing);
  }

  async close(): Promise<void> {
    if (this.#inFlight > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve; // F4
      });
    }
    await this.#space.close();
    fs.closeSync(this.#fd);
    this.#closed();
  }

  #read(target: Uint8Array, position: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#pool.read(target, position, (error, count) => {
        if (error !== null) {
          const what = `read ${target.length} bytes at ${position} of ${this.#path}`;
          reject(translate(error, what));
        } else if (count < target.length) reject(this.#shrunk(position + count));
        else resolve();
      });
    });
  }

  #write(source: Uint8Array, position: number): Promise<void> {
    // A flush that began meanwhile has not covered these bytes.
    const each = (): void => {
      this.#dirty = true;
    };
    return new Promise((resolve, reject) => {
      this.#pool.write(source, position, each, (error) => {
        if (error !== null) reject(this.#writeFailed(error, source.length, position));
        else resolve();
      });
    });
  }

  #startFlush(): Promise<void> {
    this.#dirty = false;
    const flushing = new Promise<void>((resolve, reject) => {
      this.#pool.sync((error) => {
        this.#flushing = undefined;
        if (error === null) return resolve();
        this.#dirty = true;
        const message = `cannot flush ${this.#path}, what was not flushed before may be lost: `;
        reject(new StorageError('ERR_IO', message + reason(error), { cause: error })); // F3
      });
    });
    this.#flushing = flushing;
    return this.#track(flushing);
  }

  async #zero(position: number, length: number, options: ZeroOptions): Promise<void> {
    const action = options.allocate === true ? 'zero' : 'punch';
    const worth = length >= WORTH_A_HELPER;
    this.#dirty = true;
    if (worth && (await this.#space.run(action, position, length))) {
      this.#dirty = true;
      return;
    }
    if (options.fast === true) {
      throw new StorageError('ERR_UNSUPPORTED', `${length} zeros are not faster than a write`);
    }
    await this.#writeZeros(position, length);
  }

  async #writeZeros(position: number, length: number): Promise<void> {
    zeroBytes ??= new Uint8Array(ZERO_SLICE);
    for (let done = 0; done < length; done += ZERO_SLICE) {
      await this.write(zeroBytes.subarray(0, Math.min(ZERO_SLICE, length - done)), position + done);
    }
  }

  /** F5. */
  async #grow(size: number): Promise<void> {
    const old = this.#size;
    const now = fs.fstatSync(this.#fd).size;
    if (now !== old) {
      const message = `${this.#path} has ${now} bytes, but had ${old}: someone else changed its size`;
      throw new StorageError('ERR_IO', message);
    }
    try {
      if (!(await this.#space.run('allocate', old, size - old))) {
        await this.#writeZeros(old, size - old);
      }
    } catch (error) {
      fs.ftruncateSync(this.#fd, old); // whatever was taken so far is given back
      if (isStorageError(error, 'ERR_NO_SPACE')) {
        const grow = `grow ${this.#path} from ${old} to ${size} bytes`;
        throw new StorageError('ERR_NO_SPACE', `no space to ${grow}`, { cause: error });
      }
      throw error;
    }
    this.#dirty = true;
    this.#size = size;
  }

  async #truncate(size: number): Promise<void> {
    try {
      fs.ftruncateSync(this.#fd, size);
    } catch (error) {
      throw translate(error, `shrink ${this.#path} to ${size} bytes`);
    }
    this.#dirty = true;
    this.#size = size;
  }

  async #track<T>(work: Promise<T>): Promise<T> {
    this.#inFlight++;
    try {
      return await work;
    } finally {
      if (--this.#inFlight === 0) this.#onIdle?.();
    }
  }

  /** F1. */
  #shrunk(position: number): StorageError {
    const now = this.#special ? position : fs.fstatSync(this.#fd).size;
    return new StorageError(
      'ERR_IO',
      `${this.#path} ends at byte ${now}, but had ${this.#size} bytes when it was opened: ` +
        `byte ${position} is gone`,
    );
  }

  #writeFailed(error: unknown, length: number, position: number): StorageError {
    return translate(error, `write ${length} bytes at ${position} of ${this.#path}`);
  }
}
