/**
 * The functions of `fs.promises` that make, remove and move names.
 */
import { Buffer } from 'node:buffer';
import { isFsError } from '../errors.js';
import { apiCall } from './api-call.js';
import type { Caller } from './caller.js';
import { invalidValue, systemError } from './node-errors.js';
import { decoded, type EncodingOption, optionsOf } from './options.js';
import { checkedPath, type PathLike, pathBytes, pathText } from './path-like.js';
import type { Steps } from './steps.js';
import type { SystemCalls } from './system-calls.js';
import { boolean, fileMode } from './validate.js';

/** How `mkdir` makes directories. */
export interface MkdirOptions {
  /** Make those above too, and accept one that is there. @default false */
  readonly recursive?: boolean;
  /** @default 0o777, less the umask */
  readonly mode?: number | string;
}

/** See the head of the file. */
export interface NameFunctions {
  /** With `recursive` the first directory that was made. */
  mkdir(
    path: PathLike,
    options?: number | string | MkdirOptions | null,
  ): Promise<string | undefined>;
  mkdtemp(prefix: PathLike, options?: EncodingOption): Promise<string>;
  rename(oldPath: PathLike, newPath: PathLike): Promise<void>;
  unlink(path: PathLike): Promise<void>;
  link(existingPath: PathLike, newPath: PathLike): Promise<void>;
  symlink(target: PathLike, path: PathLike, type?: string | null): Promise<void>;
  readlink(path: PathLike, options?: EncodingOption): Promise<string>;
  realpath(path: PathLike, options?: EncodingOption): Promise<string>;
}

/** Attempts to find a name that is free. */
const TEMPORARY_ATTEMPTS = 100;
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** The functions, for one caller. */
export function nameFunctions(caller: Caller, calls: SystemCalls): NameFunctions {
  return {
    async mkdir(given, options) {
      const isMode = typeof options === 'number' || typeof options === 'string';
      const { recursive = false, mode } = isMode ? { mode: options } : (options ?? {});
      const path = checkedPath(given);
      boolean(recursive, 'options.recursive');
      const bits = fileMode(mode, 'mode', 0o777);
      if (recursive) return await apiCall('mkdir', makeAll(calls, pathText(path), bits), path);
      await apiCall('mkdir', calls.mkdir(pathBytes(path), bits), path);
      return undefined;
    },
    async mkdtemp(given, options) {
      const { encoding } = optionsOf(options, {});
      const prefix = pathText(checkedPath(given, 'prefix'));
      for (let attempt = 1; ; attempt++) {
        const path = `${prefix}${randomLetters(caller.random)}`;
        try {
          await apiCall('mkdtemp', calls.mkdir(Buffer.from(path), 0o700), path);
          return decoded(Buffer.from(path), encoding) as string;
        } catch (error) {
          const isTaken = (error as { code?: unknown }).code === 'EEXIST';
          if (!isTaken || attempt === TEMPORARY_ATTEMPTS) throw error;
        }
      }
    },
    async rename(oldGiven, newGiven) {
      const from = checkedPath(oldGiven, 'oldPath');
      const to = checkedPath(newGiven, 'newPath');
      await apiCall('rename', calls.rename(pathBytes(from), pathBytes(to)), from, to);
    },
    async unlink(given) {
      const path = checkedPath(given);
      await apiCall('unlink', calls.unlink(pathBytes(path)), path);
    },
    async link(existing, given) {
      const from = checkedPath(existing, 'existingPath');
      const to = checkedPath(given, 'newPath');
      await apiCall('link', calls.link(pathBytes(from), pathBytes(to)), from, to);
    },
    async symlink(target, given, type) {
      const to = checkedPath(target, 'target');
      const path = checkedPath(given);
      if (typeof type === 'string' && !['dir', 'file', 'junction'].includes(type)) {
        throw invalidValue('type', type, 'must be one of dir, file, or junction');
      }
      await apiCall('symlink', calls.symlink(pathBytes(to), pathBytes(path)), to, path);
    },
    async readlink(given, options) {
      const { encoding } = optionsOf(options, {});
      const path = checkedPath(given, 'oldPath');
      const target = await apiCall('readlink', calls.readlink(pathBytes(path)), path);
      return decoded(target, encoding) as string;
    },
    async realpath(given, options) {
      const { encoding } = optionsOf(options, {});
      const path = checkedPath(given);
      const names = await apiCall('realpath', calls.realpath(pathBytes(path)), path);
      const bytes = Buffer.concat(names.flatMap((name) => [SLASH, name]));
      return decoded(bytes.length === 0 ? SLASH : bytes, encoding) as string;
    },
  };
}

const SLASH = Buffer.from('/');

/** Makes a directory and those above it; answers the topmost that was made. */
function* makeAll(calls: SystemCalls, path: string, mode: number): Steps<string | undefined> {
  const above = [path];
  let first: string | undefined;
  for (let next = above.pop(); next !== undefined; next = above.pop()) {
    try {
      yield* calls.mkdir(Buffer.from(next), mode);
      first ??= next;
    } catch (error) {
      if (isFsError(error, 'ENOENT')) {
        const parent = next.slice(0, Math.max(0, next.lastIndexOf('/')));
        if (parent === '' || parent === next) throw error;
        above.push(next, parent);
      } else if (isFsError(error, 'EEXIST') || isFsError(error, 'EROFS')) {
        if (yield* isDirectory(calls, next, above.length === 0)) continue;
        throw above.length === 0 ? error : systemError('ENOTDIR', 'mkdir', next, undefined, error);
      } else {
        throw error;
      }
    }
  }
  return first;
}

/** Whether a path leads to a directory; the last one of all must lead somewhere. */
function* isDirectory(calls: SystemCalls, path: string, isLast: boolean): Steps<boolean> {
  try {
    return (yield* calls.stat(Buffer.from(path), true)).type === 'directory';
  } catch (error) {
    if (!isLast && isFsError(error, 'ENOENT')) return false;
    throw error;
  }
}

function randomLetters(random: () => number): string {
  let letters = '';
  for (let i = 0; i < 6; i++) letters += LETTERS[Math.floor(random() * LETTERS.length)];
  return letters;
}
