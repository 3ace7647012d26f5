/**
 * The functions of `fs.promises` that remove directories, and all that is in them.
 */
import { Buffer } from 'node:buffer';
import { apiCall } from './api-call.js';
import type { Caller } from './caller.js';
import { listPath } from './listing.js';
import { nodeRefusal } from './node-errors.js';
import { checkedPath, type PathLike, pathBytes, pathText } from './path-like.js';
import type { SystemCalls } from './system-calls.js';
import { boolean, int32, object, uint32 } from './validate.js';

/** How `rmdir` removes. */
export interface RmdirOptions {
  /** Remove what is in it too. @default false */
  readonly recursive?: boolean;
  /** Attempts after EBUSY, ENOTEMPTY or EPERM. @default 0 */
  readonly maxRetries?: number;
  /** Milliseconds before the first of them; each one waits that much longer. @default 100 */
  readonly retryDelay?: number;
}

/** How `rm` removes. */
export interface RmOptions extends RmdirOptions {
  /** Be content when there is nothing. @default false */
  readonly force?: boolean;
}

/** See the head of the file. */
export interface RemoveFunctions {
  rmdir(path: PathLike, options?: RmdirOptions): Promise<void>;
  rm(path: PathLike, options?: RmOptions): Promise<void>;
}

/** The functions, for one caller. */
export function removeFunctions(caller: Caller, calls: SystemCalls): RemoveFunctions {
  const removeTree = async (path: Uint8Array, options: Retries): Promise<void> => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await removeOnce(path, options);
      } catch (error) {
        const code = codeOf(error);
        if (code === 'ENOENT') return; // somebody else was faster
        if (attempt > options.maxRetries || !RETRIED.has(code)) throw error;
        await caller.wait(attempt * options.retryDelay);
      }
    }
  };
  const removeOnce = async (path: Uint8Array, options: Retries): Promise<void> => {
    const { type } = await apiCall('lstat', calls.stat(path, false), path);
    if (type !== 'directory') return apiCall('unlink', calls.unlink(path), path);
    try {
      return await apiCall('rmdir', calls.rmdir(path), path);
    } catch (error) {
      // A link with a slash behind it: `lstat` has followed it, `rmdir` does not. Node leaves it.
      if (codeOf(error) === 'ENOTDIR') return;
      if (!['ENOTEMPTY', 'EEXIST', 'EPERM'].includes(codeOf(error))) throw error;
    }
    const names = await apiCall('scandir', listPath(caller.vfs, calls, path), path);
    for (const { name } of names) await removeTree(Buffer.concat([path, SLASH, name]), options);
    await apiCall('rmdir', calls.rmdir(path), path);
  };
  return {
    async rmdir(given, options) {
      const path = checkedPath(given);
      const asked = checkedOptions(options);
      if (asked.recursive) {
        const { type } = await apiCall('stat', calls.stat(pathBytes(path), true), path);
        if (type === 'directory') return await removeTree(pathBytes(path), asked);
      }
      await apiCall('rmdir', calls.rmdir(pathBytes(path)), path);
    },
    async rm(given, options) {
      const path = checkedPath(given);
      const asked = checkedOptions(options);
      const force = boolean(options?.force ?? false, 'options.force');
      try {
        const { type } = await apiCall('lstat', calls.stat(pathBytes(path), false), path);
        if (type === 'directory' && !asked.recursive) throw isADirectory(pathText(path));
      } catch (error) {
        if (force && codeOf(error) === 'ENOENT') return;
        throw error;
      }
      await removeTree(pathBytes(path), asked);
    },
  };
}

/** How often, and after how long, to try again. */
interface Retries {
  readonly maxRetries: number;
  readonly retryDelay: number;
}

const RETRIED = new Set(['EBUSY', 'EMFILE', 'ENFILE', 'ENOTEMPTY', 'EPERM']);
const SLASH = Buffer.from('/');

function checkedOptions(options: RmdirOptions | undefined): Retries & { recursive: boolean } {
  if (options !== undefined) object(options, 'options');
  const { recursive = false, retryDelay = 100, maxRetries = 0 } = options ?? {};
  return {
    recursive: boolean(recursive, 'options.recursive'),
    retryDelay: int32(retryDelay, 'options.retryDelay', 0),
    maxRetries: uint32(maxRetries, 'options.maxRetries'),
  };
}

function isADirectory(path: string): Error {
  const info = { code: 'EISDIR', message: 'is a directory', path, syscall: 'rm' } as const;
  return nodeRefusal('ERR_FS_EISDIR', 'Path is a directory', info);
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown }).code);
}
