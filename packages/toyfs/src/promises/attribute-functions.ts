/**
 * The functions of `fs.promises` about what a path leads to: attributes, permissions, space.
 */

import type { FsStatistics } from '../vfs.js';
import { apiCall } from './api-call.js';
import type { Caller } from './caller.js';
import { asSystemError, codedError } from './node-errors.js';
import { checkedPath, type PathLike, pathBytes, pathText } from './path-like.js';
import { type BigIntOption, type BigIntStats, StatFs, type Stats, statsOf } from './stats.js';
import { now, type Steps } from './steps.js';
import type { SystemCalls } from './system-calls.js';
import { fileMode, ownerId, smallMode, timestamp } from './validate.js';

/** A time: a Date, or seconds since 1970. Negative seconds stand for now. */
export type TimeLike = number | string | Date;

/** How `stat` answers. */
export interface StatOptions extends BigIntOption {
  /** Reject with ENOENT rather than answer undefined. @default true */
  readonly throwIfNoEntry?: boolean;
}

/** See the head of the file. */
export interface AttributeFunctions {
  access(path: PathLike, mode?: number): Promise<void>;
  stat(
    path: PathLike,
    options?: StatOptions & { bigint?: false; throwIfNoEntry?: true },
  ): Promise<Stats>;
  stat(
    path: PathLike,
    options: StatOptions & { bigint: true; throwIfNoEntry?: true },
  ): Promise<BigIntStats>;
  stat(
    path: PathLike,
    options: StatOptions & { throwIfNoEntry: false },
  ): Promise<Stats | BigIntStats | undefined>;
  stat(path: PathLike, options?: StatOptions): Promise<Stats | BigIntStats>;
  lstat(
    path: PathLike,
    options?: StatOptions & { bigint?: false; throwIfNoEntry?: true },
  ): Promise<Stats>;
  lstat(
    path: PathLike,
    options: StatOptions & { bigint: true; throwIfNoEntry?: true },
  ): Promise<BigIntStats>;
  lstat(
    path: PathLike,
    options: StatOptions & { throwIfNoEntry: false },
  ): Promise<Stats | BigIntStats | undefined>;
  lstat(path: PathLike, options?: StatOptions): Promise<Stats | BigIntStats>;
  statfs(path: PathLike, options?: BigIntOption & { bigint?: false }): Promise<StatFs>;
  statfs(path: PathLike, options: BigIntOption & { bigint: true }): Promise<StatFs<bigint>>;
  chmod(path: PathLike, mode: number | string): Promise<void>;
  /** As on Linux, links have no modes. @throws ERR_METHOD_NOT_IMPLEMENTED */
  lchmod(path: PathLike, mode: number | string): Promise<void>;
  chown(path: PathLike, uid: number, gid: number): Promise<void>;
  lchown(path: PathLike, uid: number, gid: number): Promise<void>;
  utimes(path: PathLike, atime: TimeLike, mtime: TimeLike): Promise<void>;
  lutimes(path: PathLike, atime: TimeLike, mtime: TimeLike): Promise<void>;
}

/** The functions, for one caller. */
export function attributeFunctions(caller: Caller, calls: SystemCalls): AttributeFunctions {
  const stat = async (
    syscall: string,
    follow: boolean,
    given: PathLike,
    options?: StatOptions,
  ): Promise<Stats | BigIntStats | undefined> => {
    const path = checkedPath(given);
    try {
      const bytes = pathBytes(path);
      const attributes =
        caller.walk.plainExisting(bytes, follow) ??
        (await apiCall(syscall, calls.stat(bytes, follow), path));
      return statsOf(attributes, caller.dev, options);
    } catch (failure) {
      const error = asSystemError(failure, syscall, pathText(path));
      // Node 20 has this only in the Sync forms, later ones here too.
      const isAbsent = ['ENOENT', 'ENOTDIR'].includes((error as { code: string }).code);
      if (options?.throwIfNoEntry === false && isAbsent) return undefined;
      throw error;
    }
  };
  const chown = async (
    syscall: string,
    follow: boolean,
    given: PathLike,
    ...[uid, gid]: [number, number]
  ): Promise<void> => {
    const path = checkedPath(given);
    const owner = [ownerId(uid, 'uid'), ownerId(gid, 'gid')] as const;
    await apiCall(syscall, calls.chown(pathBytes(path), follow, ...owner), path);
  };
  const utimes = async (
    syscall: string,
    follow: boolean,
    given: PathLike,
    ...[atime, mtime]: [TimeLike, TimeLike]
  ): Promise<void> => {
    const path = checkedPath(given);
    const times = [timestamp(atime, caller.now), timestamp(mtime, caller.now)] as const;
    await apiCall(syscall, calls.utimes(pathBytes(path), follow, ...times), path);
  };
  return {
    async access(given, mode = 0) {
      const path = checkedPath(given);
      await apiCall('access', calls.access(pathBytes(path), smallMode(mode)), path);
    },
    stat: ((path: PathLike, options?: StatOptions) =>
      stat('stat', true, path, options)) as AttributeFunctions['stat'],
    lstat: ((path: PathLike, options?: StatOptions) =>
      stat('lstat', false, path, options)) as AttributeFunctions['lstat'],
    statfs: ((path: PathLike, options?: BigIntOption) =>
      statfs(caller, calls, path, options)) as AttributeFunctions['statfs'],
    async chmod(given, mode) {
      const path = checkedPath(given);
      await apiCall('chmod', calls.chmod(pathBytes(path), true, fileMode(mode, 'mode')), path);
    },
    async lchmod() {
      const message = 'The lchmod() method is not implemented';
      throw codedError(new Error(message), 'ERR_METHOD_NOT_IMPLEMENTED');
    },
    chown: (path, uid, gid) => chown('chown', true, path, uid, gid),
    lchown: (path, uid, gid) => chown('lchown', false, path, uid, gid),
    utimes: (path, atime, mtime) => utimes('utime', true, path, atime, mtime),
    lutimes: (path, atime, mtime) => utimes('lutime', false, path, atime, mtime),
  };
}

async function statfs(
  { vfs }: Caller,
  calls: SystemCalls,
  given: PathLike,
  options: BigIntOption | undefined,
): Promise<StatFs<number> | StatFs<bigint>> {
  const path = checkedPath(given);
  const steps = function* (): Steps<FsStatistics> {
    yield* calls.stat(pathBytes(path), true);
    return yield* now(vfs.statfs());
  };
  const statistics = await apiCall('statfs', steps(), path);
  return options?.bigint === true
    ? new StatFs(statistics, BigInt)
    : new StatFs(statistics, (value) => value);
}
