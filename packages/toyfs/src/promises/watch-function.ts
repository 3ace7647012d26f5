/**
 * `fs.promises.watch`: changes as an async iterator, until its signal or its reader ends it.
 */
import { Buffer } from 'node:buffer';
import { apiCall } from './api-call.js';
import type { Caller } from './caller.js';
import { abortError, assertNotAborted } from './node-errors.js';
import { decoded, type Encoding, optionsOf } from './options.js';
import { checkedPath, type PathLike, pathBytes } from './path-like.js';
import { PathWatcher } from './path-watcher.js';
import { boolean } from './validate.js';

/** Changes that wait to be read; what is beyond is not told. */
const QUEUE_MAX = 2048;

/** How to watch. */
export interface WatchOptions {
  readonly encoding?: Encoding | null;
  /** Accepted: nothing here keeps a process alive. */
  readonly persistent?: boolean;
  /** Watch the directories inside too. @default false */
  readonly recursive?: boolean;
  readonly signal?: AbortSignal;
}

/** One change. */
export interface FileChangeInfo {
  readonly eventType: 'rename' | 'change';
  readonly filename: string | Buffer;
}

/** See the head of the file. */
export interface WatchFunction {
  watch(
    path: PathLike,
    options?: Encoding | WatchOptions,
  ): AsyncGenerator<FileChangeInfo, void, undefined>;
}

/** The function, for one caller. */
export function watchFunction(caller: Caller): WatchFunction {
  return {
    async *watch(given, options) {
      const path = checkedPath(given);
      const { encoding, signal, recursive = false } = optionsOf<WatchOptions>(options, {});
      boolean(recursive, 'options.recursive');
      assertNotAborted(signal);
      const changes: FileChangeInfo[] = [];
      let wake = (): void => undefined;
      const watcher = new PathWatcher(caller, recursive, ({ eventType, name }) => {
        if (changes.length >= QUEUE_MAX) return;
        changes.push({ eventType, filename: decoded(Buffer.from(name), encoding) });
        wake();
      });
      const onAbort = (): void => wake();
      signal?.addEventListener('abort', onAbort, { once: true });
      try {
        await apiCall('watch', watcher.start(pathBytes(path)), path);
        for (;;) {
          if (signal?.aborted === true) throw abortError(signal);
          const change = changes.shift();
          if (change !== undefined) yield change;
          else await new Promise<void>((resolve) => (wake = resolve));
        }
      } finally {
        watcher.stop();
        signal?.removeEventListener('abort', onAbort);
      }
    },
  };
}
