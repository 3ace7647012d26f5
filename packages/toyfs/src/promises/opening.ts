/**
 * Opening: `open(2)` on a Vfs.
 */
import { WANT_READ, WANT_WRITE } from '../access.js';
import { FsError, isFsError } from '../errors.js';
import type { Attributes } from '../vfs.js';
import type { Caller } from './caller.js';
import { constants } from './constants.js';
import { mayRead, mayWrite } from './open-flags.js';
import { now, type Steps } from './steps.js';
import type { SystemCalls } from './system-calls.js';
import { notDirectory } from './walk.js';

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_TRUNC } = constants;

const FILE = { follow: 'all', forFile: true } as const;
const FILE_NO_LINK = { follow: 'none', forFile: true } as const;

/**
 * Opens what a path leads to, or makes a file there; answers its inode, for whose `release` the caller
 * is answerable from now on.
 * @throws {FsError} EACCES, EEXIST, EISDIR, ELOOP, ENOENT, ENOTDIR, EROFS; ENXIO for what is neither
 * file nor directory
 */
export function* openInode(
  caller: Caller,
  calls: SystemCalls,
  path: Uint8Array,
  flags: number,
  mode: number,
): Steps<number> {
  const isExclusive = (flags & (O_CREAT | O_EXCL)) === (O_CREAT | O_EXCL);
  const follow = (flags & O_NOFOLLOW) === 0 && !isExclusive;
  for (;;) {
    if ((flags & O_CREAT) !== 0) {
      const made = yield* create(caller, path, follow, isExclusive, mode);
      if (made === 'taken') continue;
      if (made !== undefined) return made;
    }
    const opened =
      (flags & O_TRUNC) === 0 ? yield* openPlain(caller, path, follow, flags) : undefined;
    if (opened !== undefined) return opened;
    return yield* calls.held(path, follow, (attributes) => openExisting(caller, attributes, flags));
  }
}

/** Opens what is there and open at once; undefined: it has to be held while looking at it. */
function* openPlain(
  caller: Caller,
  path: Uint8Array,
  follow: boolean,
  flags: number,
): Steps<number | undefined> {
  const { vfs, walk } = caller;
  const found = walk.plainExisting(path, follow);
  if (found === undefined) return undefined;
  assertMayOpen(caller, found, flags);
  try {
    const answer = vfs.open(found.ino);
    if (!(answer instanceof Promise)) return found.ino;
    yield answer;
  } catch (error) {
    if (isFsError(error, 'ENOENT')) return undefined;
    throw error;
  }
  // While it waited, the number may have become another's.
  yield* now(vfs.release(found.ino));
  return undefined;
}

/** Makes a file, unless there is one; answers it open. */
function* create(
  caller: Caller,
  path: Uint8Array,
  follow: boolean,
  isExclusive: boolean,
  mode: number,
): Steps<number | 'taken' | undefined> {
  const { user, vfs, walk } = caller;
  const how = follow ? FILE : FILE_NO_LINK;
  const place = walk.plainPlace(path, how) ?? (yield* walk.place(path, how));
  const { directory, found, name } = place;
  if (found !== undefined) {
    if (isExclusive) throw new FsError('EEXIST', 'the name is taken');
    if (found.type === 'directory') throw new FsError('EISDIR', 'there is a directory');
    return undefined;
  }
  user.assertMayAdd(vfs, directory);
  try {
    const made = vfs.create(directory.ino, name, caller.owned(mode & 0o7777));
    const ino = made instanceof Promise ? ((yield made) as number) : made;
    const opened = vfs.open(ino);
    if (opened instanceof Promise) yield opened;
    return ino;
  } catch (error) {
    // Somebody else made it while we waited.
    if (!isExclusive && isFsError(error, 'EEXIST')) return 'taken';
    throw error;
  }
}

function* openExisting(caller: Caller, attributes: Attributes, flags: number): Steps<number> {
  const { vfs } = caller;
  const { ino } = attributes;
  assertMayOpen(caller, attributes, flags);
  if ((flags & O_TRUNC) !== 0) yield* now(vfs.setattr(ino, { size: 0 }));
  yield* now(vfs.open(ino));
  return ino;
}

/** @throws {FsError} as `openInode` */
function assertMayOpen(caller: Caller, attributes: Attributes, flags: number): void {
  const { user, vfs } = caller;
  const { ino, type } = attributes;
  const isTruncated = (flags & O_TRUNC) !== 0;
  const writes = mayWrite(flags) || isTruncated;
  if (type === 'symlink') throw new FsError('ELOOP', 'links are not followed here');
  if ((flags & O_DIRECTORY) !== 0 && type !== 'directory') throw notDirectory(ino);
  if (type === 'directory' && writes) throw new FsError('EISDIR', 'a directory is not written');
  user.assertAccess(vfs, attributes, (mayRead(flags) ? WANT_READ : 0) | (writes ? WANT_WRITE : 0));
  if (type !== 'file' && type !== 'directory') throw new FsError('ENXIO', `a ${type} has no data`);
}
