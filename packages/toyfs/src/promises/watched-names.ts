/**
 * WatchedNames: the names in a watched directory by inode, so that an event that only knows an inode can
 * be told by its name. Kept up to date by the same events that are told.
 *
 *   W1  Every name under the path is known here before an event about it is told.
 */
import { Buffer } from 'node:buffer';
import type { FsEvent, Vfs } from '../vfs.js';
import { listAll } from './listing.js';
import { now, type Steps } from './steps.js';

/** What a watcher is told. */
export interface WatchedChange {
  readonly eventType: 'rename' | 'change';
  /** The path under the watched one. */
  readonly name: string;
}

/** See the head of the file. */
export class WatchedNames {
  readonly #vfs: Vfs;
  readonly #recursive: boolean;
  /** Watched directories, each with its path under the topmost and a slash. */
  readonly #directories = new Map<number, string>();
  /** The names of each inode in them: more than one for hard links. */
  readonly #names = new Map<number, Set<string>>();

  constructor(vfs: Vfs, recursive: boolean) {
    this.#vfs = vfs;
    this.#recursive = recursive;
  }

  /** Learns the names in a directory, and with `recursive` those below. */
  *learn(directory: number, prefix: string): Steps<void> {
    this.#directories.set(directory, prefix);
    for (const { name, type } of yield* listAll(this.#vfs, directory)) {
      const path = `${prefix}${text(name)}`;
      const ino = yield* now(this.#vfs.lookup(directory, name));
      this.#add(ino, path);
      if (type === 'directory' && this.#recursive) yield* this.learn(ino, `${path}/`);
    }
  }

  /** What an event means here. */
  *changesOf(event: FsEvent): Steps<readonly WatchedChange[]> {
    const { kind, ino } = event;
    if (kind === 'data' || kind === 'attributes') {
      return [...(this.#names.get(ino) ?? [])].map((name) => ({ eventType: 'change', name }));
    }
    const isRemoval = kind === 'remove';
    const old = isRemoval
      ? this.#path(event.parent, event.name)
      : this.#path(event.oldParent, event.oldName);
    const made = isRemoval ? undefined : this.#path(event.parent, event.name);
    if (old !== undefined) this.#remove(ino, old);
    if (made !== undefined) {
      this.#add(ino, made);
      if (this.#recursive && (yield* this.#isDirectory(ino))) yield* this.learn(ino, `${made}/`); // W1
    }
    return [old, made].flatMap((name) =>
      name === undefined ? [] : [{ eventType: 'rename', name }],
    );
  }

  *#isDirectory(ino: number): Steps<boolean> {
    const { type } = yield* now(this.#vfs.getattr(ino));
    return type === 'directory';
  }

  #path(parent: number | undefined, name: Uint8Array | undefined): string | undefined {
    const prefix = parent === undefined ? undefined : this.#directories.get(parent);
    return prefix === undefined || name === undefined ? undefined : `${prefix}${text(name)}`;
  }

  #add(ino: number, path: string): void {
    const names = this.#names.get(ino) ?? new Set();
    this.#names.set(ino, names.add(path));
  }

  /** Forgets a name, and with a directory's those below. */
  #remove(ino: number, path: string): void {
    const below = this.#directories.has(ino) ? `${path}/` : undefined;
    this.#directories.delete(ino);
    for (const [each, names] of below === undefined
      ? [[ino, this.#names.get(ino)] as const]
      : this.#names) {
      for (const name of names ?? []) {
        if (name !== path && (below === undefined || !name.startsWith(below))) continue;
        names?.delete(name);
        this.#directories.delete(each);
      }
      if (names?.size === 0) this.#names.delete(each);
    }
  }
}

function text(name: Uint8Array): string {
  return Buffer.from(name).toString();
}
