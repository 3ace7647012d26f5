/**
 * FSWatcher: `fs.watch` with listeners. Events are `change`, `error` and `close`.
 */
import { Buffer } from 'node:buffer';
import { EventEmitter } from 'node:events';
import { apiCall } from './api-call.js';
import type { Caller } from './caller.js';
import { decoded, optionsOf } from './options.js';
import { checkedPath, type PathLike, pathBytes } from './path-like.js';
import { PathWatcher } from './path-watcher.js';
import type { WatchOptions } from './watch-function.js';

/** See the head of the file. Watches from the turn on in which it was made, or a little later. */
export class FSWatcher extends EventEmitter {
  readonly #watcher: PathWatcher;
  #isClosed = false;

  constructor(caller: Caller, given: PathLike, options: unknown) {
    super();
    const path = checkedPath(given);
    const { encoding, recursive = false, signal } = optionsOf<WatchOptions>(options, {});
    this.#watcher = new PathWatcher(caller, recursive, ({ eventType, name }) => {
      // Not in the turn of the change: a listener that throws must not stop who made it.
      queueMicrotask(() => {
        if (!this.#isClosed) this.emit('change', eventType, decoded(Buffer.from(name), encoding));
      });
    });
    signal?.addEventListener('abort', () => this.close(), { once: true });
    apiCall('watch', this.#watcher.start(pathBytes(path)), path).catch((error: unknown) => {
      this.emit('error', error);
    });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#watcher.stop();
    queueMicrotask(() => this.emit('close'));
  }

  /** Nothing here keeps a process alive. */
  ref(): this {
    return this;
  }

  /** Nothing here keeps a process alive. */
  unref(): this {
    return this;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
