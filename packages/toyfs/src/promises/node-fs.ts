/**
 * nodeFs: what `import fs from 'node:fs'` gives, on any Vfs and without the Sync forms: `promises`, the
 * same functions with callbacks, those on descriptors, and streams. For libraries that take an `fs`.
 */
import type { Buffer } from 'node:buffer';
import type { Vfs } from '../vfs.js';
import { Caller, type NodeFsOptions } from './caller.js';
import { constants } from './constants.js';
import { type DescriptorFunctions, descriptorFunctions } from './descriptor-functions.js';
import { Dir } from './dir.js';
import { Dirent } from './dirent.js';
import type { FileHandle } from './file-handle.js';
import { type FsPromises, promisesOf } from './fs-promises.js';
import { FSWatcher } from './fs-watcher.js';
import { checkedPath, type PathLike } from './path-like.js';
import { ReadStream, type ReadStreamOptions } from './read-stream.js';
import { Stats } from './stats.js';
import { functionOf } from './validate.js';
import { type WithCallback, withCallback } from './with-callback.js';
import { WriteStream, type WriteStreamOptions } from './write-stream.js';

/** Functions of `fs.promises` whose form with a callback is generated from them. */
type CallbackName = Exclude<keyof FsPromises, 'constants' | 'open' | 'watch'>;

/** See the head of the file. The functions need no `this`. */
export interface NodeFs extends Record<CallbackName, WithCallback>, DescriptorFunctions {
  readonly promises: FsPromises;
  readonly constants: typeof constants;
  readonly Dir: typeof Dir;
  readonly Dirent: typeof Dirent;
  readonly Stats: typeof Stats;
  readonly ReadStream: typeof ReadStream;
  readonly WriteStream: typeof WriteStream;
  /** Calls back with whether there is something. */
  exists(path: PathLike, callback: (exists: boolean) => void): void;
  createReadStream(path: PathLike, options?: BufferEncoding | ReadStreamOptions): ReadStream;
  createWriteStream(path: PathLike, options?: BufferEncoding | WriteStreamOptions): WriteStream;
  watch(path: PathLike, options?: unknown, listener?: WatchListener): FSWatcher;
}

/** Called with each change. */
export type WatchListener = (eventType: 'rename' | 'change', filename: string | Buffer) => void;

/** The API on a Vfs, on behalf of one user. */
export function nodeFs(vfs: Vfs, options?: NodeFsOptions): NodeFs {
  const caller = new Caller(vfs, options);
  const promises = promisesOf(caller);
  const { constants: _numbers, open: _open, watch: _watch, ...functions } = promises;
  const generated = Object.fromEntries(
    Object.entries(functions).map(([name, act]) => [name, withCallback(act)]),
  ) as Record<CallbackName, WithCallback>;
  /** The file of a stream: one that is open, or one to open. */
  const source = (
    path: PathLike,
    { fd, flags, mode }: ReadStreamOptions | WriteStreamOptions,
    otherwise: string,
  ): FileHandle | (() => Promise<FileHandle>) => {
    if (typeof fd === 'number') return descriptors.handleOf(fd, 'read');
    if (fd !== undefined && fd !== null) return fd;
    checkedPath(path);
    return () => promises.open(path, flags ?? otherwise, mode);
  };
  const descriptors = descriptorFunctions(caller, promises);
  return {
    promises,
    constants,
    ...{ Dir, Dirent, Stats, ReadStream, WriteStream },
    ...generated,
    ...descriptors.functions,
    exists(path, callback) {
      functionOf(callback, 'cb');
      promises.access(path).then(
        () => callback(true),
        () => callback(false),
      );
    },
    createReadStream(path, given) {
      const asked = typeof given === 'string' ? { encoding: given } : (given ?? {});
      return new ReadStream(source(path, asked, 'r'), shown(path), asked);
    },
    createWriteStream(path, given) {
      const asked = typeof given === 'string' ? { encoding: given } : (given ?? {});
      return new WriteStream(source(path, asked, 'w'), shown(path), asked);
    },
    watch(path, given, listener) {
      const listens = typeof given === 'function' ? (given as WatchListener) : listener;
      const watcher = new FSWatcher(caller, path, given);
      if (listens !== undefined) watcher.on('change', listens);
      return watcher;
    },
  };
}

function shown(path: PathLike): string | Uint8Array | undefined {
  return path === undefined || path === null ? undefined : checkedPath(path);
}
