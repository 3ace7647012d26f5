/**
 * What this file system can and Node's API has no words for: xattrs, freezing, space.
 */
import { Buffer } from 'node:buffer';
import { WANT_READ, WANT_WRITE } from '../access.js';
import { FsError } from '../errors.js';
import type { Attributes, FreezeOptions } from '../vfs.js';
import { apiCall } from './api-call.js';
import type { Caller } from './caller.js';
import { checkedPath, type PathLike, pathBytes } from './path-like.js';
import { now, type Steps } from './steps.js';
import type { SystemCalls } from './system-calls.js';

/** How `setxattr` sets. */
export interface SetXattrOptions {
  /** Refuse with EEXIST what is there. @default false */
  readonly create?: boolean;
  /** Refuse with ENODATA what is not there. @default false */
  readonly replace?: boolean;
}

/** See the head of the file. */
export interface OwnFunctions {
  /** The value of an xattr, such as `user.colour`. @throws ENODATA, EACCES, EPERM */
  getxattr(path: PathLike, name: string): Promise<Buffer>;
  /** @throws EEXIST, ENODATA, ENOSPC, ERANGE, ENOTSUP, EACCES, EPERM */
  setxattr(
    path: PathLike,
    name: string,
    value: string | Uint8Array,
    options?: SetXattrOptions,
  ): Promise<void>;
  listxattr(path: PathLike): Promise<string[]>;
  /** @throws ENODATA, EACCES, EPERM */
  removexattr(path: PathLike, name: string): Promise<void>;
  /** Stops changes and leaves a clean, durable image until `thaw`. @throws EBUSY, EPERM */
  freeze(options?: FreezeOptions): Promise<void>;
  /** Lets changes go on. Harmless when not frozen. @throws EPERM */
  thaw(): Promise<void>;
  /** Makes everything durable. */
  sync(): Promise<void>;
  /** Bytes that files and their metadata take. */
  usedBytes(): Promise<number>;
}

/** The functions, for one caller. Links are followed. */
export function ownFunctions(caller: Caller, calls: SystemCalls): OwnFunctions {
  const { vfs, user } = caller;
  const held = async <T>(
    syscall: string,
    given: PathLike,
    ...[want, name, act]: [number, string | undefined, (ino: number) => Steps<T>]
  ): Promise<T> => {
    const path = checkedPath(given);
    const steps = calls.held(pathBytes(path), true, (attributes) => {
      if (name !== undefined) assertMayUse(caller, attributes, name, want);
      return act(attributes.ino);
    });
    return await apiCall(syscall, steps, path);
  };
  const asSuperuser = function* (act: () => Promise<void>): Steps<void> {
    if (!user.isSuperuser) throw new FsError('EPERM', 'only the superuser freezes');
    yield* now(act());
  };
  return {
    getxattr: (path, name) =>
      held('getxattr', path, WANT_READ, name, function* (ino) {
        return Buffer.from(yield* now(vfs.getXattr(ino, name)));
      }),
    setxattr: (path, name, value, { create, replace } = {}) =>
      held('setxattr', path, WANT_WRITE, name, function* (ino) {
        const mode = create ? 'create' : replace ? 'replace' : undefined;
        yield* now(vfs.setXattr(ino, name, Buffer.from(value), mode));
      }),
    listxattr: (path) =>
      held('listxattr', path, 0, undefined, function* (ino) {
        const names = yield* now(vfs.listXattrs(ino));
        return names.filter((name) => user.isSuperuser || !name.startsWith('trusted.'));
      }),
    removexattr: (path, name) =>
      held('removexattr', path, WANT_WRITE, name, function* (ino) {
        yield* now(vfs.removeXattr(ino, name));
      }),
    freeze: (options) =>
      apiCall(
        'freeze',
        asSuperuser(() => vfs.freeze(options)),
      ),
    thaw: () =>
      apiCall(
        'thaw',
        asSuperuser(() => vfs.thaw()),
      ),
    sync: () => apiCall('sync', now(vfs.sync())),
    async usedBytes() {
      const { blocks, freeBlocks, blockSize } = await apiCall('statfs', now(vfs.statfs()));
      return (blocks - freeBlocks) * blockSize;
    },
  };
}

/** Linux's rules: who may use a file's xattrs is a matter of the prefix. */
function assertMayUse(caller: Caller, attributes: Attributes, name: string, want: number): void {
  const { user, vfs } = caller;
  const { type, mode } = attributes;
  if (name.startsWith('trusted.')) {
    if (user.isSuperuser) return;
    throw new FsError(want === WANT_READ ? 'ENODATA' : 'EPERM', `${name} is the superuser's`);
  }
  if (name.startsWith('system.')) {
    throw new FsError('EOPNOTSUPP', `${name} is the file system's own`);
  }
  if (!name.startsWith('user.')) {
    if (want !== WANT_READ) user.assertOwns(attributes);
    return;
  }
  if (type !== 'file' && type !== 'directory') {
    throw new FsError(want === WANT_READ ? 'ENODATA' : 'EPERM', `a ${type} has no ${name}`);
  }
  const isSticky = type === 'directory' && (mode & 0o1000) !== 0;
  if (isSticky && want === WANT_WRITE) user.assertOwns(attributes);
  user.assertAccess(vfs, attributes, want);
}
