/**
 * FileOpener: opens files for the functions of the API, with failures told as `open`'s.
 */
import type { Answer } from '../vfs.js';
import { apiAnswer } from './api-call.js';
import type { Caller } from './caller.js';
import { asSystemError } from './node-errors.js';
import { OpenFile } from './open-file.js';
import { openInode } from './opening.js';
import { pathBytes } from './path-like.js';
import { perform, type Steps } from './steps.js';
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
  open(path: string | Uint8Array, flags: number, mode: number): Answer<OpenFile> {
    const { vfs, user, turns } = this.#caller;
    const opening = openInode(this.#caller, this.#calls, pathBytes(path), flags, mode);
    const ino = apiAnswer('open', opening, path);
    return ino instanceof Promise
      ? ino.then((number) => new OpenFile(vfs, user, turns, number, flags))
      : new OpenFile(vfs, user, turns, ino, flags);
  }

  /**
   * Opens, works, and closes whatever happens: in one turn, where nothing has to be waited for.
   * Failures of the work are told as `syscall`'s.
   */
  async with<T>(
    path: string | Uint8Array,
    flags: number,
    mode: number,
    ...[syscall, work]: [string, (file: OpenFile) => Steps<T>]
  ): Promise<T> {
    const opened = this.open(path, flags, mode);
    const file = opened instanceof Promise ? await opened : opened;
    try {
      const result = perform(work(file));
      return result instanceof Promise ? await result : result;
    } catch (error) {
      throw asSystemError(error, syscall);
    } finally {
      const closed = file.close();
      if (closed !== undefined) await closed;
    }
  }
}
