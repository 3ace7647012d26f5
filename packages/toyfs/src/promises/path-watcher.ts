/**
 * PathWatcher: changes of what is at a path, whoever makes them: this API, or a protocol that serves the
 * same Vfs. A file is told as `change`, a name that comes or goes as `rename`, as Node does on Linux.
 */
import { Buffer } from 'node:buffer';
import { isFsError } from '../errors.js';
import type { Attributes, FsEvent } from '../vfs.js';
import type { Caller } from './caller.js';
import { perform, type Steps } from './steps.js';
import { Turns } from './turns.js';
import { foundAt, type Place } from './walk.js';
import { type WatchedChange, WatchedNames } from './watched-names.js';

/** See the head of the file. */
export class PathWatcher {
  readonly #caller: Caller;
  readonly #names: WatchedNames;
  readonly #tell: (change: WatchedChange) => void;
  readonly #turns = new Turns();
  #stop: (() => void) | undefined;
  #place: Place | undefined;
  #watched: Attributes | undefined;
  #shownName = '';

  constructor(caller: Caller, recursive: boolean, tell: (change: WatchedChange) => void) {
    this.#caller = caller;
    this.#names = new WatchedNames(caller.vfs, recursive);
    this.#tell = tell;
  }

  /** Begins. @throws {FsError} for a path that leads nowhere */
  *start(path: Uint8Array): Steps<void> {
    const place = yield* this.#caller.walk.place(path, { follow: 'all' });
    const watched = foundAt(place);
    this.#place = place;
    this.#watched = watched;
    this.#shownName = baseName(path);
    this.#stop = this.#caller.vfs.watch((event) => this.#next(event));
    if (watched.type === 'directory') yield* this.#names.learn(watched.ino, '');
  }

  stop(): void {
    this.#stop?.();
    this.#stop = undefined;
  }

  /** Events are told in order, also when one has to wait for a directory to be read. */
  #next(event: FsEvent): void {
    const done = this.#turns.run(this, () => perform(this.#tellOf(event)));
    // A failure is nobody's here: the change was made, and its maker has been answered.
    if (done instanceof Promise) done.catch((error: unknown) => error);
  }

  *#tellOf(event: FsEvent): Steps<void> {
    let changes: readonly WatchedChange[];
    try {
      changes = yield* this.#told(event);
    } catch (error) {
      // A directory that went before it could be read is told of by an event of its own.
      if (isFsError(error)) return;
      throw error;
    }
    if (this.#stop === undefined) return;
    for (const change of changes) this.#tell(change);
  }

  *#told(event: FsEvent): Steps<readonly WatchedChange[]> {
    const { kind, ino } = event;
    if (ino === this.#watched?.ino || this.#replaces(event)) {
      const isContent = kind === 'data' || kind === 'attributes';
      const isFile = this.#watched?.type !== 'directory';
      if (isFile || !isContent) {
        return [{ eventType: isContent ? 'change' : 'rename', name: this.#shownName }];
      }
    }
    return yield* this.#names.changesOf(event);
  }

  /** Whether something else gets the watched name. */
  #replaces({ kind, parent, name }: FsEvent): boolean {
    const place = this.#place;
    if (kind !== 'rename' || place === undefined || name === undefined) return false;
    return parent === place.directory.ino && Buffer.compare(name, place.name) === 0;
  }
}

function baseName(path: Uint8Array): string {
  return (
    Buffer.from(path)
      .toString()
      .split('/')
      .findLast((name) => name !== '') ?? '/'
  );
}
