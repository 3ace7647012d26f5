/**
 * WriteStream: a stream that becomes a file, or a part of one. Events are Node's: `open`, `ready`,
 * `finish`, `close`.
 */
import { Buffer } from 'node:buffer';
import { Writable } from 'node:stream';
import type { FileHandle } from './file-handle.js';
import { type CommonOptions, optionsOf } from './options.js';
import { closeStream, type OpenForStream } from './read-stream.js';
import { boolean, int32, integer } from './validate.js';

/** How to write. */
export interface WriteStreamOptions {
  readonly flags?: string | number;
  readonly mode?: number;
  readonly encoding?: BufferEncoding | null;
  readonly fd?: FileHandle | number | null;
  /** Close the file at the end or after an error. @default true */
  readonly autoClose?: boolean;
  /** @default true */
  readonly emitClose?: boolean;
  /** Where in the file, in bytes. @default the file's position */
  readonly start?: number;
  /** Bytes that may wait. @default 16384 */
  readonly highWaterMark?: number;
  /** Make it durable before it is closed. @default false */
  readonly flush?: boolean;
  readonly signal?: AbortSignal;
}

/** See the head of the file. */
export class WriteStream extends Writable {
  readonly path: string | Uint8Array | undefined;
  readonly flags: string | number;
  readonly mode: number;
  readonly start: number | undefined;
  readonly flush: boolean;
  fd: number | null = null;
  bytesWritten = 0;
  readonly #source: FileHandle | OpenForStream;
  readonly #autoClose: boolean;
  #handle: FileHandle | undefined;
  #busy: Promise<void> | undefined;

  constructor(
    source: FileHandle | OpenForStream,
    path: string | Uint8Array | undefined,
    options?: WriteStreamOptions | BufferEncoding,
  ) {
    if (typeof source !== 'function') int32(source.fd, 'fd', 0);
    const given = optionsOf<WriteStreamOptions & CommonOptions>(options, {});
    const { start, autoClose = true, flush } = given;
    if (flush !== undefined && flush !== null) boolean(flush, 'options.flush');
    if (start !== undefined) integer(start, 'start', 0);
    super({
      decodeStrings: true,
      emitClose: given.emitClose ?? true,
      autoDestroy: autoClose,
      ...(given.highWaterMark === undefined ? {} : { highWaterMark: given.highWaterMark }),
      ...(given.signal === undefined ? {} : { signal: given.signal }),
    });
    const { encoding } = given;
    if (encoding) this.setDefaultEncoding(encoding);
    this.#source = source;
    this.#autoClose = autoClose;
    this.path = path;
    this.flags = given.flags ?? 'w';
    this.mode = given.mode ?? 0o666;
    this.start = start;
    this.flush = flush ?? false;
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

  override _write(
    chunk: Buffer,
    _encoding: BufferEncoding,
    callback: (error?: Error | null) => void,
  ): void {
    this.#writeAll(chunk, callback);
  }

  override _writev(
    chunks: readonly { readonly chunk: Buffer }[],
    callback: (error?: Error | null) => void,
  ): void {
    this.#writeAll(Buffer.concat(chunks.map(({ chunk }) => chunk)), callback);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const handle = this.#handle;
    const durable = this.#settled().then(() =>
      this.flush && error === null ? handle?.sync() : undefined,
    );
    durable.then(
      () => closeStream(this, handle, error, callback),
      (failure: Error) => closeStream(this, handle, error ?? failure, callback),
    );
  }

  /** Ends it, and calls back when it is closed. */
  close(callback?: (error?: Error | null) => void): void {
    if (callback !== undefined) {
      if (this.closed) {
        queueMicrotask(callback);
        return;
      }
      this.once('close', callback);
    }
    if (!this.autoClose) this.once('finish', () => this.destroy());
    this.end();
  }

  /** A file has no other side to be shut down. */
  destroySoon(): void {
    this.end();
  }

  #adopt(handle: FileHandle): void {
    this.#handle = handle;
    this.fd = handle.fd;
    handle.ref();
    handle.once('close', () => this.close());
  }

  #settled(): Promise<void> {
    return this.#busy ?? Promise.resolve();
  }

  #writeAll(bytes: Buffer, callback: (error?: Error | null) => void): void {
    const position = this.start === undefined ? null : this.start + this.bytesWritten;
    const writing = this.#handle?.write(bytes, 0, bytes.length, position);
    this.#busy = Promise.resolve(writing).then(
      () => {
        this.bytesWritten += bytes.length;
        callback();
      },
      (error: Error) => callback(error),
    );
  }
}
