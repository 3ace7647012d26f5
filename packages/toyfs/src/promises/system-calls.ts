/**
 * SystemCalls: what Linux does with paths, on a Vfs: the order of checks is the kernel's, because
 * programs depend on which of two reasons to refuse they are told.
 *
 *   K1  An inode that is changed through a path is held open meanwhile, and its generation compared:
 *       the number may have been given to another inode since the walk.
 */
import { WANT_READ, WANT_WRITE } from '../access.js';
import { FsError, isFsError } from '../errors.js';
import { type AttributeChanges, type Attributes, ROOT_INO, SYMLINK_MAX } from '../vfs.js';
import type { Caller } from './caller.js';
import { now, type Steps } from './steps.js';
import { absent, foundAt, notDirectory, type Place } from './walk.js';

/** Bytes: longer than what the system's own takes apart and walks in pieces. */
const REALPATH_MAX = 65_536;
const SET_UID = 0o4000;
const SET_GID = 0o2000;
const GROUP_EXECUTE = 0o010;

const NO_LINKS = { follow: 'none' } as const;

/** See the head of the file. */
export class SystemCalls {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  stat(path: Uint8Array, follow: boolean): Steps<Attributes> {
    return this.#caller.walk.existing(path, follow);
  }

  *access(path: Uint8Array, want: number): Steps<void> {
    const { user, vfs, walk } = this.#caller;
    user.assertAccess(vfs, yield* walk.existing(path, true), want);
  }

  /** The names that lead to what is at the end of a path, without links and dots. */
  *realpath(path: Uint8Array): Steps<readonly Uint8Array[]> {
    const place = yield* this.#caller.walk.place(path, { follow: 'all', limit: REALPATH_MAX });
    foundAt(place);
    const { kind, name, trail } = place;
    if (kind === 'name') return [...trail, name];
    return kind === 'dot-dot' ? trail.slice(0, -1) : trail;
  }

  *readlink(path: Uint8Array): Steps<Uint8Array> {
    const { vfs } = this.#caller;
    return yield* this.held(path, false, function* ({ ino }) {
      return yield* now(vfs.readlink(ino));
    });
  }

  *mkdir(path: Uint8Array, mode: number): Steps<void> {
    const { vfs, walk } = this.#caller;
    const place = walk.plainPlace(path, NO_LINKS) ?? (yield* walk.place(path, NO_LINKS));
    this.#assertNew(place);
    const owned = this.#caller.owned(mode & 0o1777);
    yield* now(vfs.mkdir(place.directory.ino, place.name, owned));
  }

  *symlink(target: Uint8Array, path: Uint8Array): Steps<void> {
    if (target.length === 0) throw new FsError('ENOENT', 'a link leads somewhere');
    if (target.length > SYMLINK_MAX) throw new FsError('ENAMETOOLONG', 'a target is too long');
    const { vfs, walk } = this.#caller;
    const place = yield* walk.place(path, { follow: 'none' });
    this.#assertNew(place, { slash: false });
    const { uid, gid } = this.#caller.owned(0);
    yield* now(vfs.symlink(place.directory.ino, place.name, target, { uid, gid }));
  }

  *link(existing: Uint8Array, path: Uint8Array): Steps<void> {
    const { vfs, walk } = this.#caller;
    const assertNew = (place: Place): void => this.#assertNew(place, { slash: false });
    yield* this.held(existing, false, function* ({ ino, type }) {
      const place = yield* walk.place(path, { follow: 'none' });
      assertNew(place);
      if (type === 'directory') throw new FsError('EPERM', 'a directory has one name');
      yield* now(vfs.link(ino, place.directory.ino, place.name));
    });
  }

  *unlink(path: Uint8Array): Steps<void> {
    const { user, vfs, walk } = this.#caller;
    const place = walk.plainPlace(path, NO_LINKS) ?? (yield* walk.place(path, NO_LINKS));
    const { directory, name, kind, wantsDirectory, found } = place;
    if (kind !== 'name') throw new FsError('EISDIR', 'it is a directory');
    if (found === undefined) throw absent(name);
    const isDirectory = found.type === 'directory';
    if (wantsDirectory && !isDirectory) throw notDirectory(found.ino);
    if (!wantsDirectory) user.assertMayRemove(vfs, directory, found);
    if (isDirectory) throw new FsError('EISDIR', 'a directory is removed by rmdir');
    const answer = vfs.unlink(directory.ino, name);
    if (answer instanceof Promise) yield answer;
  }

  *rmdir(path: Uint8Array): Steps<void> {
    const { user, vfs, walk } = this.#caller;
    const { directory, name, kind, found } = yield* walk.place(path, { follow: 'none' });
    if (kind === 'root') throw new FsError('EBUSY', 'the root stays');
    if (kind === 'dot') throw new FsError('EINVAL', '. cannot be removed');
    if (kind === 'dot-dot') throw new FsError('ENOTEMPTY', '.. is not empty');
    if (found === undefined) throw absent(name);
    user.assertMayRemove(vfs, directory, found);
    if (found.type !== 'directory') throw notDirectory(found.ino);
    yield* now(vfs.rmdir(directory.ino, name));
  }

  *rename(oldPath: Uint8Array, newPath: Uint8Array): Steps<void> {
    const { user, vfs, walk } = this.#caller;
    const from = yield* walk.parent(oldPath);
    const to = yield* walk.parent(newPath);
    if (from.kind !== 'name' || to.kind !== 'name') throw new FsError('EBUSY', 'dots stay');
    const found = yield* now(walk.find(from));
    if (found === undefined) throw absent(from.name);
    const replaced = yield* now(walk.find(to));
    const isDirectory = found.type === 'directory';
    if (!isDirectory && (from.wantsDirectory || to.wantsDirectory)) throw notDirectory(found.ino);
    const changesPlace = from.directory.ino !== to.directory.ino;
    if (changesPlace && isDirectory && (yield* this.#isInside(to.directory.ino, found.ino))) {
      throw new FsError('EINVAL', 'a directory cannot be moved into itself');
    }
    if (changesPlace && replaced?.type === 'directory') {
      if (yield* this.#isInside(from.directory.ino, replaced.ino)) {
        throw new FsError('ENOTEMPTY', 'what would be replaced has in it what would replace it');
      }
    }
    if (found.ino === replaced?.ino) return;
    user.assertMayRemove(vfs, from.directory, found);
    if (replaced === undefined) user.assertMayAdd(vfs, to.directory);
    else user.assertMayRemove(vfs, to.directory, replaced);
    // Its `..` changes.
    if (isDirectory && changesPlace) user.assertAccess(vfs, found, WANT_WRITE);
    yield* now(vfs.rename(from.directory.ino, from.name, to.directory.ino, to.name));
  }

  *chmod(path: Uint8Array, follow: boolean, mode: number): Steps<void> {
    yield* this.#change(path, follow, (attributes) => this.modeChange(attributes, mode));
  }

  *chown(path: Uint8Array, follow: boolean, uid: number, gid: number): Steps<void> {
    yield* this.#change(path, follow, (attributes) => this.ownerChange(attributes, uid, gid));
  }

  *utimes(path: Uint8Array, follow: boolean, atime: bigint, mtime: bigint): Steps<void> {
    yield* this.#change(path, follow, (attributes) => this.timeChange(attributes, atime, mtime));
  }

  /** @throws {FsError} EPERM */
  modeChange(attributes: Attributes, mode: number): AttributeChanges {
    const { user } = this.#caller;
    user.assertOwns(attributes);
    const keepsGroup = user.isSuperuser || user.gids.includes(attributes.gid);
    return { mode: mode & (keepsGroup ? 0o7777 : 0o7777 & ~SET_GID) };
  }

  /** 2^32 - 1 and -1 leave what they stand for. @throws {FsError} EPERM */
  ownerChange(attributes: Attributes, uid: number, gid: number): AttributeChanges {
    const { user } = this.#caller;
    const newUid = uid >>> 0 === 0xffff_ffff ? undefined : uid;
    const newGid = gid >>> 0 === 0xffff_ffff ? undefined : gid;
    const isAllowed =
      user.isSuperuser ||
      ((newUid === undefined || (newUid === attributes.uid && newUid === user.uid)) &&
        (newGid === undefined ||
          (user.uid === attributes.uid &&
            (newGid === attributes.gid || user.gids.includes(newGid)))));
    if (!isAllowed) throw new FsError('EPERM', `user ${user.uid} may not give it away`);
    const owner = {
      ...(newUid === undefined ? {} : { uid: newUid }),
      ...(newGid === undefined ? {} : { gid: newGid }),
    };
    const { mode, type } = attributes;
    // A program must not become another user's with its powers.
    const lost = SET_UID | ((mode & GROUP_EXECUTE) === 0 ? 0 : SET_GID);
    if (type === 'directory' || (mode & lost) === 0) return owner;
    return { ...owner, mode: mode & ~lost };
  }

  /** @throws {FsError} EPERM */
  timeChange(attributes: Attributes, atime: bigint, mtime: bigint): AttributeChanges {
    this.#caller.user.assertOwns(attributes);
    return { atime, mtime };
  }

  /** Opens a directory to list it: `held` for its numbers, which the caller releases. */
  *openDirectory(path: Uint8Array): Steps<number> {
    const { user, vfs } = this.#caller;
    return yield* this.held(path, true, function* (attributes) {
      if (attributes.type !== 'directory') throw notDirectory(attributes.ino);
      user.assertAccess(vfs, attributes, WANT_READ);
      yield* now(vfs.open(attributes.ino));
      return attributes.ino;
    });
  }

  /** Runs `act` on what a path leads to, which stays what it is meanwhile (K1). */
  *held<T>(path: Uint8Array, follow: boolean, act: (attributes: Attributes) => Steps<T>): Steps<T> {
    const { vfs, walk } = this.#caller;
    for (;;) {
      const found = walk.plainExisting(path, follow) ?? (yield* walk.existing(path, follow));
      try {
        const answer = vfs.open(found.ino);
        if (answer instanceof Promise) yield answer;
      } catch (error) {
        // It went while we waited: what does the path lead to now?
        if (isFsError(error, 'ENOENT')) continue;
        throw error;
      }
      try {
        const answer = vfs.getattr(found.ino);
        const attributes = answer instanceof Promise ? ((yield answer) as Attributes) : answer;
        if (attributes.generation === found.generation) return yield* act(attributes);
      } finally {
        const answer = vfs.release(found.ino);
        if (answer instanceof Promise) yield answer;
      }
    }
  }

  *#change(
    path: Uint8Array,
    follow: boolean,
    changes: (attributes: Attributes) => AttributeChanges,
  ): Steps<void> {
    const { vfs } = this.#caller;
    yield* this.held(path, follow, function* (attributes) {
      yield* now(vfs.setattr(attributes.ino, changes(attributes)));
    });
  }

  /** @throws {FsError} EEXIST, ENOENT, EACCES, EROFS */
  #assertNew({ kind, found, wantsDirectory, name, directory }: Place, { slash = true } = {}): void {
    const { user, vfs } = this.#caller;
    if (kind !== 'name' || found !== undefined) throw new FsError('EEXIST', 'the name is taken');
    if (wantsDirectory && !slash) throw absent(name);
    user.assertMayAdd(vfs, directory);
  }

  /** Whether a directory is, or is inside, another one. */
  *#isInside(directory: number, outer: number): Steps<boolean> {
    const { vfs } = this.#caller;
    for (let at = directory; ; ) {
      if (at === outer) return true;
      if (at === ROOT_INO) return false;
      at = yield* now(vfs.lookup(at, DOT_DOT));
    }
  }
}

const DOT_DOT: Uint8Array = Uint8Array.of(0x2e, 0x2e);
