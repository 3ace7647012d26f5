/**
 * Listing: the names of a directory in the order of the disk, a batch at a time, each with its type.
 */
import { isFsError } from '../errors.js';
import type { FileType, Vfs } from '../vfs.js';
import { now, type Steps } from './steps.js';
import type { SystemCalls } from './system-calls.js';

/** Names asked for at a time. */
const BATCH = 256;

/** One name. */
export interface ListedName {
  readonly name: Uint8Array;
  readonly type: FileType;
}

/** Names, and where to go on. */
export interface ListedBatch {
  readonly names: readonly ListedName[];
  /** For the next call; undefined at the end. */
  readonly next: number | undefined;
}

/** The names after `cookie`, without dots; 0 is the beginning. */
export function* listBatch(vfs: Vfs, ino: number, cookie: number): Steps<ListedBatch> {
  const entries = yield* now(vfs.readdir(ino, cookie, BATCH));
  const last = entries.at(-1);
  const names: ListedName[] = [];
  for (const { name, ino: child, type } of entries) {
    if (isDots(name)) continue;
    const known = type ?? (yield* typeOf(vfs, child));
    if (known !== undefined) names.push({ name, type: known });
  }
  return { names, next: last?.cookie };
}

/** All names of a directory, without dots. */
export function* listAll(vfs: Vfs, ino: number): Steps<readonly ListedName[]> {
  const all: ListedName[] = [];
  for (let cookie: number | undefined = 0; cookie !== undefined; ) {
    const { names, next }: ListedBatch = yield* listBatch(vfs, ino, cookie);
    all.push(...names);
    cookie = next;
  }
  return all;
}

/** All names of the directory at a path, without dots. */
export function* listPath(
  vfs: Vfs,
  calls: SystemCalls,
  path: Uint8Array,
): Steps<readonly ListedName[]> {
  const ino = yield* calls.openDirectory(path);
  try {
    return yield* listAll(vfs, ino);
  } finally {
    yield* now(vfs.release(ino));
  }
}

/** Undefined for what went meanwhile. */
function* typeOf(vfs: Vfs, ino: number): Steps<FileType | undefined> {
  try {
    return (yield* now(vfs.getattr(ino))).type;
  } catch (error) {
    if (isFsError(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function isDots(name: Uint8Array): boolean {
  return name[0] === 0x2e && (name.length === 1 || (name.length === 2 && name[1] === 0x2e));
}
