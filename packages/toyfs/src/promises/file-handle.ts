/**
 * FileHandle: an open file as `fs.promises.open` gives it.
 */
import { Buffer } from 'node:buffer';
import { EventEmitter } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import type { AttributeChanges, Attributes } from '../vfs.js';
import type { Caller } from './caller.js';
import { HandleLife } from './handle-life.js';
import {
  type IoPlaceOptions,
  placed,
  type ReadResult,
  readPlace,
  type WriteResult,
  writePlace,
} from './io-place.js';
import { asSystemError, closedHandle, invalidValue } from './node-errors.js';
import type { OpenFile } from './open-file.js';
import { type CommonOptions, optionsOf } from './options.js';
import { ReadStream, type ReadStreamOptions } from './read-stream.js';
import { type BigIntOption, type BigIntStats, type Stats, statsOf } from './stats.js';
import { perform } from './steps.js';
import type { SystemCalls } from './system-calls.js';
import { bufferArray, fileMode, integer, ownerId, timestamp } from './validate.js';
import { invalidState, webStream } from './web-stream.js';
import { checkedData, type FileData, notData, readAll, viewed, writeAll } from './whole-file.js';
import { WriteStream, type WriteStreamOptions } from './write-stream.js';

/** See the head of the file. */
export class FileHandle extends EventEmitter {
  readonly #caller: Caller;
  readonly #calls: SystemCalls;
  readonly #file: OpenFile;
  readonly #life: HandleLife;
  readonly #number: number;
  #isLocked = false;

  constructor(caller: Caller, calls: SystemCalls, file: OpenFile) {
    super();
    this.#caller = caller;
    this.#calls = calls;
    this.#file = file;
    this.#number = caller.descriptors.add(this);
    this.#life = new HandleLife(() => {
      caller.descriptors.remove(this.#number);
      return file.close();
    });
  }

  /** The number of the open file; -1 when it is closed. */
  get fd(): number {
    return this.#life.isGone ? -1 : this.#number;
  }

  read<B extends ArrayBufferView = Buffer>(
    buffer?: B | (IoPlaceOptions & { buffer?: B }) | null,
    offset?: number | IoPlaceOptions | null,
    length?: number | null,
    position?: number | bigint | null,
  ): Promise<ReadResult<B>> {
    return this.#use('read', async () => {
      const place = readPlace(buffer, offset, length, position);
      if (place.length === 0) return { bytesRead: 0, buffer: place.buffer as B };
      if (place.buffer.byteLength === 0) {
        throw invalidValue('buffer', place.buffer, 'is empty and cannot be written');
      }
      const bytesRead = await this.#file.read(placed(place), place.position);
      return { bytesRead, buffer: place.buffer as B };
    });
  }

  write<B extends ArrayBufferView | string>(
    buffer: B,
    offsetOrPosition?: number | IoPlaceOptions | null,
    lengthOrEncoding?: number | string | null,
    position?: number | bigint | null,
  ): Promise<WriteResult<B>> {
    return this.#use('write', async () => {
      if (typeof buffer !== 'string' && !ArrayBuffer.isView(buffer)) {
        throw notData('buffer', buffer);
      }
      const place = writePlace(buffer, offsetOrPosition, lengthOrEncoding, position);
      if (place.length > 0) await this.#file.write(placed(place), place.position);
      return { bytesWritten: place.length, buffer };
    });
  }

  readv<B extends ArrayBufferView>(
    buffers: readonly B[],
    position?: number | null,
  ): Promise<{ bytesRead: number; buffers: readonly B[] }> {
    return this.#use(
      'readv',
      async () => {
        bufferArray(buffers);
        let bytesRead = 0;
        for (const buffer of buffers) {
          const at = typeof position === 'number' ? position + bytesRead : undefined;
          const count = await this.#file.read(viewed(buffer), at);
          bytesRead += count;
          if (count < buffer.byteLength) break;
        }
        return { bytesRead, buffers };
      },
      'read',
    );
  }

  /** Writes the buffers one after the other as one piece. */
  writev<B extends ArrayBufferView>(
    buffers: readonly B[],
    position?: number | null,
  ): Promise<{ bytesWritten: number; buffers: readonly B[] }> {
    return this.#use(
      'writev',
      async () => {
        bufferArray(buffers);
        const all = Buffer.concat(buffers.map(viewed));
        if (all.length > 0) {
          await this.#file.write(all, typeof position === 'number' ? position : undefined);
        }
        return { bytesWritten: all.length, buffers };
      },
      'write',
    );
  }

  readFile(options: BufferEncoding | { encoding: BufferEncoding }): Promise<string>;
  readFile(options?: unknown): Promise<string | Buffer>;
  readFile(options?: unknown): Promise<string | Buffer> {
    return this.#use(
      'readFile',
      async () => {
        const { encoding, signal } = optionsOf<CommonOptions>(options, {});
        return await perform(readAll(this.#file, encoding, signal));
      },
      'read',
    );
  }

  writeFile(data: FileData, options?: unknown): Promise<void> {
    return this.#use(
      'writeFile',
      async () => {
        const { encoding, signal } = optionsOf<CommonOptions>(options, { encoding: 'utf8' });
        await perform(writeAll(this.#file, checkedData(data), encoding, signal));
      },
      'write',
    );
  }

  appendFile(data: FileData, options?: unknown): Promise<void> {
    return this.writeFile(data, options);
  }

  stat(options?: BigIntOption & { bigint?: false }): Promise<Stats>;
  stat(options: { bigint: true }): Promise<BigIntStats>;
  stat(options?: BigIntOption): Promise<Stats | BigIntStats>;
  stat(options?: BigIntOption): Promise<Stats | BigIntStats> {
    return this.#use('fstat', async () =>
      statsOf(await this.#file.stat(), this.#caller.dev, options),
    );
  }

  truncate(length = 0): Promise<void> {
    return this.#use('ftruncate', async () => {
      await this.#file.truncate(Math.max(0, integer(length, 'len')));
    });
  }

  sync(): Promise<void> {
    return this.#use('fsync', () => this.#caller.vfs.fsync(this.#file.ino));
  }

  datasync(): Promise<void> {
    return this.#use('fdatasync', () => this.#caller.vfs.fsync(this.#file.ino, { dataOnly: true }));
  }

  chmod(mode: number | string): Promise<void> {
    return this.#change('fchmod', () => {
      const bits = fileMode(mode, 'mode');
      return (attributes) => this.#calls.modeChange(attributes, bits);
    });
  }

  chown(uid: number, gid: number): Promise<void> {
    return this.#change('fchown', () => {
      const owner = [ownerId(uid, 'uid'), ownerId(gid, 'gid')] as const;
      return (attributes) => this.#calls.ownerChange(attributes, ...owner);
    });
  }

  utimes(atime: number | string | Date, mtime: number | string | Date): Promise<void> {
    const { now } = this.#caller;
    const change = (): Change => {
      const times = [timestamp(atime, now, 'atime'), timestamp(mtime, now, 'mtime')] as const;
      return (attributes) => this.#calls.timeChange(attributes, ...times);
    };
    return this.#change('futimes', change, 'futime');
  }

  /** Sets space aside; reads as zeros where there was nothing. @throws ENOSPC, EFBIG, ENOTSUP */
  fallocate(offset: number, length: number, options?: { keepSize?: boolean }): Promise<void> {
    return this.#use('fallocate', async () => {
      await this.#caller.vfs.fallocate(this.#file.ino, offset, length, options);
    });
  }

  /** Makes a range read as zeros and gives its whole blocks back. */
  punchHole(offset: number, length: number): Promise<void> {
    return this.#use('fallocate', async () => {
      await this.#caller.vfs.punchHole(this.#file.ino, offset, length);
    });
  }

  /** The first offset from `offset` on that is data. @throws ENXIO when no data follows */
  seekData(offset: number): Promise<number> {
    return this.#use('lseek', async () => this.#caller.vfs.seek(this.#file.ino, offset, 'data'));
  }

  /** The first offset from `offset` on that is a hole; the end counts as one. @throws ENXIO past it */
  seekHole(offset: number): Promise<number> {
    return this.#use('lseek', async () => this.#caller.vfs.seek(this.#file.ino, offset, 'hole'));
  }

  createReadStream(options?: ReadStreamOptions): ReadStream {
    return new ReadStream(this, undefined, options);
  }

  createWriteStream(options?: WriteStreamOptions): WriteStream {
    return new WriteStream(this, undefined, options);
  }

  /** The lines of the file, whatever ends them. */
  readLines(options?: ReadStreamOptions): Interface {
    return createInterface({
      input: this.createReadStream(options),
      crlfDelay: Number.POSITIVE_INFINITY,
    });
  }

  /** The rest of the file as a web stream; one at a time. */
  readableWebStream(options: { readonly type?: string } = {}): ReadableStream {
    if (this.#life.isGone) throw invalidState('closed');
    if (this.#life.isClosing) throw invalidState('closing');
    if (this.#isLocked) throw invalidState('locked');
    this.#isLocked = true;
    return webStream(this, options);
  }

  /** Keeps the file although `close` is called, until as many `unref` calls. */
  ref(): void {
    this.#life.ref();
  }

  /** The counterpart of `ref`. */
  unref(): void {
    this.#life.unref();
  }

  /** Lets the file go, after what was begun (F1). Again is harmless. */
  readonly close = async (): Promise<void> => {
    if (this.#life.close()) this.emit('close');
    try {
      await this.#life.ended;
    } catch (error) {
      throw asSystemError(error, 'close');
    }
  };

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Changes attributes, once the arguments are found right. */
  #change(name: string, checked: () => Change, told = name): Promise<void> {
    const change = async (): Promise<void> => {
      const changes = checked()(await this.#file.stat());
      await this.#caller.vfs.setattr(this.#file.ino, changes);
    };
    return this.#use(name, change, told);
  }

  /** Runs a call; `told` is what a failure of the file system calls it. */
  async #use<T>(name: string, work: () => Promise<T>, told = name): Promise<T> {
    if (this.#life.isGone) throw closedHandle(name);
    this.ref();
    try {
      return await work();
    } catch (error) {
      throw asSystemError(error, told);
    } finally {
      this.unref();
    }
  }
}

/** What becomes of attributes. */
type Change = (attributes: Attributes) => AttributeChanges;
