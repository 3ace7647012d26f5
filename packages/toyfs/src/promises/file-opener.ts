/**
 * FileOpener: opens files for the functions of the API, with failures told as `open`'s.
 */
import { apiCall } from './api-call.js';
import type { Caller } from './caller.js';
import { asSystemError } from './node-errors.js';
import { OpenFile } from './open-file.js';
import { openInode } from './opening.js';
import { pathBytes } from './path-like.js';
import type { SystemCalls } from './system-calls.js';

/** See the head of the file. */
export class FileOpener {
  readonly #caller: Caller;
  readonly #calls: SystemCalls;

  constructor(caller: Caller, calls: SystemCalls) {
    this.#caller = caller;
    this.#calls = calls;
  }

  /** An open file, which whoever asks has to close. */
  async open(path: string | Uint8Array, flags: number, mode: number): Promise<OpenFile> {
    const opening = openInode(this.#caller, this.#calls, pathBytes(path), flags, mode);
    const ino = await apiCall('open', opening, path);
    const { vfs, user, turns } = this.#caller;
    return new OpenFile(vfs, user, turns, ino, flags);
  }

  /** Opens, works, and closes whatever happens. Failures of the work are told as `syscall`'s. */
  async with<T>(
    path: string | Uint8Array,
    flags: number,
    mode: number,
    ...[syscall, work]: [string, (file: OpenFile) => Promise<T>]
  ): Promise<T> {
    const file = await this.open(path, flags, mode);
    try {
      return await work(file);
    } catch (error) {
      throw asSystemError(error, syscall);
    } finally {
      await file.close();
    }
  }
}
