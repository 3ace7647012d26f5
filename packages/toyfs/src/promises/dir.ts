/**
 * Dir: an open directory, read name by name. Names that are added or removed meanwhile may be seen or
 * not; all others are seen once.
 */
import type { Buffer } from 'node:buffer';
import { callbackify } from 'node:util';
import type { Vfs } from '../vfs.js';
import { Dirent } from './dirent.js';
import { type ListedName, listAll, listBatch } from './listing.js';
import { codedError } from './node-errors.js';
import { decoded, type Encoding } from './options.js';
import { perform } from './steps.js';
import { Turns } from './turns.js';
import { functionOf } from './validate.js';

type Callback<T> = (error: Error | null, result?: T) => void;
type AnyDirent = Dirent<string | Buffer>;

/** What a Dir needs from the call that opened it. */
export interface DirOptions {
  readonly path: string;
  readonly encoding: Encoding | null | undefined;
  /** Go into directories, each right after its own name. */
  readonly recursive: boolean;
  /** The inode behind a directory's path, held; for `recursive`. */
  readonly open: (path: string) => Promise<number>;
}

/** See the head of the file. */
export class Dir implements AsyncIterable<AnyDirent> {
  readonly #vfs: Vfs;
  readonly #ino: number;
  readonly #options: DirOptions;
  readonly #turns = new Turns();
  #names: AnyDirent[] = [];
  #next: number | undefined = 0;
  #isClosed = false;

  /** Takes over one `open` of the inode. */
  constructor(vfs: Vfs, ino: number, options: DirOptions) {
    this.#vfs = vfs;
    this.#ino = ino;
    this.#options = options;
  }

  /** The path that was given. */
  get path(): string {
    return this.#options.path;
  }

  /** The next name, or null at the end. */
  read(): Promise<AnyDirent | null>;
  read(callback: Callback<AnyDirent | null>): void;
  read(callback?: Callback<AnyDirent | null>): Promise<AnyDirent | null> | undefined {
    this.#assertOpen();
    if (callback === undefined) return this.#readInTurn();
    functionOf(callback, 'callback');
    callbackify(() => this.#readInTurn())(callback);
    return undefined;
  }

  close(): Promise<void>;
  close(callback: Callback<void>): void;
  close(callback?: Callback<void>): Promise<void> | undefined {
    if (callback === undefined) return this.#close();
    functionOf(callback, 'callback');
    callbackify(() => this.#close())((error) => callback(error));
    return undefined;
  }

  /** All names; closes at the end, and when the reader stops early. */
  async *entries(): AsyncGenerator<AnyDirent, void, undefined> {
    try {
      for (;;) {
        const entry = await this.#readInTurn();
        if (entry === null) return;
        yield entry;
      }
    } finally {
      await this.#close();
    }
  }

  [Symbol.asyncIterator](): AsyncGenerator<AnyDirent, void, undefined> {
    return this.entries();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isClosed) await this.#close();
  }

  async #readInTurn(): Promise<AnyDirent | null> {
    this.#assertOpen();
    return this.#turns.run(this, () => this.#read());
  }

  async #read(): Promise<AnyDirent | null> {
    while (this.#names.length === 0 && this.#next !== undefined) {
      const { names, next } = await perform(listBatch(this.#vfs, this.#ino, this.#next));
      this.#next = next;
      this.#names = names.map((each) => this.#dirent(each, this.path));
      this.#names.reverse();
    }
    const entry = this.#names.pop();
    if (entry === undefined) return null;
    if (this.#options.recursive && entry.isDirectory()) await this.#descend(entry);
    return entry;
  }

  async #descend(entry: AnyDirent): Promise<void> {
    const path = `${entry.parentPath}/${entry.name}`;
    const ino = await this.#options.open(path);
    try {
      const names = await perform(listAll(this.#vfs, ino));
      this.#names.push(...names.map((each) => this.#dirent(each, path)).reverse());
    } finally {
      await this.#vfs.release(ino);
    }
  }

  #dirent({ name, type }: ListedName, parentPath: string): AnyDirent {
    return new Dirent(decoded(name, this.#options.encoding), parentPath, type);
  }

  async #close(): Promise<void> {
    this.#assertOpen();
    this.#isClosed = true;
    await this.#turns.run(this, () => this.#vfs.release(this.#ino));
  }

  #assertOpen(): void {
    if (!this.#isClosed) return;
    throw codedError(new Error('Directory handle was closed'), 'ERR_DIR_CLOSED');
  }
}
