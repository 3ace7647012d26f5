/**
 * Operations: runs what changes an open file system, and does what comes after: telling listeners,
 * letting go of inodes that lost their last name, and making it durable in a while.
 */
import type { Core } from './core.js';
import { FsError } from './errors.js';
import type { FileSystemParts } from './parts.js';
import type { Run } from './transaction.js';
import type { Answer, FsEvent } from './vfs.js';

/** See the head of the file. */
export class Operations {
  readonly #parts: FileSystemParts;
  readonly #core: Core;
  readonly #listeners = new Set<(event: FsEvent) => void>();
  #stopCommit: (() => void) | undefined;
  #isClosed = false;

  constructor(parts: FileSystemParts) {
    this.#parts = parts;
    this.#core = parts.image.core;
    const { space } = parts.image;
    this.#core.listener = {
      settled: () => {
        space.settle();
        parts.open.settle();
        parts.directories.settle();
      },
      undone: () => {
        space.undo();
        parts.open.undo();
        parts.directories.undo();
      },
      released: (runs: readonly Run[]) => space.release(runs),
      closing: () => parts.superState.close(space.freeBlocks, space.freeInodes, this.#core.now()),
    };
  }

  watch(listener: (event: FsEvent) => void): () => void {
    const own = (event: FsEvent): void => listener(event);
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Every later call answers ESTALE. */
  close(): void {
    this.#isClosed = true;
    this.#stopCommit?.();
  }

  afterData(result: Answer<void>, ino: number): Answer<void> {
    if (this.#listeners.size === 0) return result;
    const then = (): void => this.tell({ kind: 'data', ino });
    return result === undefined ? then() : result.then(then);
  }

  /** Lets an inode go that has lost a name, if that was the last and nobody has it open. */
  gone(ino: Answer<number>): Answer<void> {
    const go = (gone: number): Answer<void> => {
      const { open, inodes, directories } = this.#parts;
      directories.forget(gone);
      if (!open.orphans.includes(gone) || open.isOpen(gone)) return undefined;
      return inodes.letGo(gone);
    };
    return ino instanceof Promise ? ino.then(go) : go(ino);
  }

  read<T>(body: () => T): Answer<T> {
    this.assertOpen();
    return this.#core.read(body);
  }

  change<T>(body: () => T, event: (result: T) => FsEvent): Answer<T> {
    this.assertOpen();
    const result = this.#core.change(body);
    this.scheduleCommit();
    if (this.#listeners.size === 0) return result;
    if (!(result instanceof Promise)) {
      this.tell(event(result));
      return result;
    }
    return result.then((value) => {
      this.tell(event(value));
      return value;
    });
  }

  tell(event: FsEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  /** Throws for a file system that is closed, and for numbers that are no offset or size. */
  assertOpen(...sizes: readonly number[]): void {
    if (this.#isClosed) throw new FsError('ESTALE', 'the file system is closed');
    for (const size of sizes) {
      if (Number.isSafeInteger(size) && size >= 0) continue;
      throw new FsError('EINVAL', `${size} is no offset or size`);
    }
  }

  /** What was changed becomes durable by itself after a while. */
  scheduleCommit(): void {
    if (this.#stopCommit !== undefined || this.#parts.timer === undefined) return;
    if (this.#core.journal === undefined) return;
    this.#stopCommit = this.#parts.timer(() => {
      this.#stopCommit = undefined;
      // Whoever asks for durability later hears of a failure: it stays.
      this.#core.commit().catch((error: unknown) => error);
    }, this.#parts.commitMs);
  }
}
