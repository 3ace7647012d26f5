/**
 * FileCalls: the few calls to the operating system that move bytes, as an interface of their own,
 * so that a test can make them short, slow or failing. All else in this package calls `node:fs`.
 */
import fs from 'node:fs';
import { performance } from 'node:perf_hooks';

/** Called with an error, or with the number of bytes moved. */
export type Moved = (error: NodeJS.ErrnoException | null, count: number) => void;

/** As in `node:fs`: `length` bytes from `offset` of `buffer`, at byte `position` of the file. */
export interface FileCalls {
  readSync(
    fd: number,
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): number;
  writeSync(
    fd: number,
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): number;
  read(
    fd: number,
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
    done: Moved,
  ): void;
  write(
    fd: number,
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
    done: Moved,
  ): void;
  fdatasync(fd: number, done: (error: NodeJS.ErrnoException | null) => void): void;
  /** Milliseconds on a clock that only goes forward. */
  now(): number;
}

/** The real ones. Callbacks, not promises: an awaited FileHandle call costs several times more. */
export const systemCalls: FileCalls = {
  readSync: fs.readSync,
  writeSync: fs.writeSync,
  read: fs.read,
  write: fs.write,
  fdatasync: fs.fdatasync,
  now: () => performance.now(),
};
