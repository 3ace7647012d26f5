/**
 * What a store needs from the machine, injected, so that the same code runs on files and, in tests,
 * on memory with a clock of the test's own.
 */
import type { BlockDevice } from '@palimpsest/block-device';

/** What `StoreFiles.status` tells of a path, symbolic links followed. */
export interface FileStatus {
  readonly kind: 'file' | 'block-device' | 'directory' | 'other';
  /** The same for two paths exactly when they lead to the same file: device and inode. */
  readonly identity: string;
  /** Bytes. */
  readonly size: number;
}

/** Held by one opener at a time; the holder's death frees it. */
export interface StoreLock {
  release(): Promise<void>;
}

/** The files of a store. Paths are absolute unless said otherwise. */
export interface StoreFiles {
  /** `path`, taken from directory `base` when it is relative, made absolute, links followed. */
  resolve(base: string, path: string): Promise<string>;
  /** `path` as seen from `directory` when it lies inside it, else undefined. */
  within(directory: string, path: string): string | undefined;
  /** The directories above `path`, nearest first. */
  ancestors(path: string): readonly string[];
  /** Undefined when there is nothing at `path`. */
  status(path: string): Promise<FileStatus | undefined>;
  /** Makes a directory (and those above it) that only its owner may enter; fine when it exists. */
  makeDirectory(path: string): Promise<void>;
  /**
   * Makes a file of `size` zero bytes, holes where possible, for its owner only.
   * @throws {StorageError} ERR_EXISTS, ERR_NO_SPACE, ERR_IO.
   */
  create(path: string, size: number, blockSize: number): Promise<BlockDevice>;
  /**
   * Opens a file or block special file for reading and writing.
   * @throws {StorageError} ERR_NOT_FOUND, ERR_INVALID when it is not whole blocks, ERR_IO.
   */
  open(path: string, blockSize: number): Promise<BlockDevice>;
  /** Moves a file, durable when done: after a crash it is at one of the two names, whole. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file; fine when there is none. */
  remove(path: string): Promise<void>;
  /**
   * Takes the lock of the file at `path`.
   * @throws {StorageError} ERR_BUSY when it is held, with what is known of the holder.
   */
  lock(path: string): Promise<StoreLock>;
}

/** Where a store says what nobody asked for. */
export interface Logger {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** Everything a store needs from outside. */
export interface ControlEnvironment {
  readonly files: StoreFiles;
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls `work` each `periodMs` until the returned function is called. */
  every(periodMs: number, work: () => void): () => void;
  /** Resolves after so many milliseconds. */
  sleep(ms: number): Promise<void>;
  /** Resolves after other work had its turn, so that long work does not hold everybody up. */
  turn(): Promise<void>;
  /** `length` random bytes. */
  random(length: number): Uint8Array;
  readonly logger: Logger;
}
