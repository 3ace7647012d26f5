/**
 * Copying a file: its content and its permission bits. Holes stay holes. What fails in the middle leaves
 * no half a copy.
 */
import { FsError, isFsError } from '../errors.js';
import type { Caller } from './caller.js';
import { constants } from './constants.js';
import { openInode } from './opening.js';
import { now, type Steps } from './steps.js';
import type { SystemCalls } from './system-calls.js';

const { COPYFILE_EXCL, COPYFILE_FICLONE_FORCE, O_CREAT, O_EXCL, O_RDONLY, O_WRONLY } = constants;

/** Bytes copied at a time. */
const PART = 512 * 1024;

/** @throws {FsError} as `open`; EEXIST with COPYFILE_EXCL; EOPNOTSUPP with COPYFILE_FICLONE_FORCE */
export function* copyFile(
  caller: Caller,
  calls: SystemCalls,
  from: Uint8Array,
  to: Uint8Array,
  mode: number,
): Steps<void> {
  const { vfs } = caller;
  const source = yield* openInode(caller, calls, from, O_RDONLY, 0);
  try {
    const { mode: bits, type, size } = yield* now(vfs.getattr(source));
    const flags = O_WRONLY | O_CREAT | ((mode & COPYFILE_EXCL) === 0 ? 0 : O_EXCL);
    const target = yield* openInode(caller, calls, to, flags, bits);
    try {
      if (target === source) return;
      if ((mode & COPYFILE_FICLONE_FORCE) !== 0)
        throw new FsError('EOPNOTSUPP', 'nothing is shared');
      yield* now(vfs.setattr(target, { size: 0 }));
      const owner = yield* now(vfs.getattr(target));
      yield* now(vfs.setattr(target, calls.modeChange(owner, bits)));
      if (type !== 'file') throw new FsError('EISDIR', 'a directory is not copied as a file');
      yield* copyContent(caller, source, target, size);
    } catch (error) {
      yield* calls.unlink(to);
      throw error;
    } finally {
      yield* now(vfs.release(target));
    }
  } finally {
    yield* now(vfs.release(source));
  }
}

function* copyContent({ vfs }: Caller, source: number, target: number, size: number): Steps<void> {
  const buffer = new Uint8Array(Math.min(PART, size));
  for (let at = 0; at < size; ) {
    const start = yield* seek(vfs, source, at, 'data', size);
    const end = yield* seek(vfs, source, start, 'hole', size);
    for (at = start; at < end; ) {
      const part = buffer.subarray(0, Math.min(PART, end - at));
      const count = yield* now(vfs.read(source, part, at));
      if (count === 0) break; // it was made shorter meanwhile
      yield* now(vfs.write(target, part.subarray(0, count), at));
      at += count;
    }
    at = Math.max(at, end);
  }
  yield* now(vfs.setattr(target, { size }));
}

function* seek(
  vfs: Caller['vfs'],
  ino: number,
  offset: number,
  what: 'data' | 'hole',
  end: number,
): Steps<number> {
  try {
    return Math.min(end, yield* now(vfs.seek(ino, offset, what)));
  } catch (error) {
    if (isFsError(error, 'ENXIO')) return end;
    throw error;
  }
}
