/**
 * ReadStream: a file, or a part of it, as a stream. Events are Node's: `open`, `ready`, `close`.
 */
import { Buffer } from 'node:buffer';
import { finished, Readable } from 'node:stream';
import type { FileHandle } from './file-handle.js';
import { outOfRange } from './node-errors.js';
import { type CommonOptions, optionsOf } from './options.js';
import { int32, integer } from './validate.js';

/** How to read. Both ends are bytes in the file, and both belong to the part. */
export interface ReadStreamOptions {
  readonly flags?: string | number;
  readonly mode?: number;
  readonly encoding?: BufferEncoding | null;
  readonly fd?: FileHandle | number | null;
  /** Close the file at the end or after an error. @default true */
  readonly autoClose?: boolean;
  /** @default true */
  readonly emitClose?: boolean;
  /** @default the file's position */
  readonly start?: number;
  /** @default the end of the file */
  readonly end?: number;
  /** Bytes read at a time. @default 65536 */
  readonly highWaterMark?: number;
  readonly signal?: AbortSignal;
}

/** Opens the file of a stream that was given a path. */
export type OpenForStream = () => Promise<FileHandle>;

/** See the head of the file. */
export class ReadStream extends Readable {
  readonly path: string | Uint8Array | undefined;
  readonly flags: string | number;
  readonly mode: number;
  readonly start: number | undefined;
  readonly end: number;
  fd: number | null = null;
  bytesRead = 0;
  readonly #source: FileHandle | OpenForStream;
  readonly #autoClose: boolean;
  #handle: FileHandle | undefined;
  #busy: Promise<void> | undefined;

  constructor(
    source: FileHandle | OpenForStream,
    path: string | Uint8Array | undefined,
    options?: ReadStreamOptions | BufferEncoding,
  ) {
    if (typeof source !== 'function') int32(source.fd, 'fd', 0);
    const given = optionsOf<ReadStreamOptions & CommonOptions>(options, {});
    const { start, end = Number.POSITIVE_INFINITY, autoClose = true, encoding } = given;
    if (start !== undefined) integer(start, 'start', 0);
    if (end !== Number.POSITIVE_INFINITY) integer(end, 'end', 0);
    if (start !== undefined && start > end) {
      throw outOfRange('start', `<= "end" (here: ${end})`, start);
    }
    super({
      highWaterMark: given.highWaterMark ?? 64 * 1024,
      emitClose: given.emitClose ?? true,
      autoDestroy: autoClose,
      ...(given.signal === undefined ? {} : { signal: given.signal }),
      ...(encoding ? { encoding } : {}),
    });
    this.#source = source;
    this.#autoClose = autoClose;
    this.path = path;
    this.flags = given.flags ?? 'r';
    this.mode = given.mode ?? 0o666;
    this.start = start;
    this.end = end;
    if (typeof source !== 'function') this.#adopt(source);
  }

  get pending(): boolean {
    return this.fd === null;
  }

  get autoClose(): boolean {
    return this.#autoClose;
  }

  override _construct(callback: (error?: Error | null) => void): void {
    if (typeof this.#source !== 'function') {
      callback();
      return;
    }
    this.#source().then(
      (handle) => {
        this.#adopt(handle);
        callback();
        this.emit('open', handle.fd);
        this.emit('ready');
      },
      (error: Error) => callback(error),
    );
  }

  override _read(size: number): void {
    this.#busy = this.#readOn(size);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    void (this.#busy ?? Promise.resolve()).then(() =>
      closeStream(this, this.#handle, error, callback),
    );
  }

  /** Ends it, and calls back when it is closed. */
  close(callback?: (error?: Error | null) => void): void {
    if (callback !== undefined) finished(this, callback);
    this.destroy();
  }

  #adopt(handle: FileHandle): void {
    this.#handle = handle;
    this.fd = handle.fd;
    handle.ref();
    handle.once('close', () => this.destroy());
  }

  async #readOn(size: number): Promise<void> {
    const done = this.bytesRead;
    const left = this.end - (this.start ?? 0) - done + 1;
    const room = Math.min(size, left);
    if (room <= 0) {
      this.push(null);
      return;
    }
    const buffer = Buffer.allocUnsafeSlow(room);
    const position = this.start === undefined ? null : this.start + done;
    try {
      const result = await this.#handle?.read(buffer, 0, room, position);
      const bytesRead = result?.bytesRead ?? 0;
      this.bytesRead += bytesRead;
      if (!this.destroyed) this.push(bytesRead === 0 ? null : buffer.subarray(0, bytesRead));
    } catch (error) {
      this.destroy(error as Error);
    }
  }
}

/** Lets a stream's file go. */
export function closeStream(
  stream: { fd: number | null },
  handle: FileHandle | undefined,
  error: Error | null,
  callback: (error?: Error | null) => void,
): void {
  stream.fd = null;
  if (handle === undefined) {
    callback(error);
    return;
  }
  handle.unref();
  handle.close().then(
    () => callback(error),
    (closing: Error) => callback(error ?? closing),
  );
}
