/**
 * Walk: from a path to an inode, as Linux does it. Symbolic links in the middle are followed always, the
 * one at the end when asked; a slash at the end asks for a directory.
 *
 *   Y1  Every directory on the way must let the user search it.
 *   Y2  At most 40 symbolic links, so that a circle of them ends.
 */
import { Buffer } from 'node:buffer';
import { WANT_EXECUTE } from '../access.js';
import { FsError } from '../errors.js';
import { type Answer, type Attributes, NAME_MAX, ROOT_INO, type Vfs } from '../vfs.js';
import { now, type Steps } from './steps.js';
import type { User } from './user.js';

/** Bytes in a path at most. */
const PATH_MAX = 4095;
/** Symbolic links on one way at most. */
const LINKS_MAX = 40;

const SLASH = 0x2f;
const DOT = 0x2e;

/** Where a path's last name is, or would be. */
export interface Parent {
  /** The directory that has, or would have, the name. */
  readonly directory: Attributes;
  readonly name: Uint8Array;
  /** What is no plain name cannot be added or removed. */
  readonly kind: 'name' | 'dot' | 'dot-dot' | 'root';
  /** The path ends with a slash. */
  readonly wantsDirectory: boolean;
  /** The names from the root to `directory`, without links and dots. */
  readonly trail: readonly Uint8Array[];
}

/** The same, and what is there. */
export interface Place extends Parent {
  readonly found: Attributes | undefined;
}

/** How to walk. */
interface WalkOptions {
  /** Which links at the end are followed: all, none, or those with a slash behind them. */
  readonly follow: 'all' | 'none' | 'slash';
  /** What the path is to make is no directory: EISDIR for a slash at its end. @default false */
  readonly forFile?: boolean;
  /** Do not look for the last name. @default false */
  readonly parentOnly?: boolean;
  /** Bytes in the path at most. @default PATH_MAX */
  readonly limit?: number;
}

const FOLLOW_ALL: WalkOptions = { follow: 'all' };
const FOLLOW_SLASH: WalkOptions = { follow: 'slash' };

/** See the head of the file. Paths start at the root or at `workingDirectory`. */
export class Walk {
  readonly #vfs: Vfs;
  readonly #user: User;
  readonly #workingDirectory: Uint8Array;

  constructor(vfs: Vfs, user: User, workingDirectory: Uint8Array) {
    this.#vfs = vfs;
    this.#user = user;
    this.#workingDirectory = workingDirectory;
  }

  /**
   * As `place` for a path that is nothing but names, when all is answered at once; undefined: ask
   * `place`. Most paths are so, and a generator costs more than such a walk.
   * @throws {FsError} as `place`
   */
  plainPlace(path: Uint8Array, { forFile, limit = PATH_MAX }: WalkOptions): Place | undefined {
    const end = path.length;
    if (path[0] !== SLASH || end === 1 || end > limit) return undefined;
    const root = this.#vfs.getattr(ROOT_INO);
    if (root instanceof Promise) return late(root);
    let directory = root;
    const trail: Uint8Array[] = [];
    for (let start = 1; ; ) {
      let stop = start;
      while (stop < end && path[stop] !== SLASH) stop++;
      const wantsDirectory = stop === end - 1;
      // Of slashes side by side, of dots, and of files that end with a slash `place` knows more.
      const length = stop - start;
      if (length === 0 || length > NAME_MAX || (wantsDirectory && forFile === true)) {
        return undefined;
      }
      if (path[start] === DOT && (length === 1 || (length === 2 && path[start + 1] === DOT))) {
        return undefined;
      }
      const name = new Uint8Array(path.buffer, path.byteOffset + start, length);
      this.#assertSearchable(directory);
      const found = this.#vfs.find(directory.ino, name);
      if (found instanceof Promise) return late(found);
      if (found?.type === 'symlink') return undefined;
      if (stop >= end - 1) {
        return { directory, name, kind: 'name', wantsDirectory, trail, found };
      }
      if (found === undefined) return undefined;
      trail.push(name);
      directory = found;
      start = stop + 1;
    }
  }

  /** What is at the end of such a path; undefined: ask `existing`. @throws {FsError} as `existing` */
  plainExisting(path: Uint8Array, follow: boolean): Attributes | undefined {
    const place = this.plainPlace(path, follow ? FOLLOW_ALL : FOLLOW_SLASH);
    return place === undefined ? undefined : foundAt(place);
  }

  /** What is at the end of a path. @throws {FsError} ENOENT, ENOTDIR, ELOOP, EACCES, ENAMETOOLONG */
  *existing(path: Uint8Array, follow: boolean): Steps<Attributes> {
    const place = yield* this.place(path, { follow: follow ? 'all' : 'slash' });
    return foundAt(place);
  }

  /** The place of a path's last name. @throws {FsError} as `existing`, if not for that name */
  *place(path: Uint8Array, options: WalkOptions): Steps<Place> {
    const { follow, forFile = false, parentOnly = false, limit = PATH_MAX } = options;
    if (path.length === 0) throw new FsError('ENOENT', 'an empty path leads nowhere');
    if (path.length > limit) throw new FsError('ENAMETOOLONG', `${limit} bytes at most`);
    let names = this.#namesOf(path);
    const root = this.#vfs.getattr(ROOT_INO);
    let directory: Attributes = root instanceof Promise ? ((yield root) as Attributes) : root;
    let trail: Uint8Array[] = [];
    let links = 0;
    for (let i = 0; ; i++) {
      const name = names[i];
      if (name === undefined || name.length === 0) return atRoot(directory);
      const rest = names.length - i - 1;
      const wantsDirectory = rest === 1 && names[i + 1]?.length === 0;
      const isLast = rest === 0 || wantsDirectory;
      this.#assertSearchable(directory);
      const kind = kindOf(name);
      if (isLast && parentOnly) {
        return { directory, name, kind, wantsDirectory, trail, found: undefined };
      }
      if (forFile && wantsDirectory)
        throw new FsError('EISDIR', 'a file does not end with a slash');
      const answer = this.find({ directory, name });
      const found = answer instanceof Promise ? ((yield answer) as Attributes | undefined) : answer;
      const follows = !isLast || follow === 'all' || (follow === 'slash' && wantsDirectory);
      if (found?.type === 'symlink' && follows) {
        if (++links > LINKS_MAX) throw new FsError('ELOOP', `more than ${LINKS_MAX} links`); // Y2
        const target = yield* now(this.#vfs.readlink(found.ino));
        if (target[0] === SLASH) {
          directory = yield* now(this.#vfs.getattr(ROOT_INO));
          trail = [];
        }
        names = join(split(target), names.slice(i + 1));
        i = -1;
        continue;
      }
      if (isLast) return { directory, name, kind, wantsDirectory, trail, found };
      if (found === undefined) throw absent(name);
      if (kind === 'name') trail.push(name);
      else if (kind === 'dot-dot') trail.pop();
      directory = found;
    }
  }

  /** The directory of a path's last name, which is not looked for. @throws {FsError} as `place` */
  parent(path: Uint8Array): Steps<Parent> {
    return this.place(path, { follow: 'none', parentOnly: true });
  }

  /** What a directory has under a name. @throws {FsError} ENAMETOOLONG */
  find({ directory, name }: Pick<Parent, 'directory' | 'name'>): Answer<Attributes | undefined> {
    if (name.length > NAME_MAX) throw new FsError('ENAMETOOLONG', `${NAME_MAX} bytes at most`);
    return kindOf(name) === 'dot' ? directory : this.#vfs.find(directory.ino, name);
  }

  #assertSearchable(directory: Attributes): void {
    if (directory.type !== 'directory') throw notDirectory(directory.ino);
    this.#user.assertAccess(this.#vfs, directory, WANT_EXECUTE); // Y1
  }

  #namesOf(path: Uint8Array): readonly Uint8Array[] {
    if (path[0] === SLASH) return split(path);
    return [...split(this.#workingDirectory).filter(({ length }) => length > 0), ...split(path)];
  }
}

/** Whoever walks on asks again, and is told of a failure then. */
function late(answer: Promise<unknown>): undefined {
  answer.catch(() => undefined);
  return undefined;
}

/** The names of a path; an empty one at the end for a slash there. */
function split(path: Uint8Array): Uint8Array[] {
  const names: Uint8Array[] = [];
  let start = 0;
  while (start < path.length) {
    const slash = path.indexOf(SLASH, start);
    if (slash === -1) {
      names.push(path.subarray(start));
      return names;
    }
    if (slash > start) names.push(path.subarray(start, slash));
    start = slash + 1;
  }
  if (names.length > 0) names.push(path.subarray(path.length));
  return names;
}

/** Names before others; a slash at the end of the first says nothing that the others do not. */
function join(first: Uint8Array[], then: readonly Uint8Array[]): Uint8Array[] {
  if (then.length > 0 && first.at(-1)?.length === 0) first.pop();
  return [...first, ...then];
}

function kindOf(name: Uint8Array): Place['kind'] {
  if (name[0] !== DOT || name.length > 2) return 'name';
  if (name.length === 1) return 'dot';
  return name[1] === DOT ? 'dot-dot' : 'name';
}

function atRoot(root: Attributes): Place {
  const name = Buffer.from('.');
  return { directory: root, name, kind: 'root', wantsDirectory: false, found: root, trail: [] };
}

/** What is at a place. @throws {FsError} ENOENT, ENOTDIR when it has to be a directory */
export function foundAt({ found, wantsDirectory, name }: Place): Attributes {
  if (found === undefined) throw absent(name);
  if (wantsDirectory && found.type !== 'directory') throw notDirectory(found.ino);
  return found;
}

/** The error for a name that is not there. */
export function absent(name: Uint8Array): FsError {
  return new FsError('ENOENT', `there is no ${JSON.stringify(Buffer.from(name).toString())}`);
}

/** The error for a directory's operation on something else. */
export function notDirectory(ino: number): FsError {
  return new FsError('ENOTDIR', `inode ${ino} is no directory`);
}
