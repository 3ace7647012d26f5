/**
 * FileSpace: which parts of a file have blocks: setting space aside, giving it back, and asking. What
 * may be long goes in steps, each an operation of its own.
 */
import { FsError } from './errors.js';
import type { FileData } from './file-data.js';
import type { Image } from './image.js';
import type { Inode } from './inode.js';
import type { Inodes } from './inodes.js';
import type { Answer } from './vfs.js';

/** See the head of the file. */
export class FileSpace {
  readonly #image: Image;
  readonly #data: FileData;
  readonly #inodes: Inodes;

  constructor(image: Image, data: FileData, inodes: Inodes) {
    this.#image = image;
    this.#data = data;
    this.#inodes = inodes;
  }

  /** See `Vfs.fallocate`. */
  allocate(ino: number, offset: number, length: number, keepSize: boolean): Answer<void> {
    if (length === 0) throw new FsError('EINVAL', 'a length of 0');
    const { limit } = this.#data;
    if (offset + length > limit) throw new FsError('EFBIG', `a file has ${limit} bytes at most`);
    const { blockSize } = this.#image.geometry;
    const to = Math.ceil((offset + length) / blockSize);
    return this.#steps(ino, Math.floor(offset / blockSize), to, (inode, at) => {
      const stop = this.#data.allocate(inode, at, to);
      if (stop === to && !keepSize) inode.bytes = Math.max(inode.bytes, offset + length);
      inode.stamp(this.#image.core.now(), { modified: !keepSize });
      return stop;
    });
  }

  /** See `Vfs.punchHole`. */
  punch(ino: number, offset: number, length: number): Answer<void> {
    if (length === 0) throw new FsError('EINVAL', 'a length of 0');
    const { blockSize } = this.#image.geometry;
    const end = offset + length;
    const first = Math.ceil(offset / blockSize);
    const to = Math.max(first, Math.floor(end / blockSize));
    return this.#steps(ino, first, to, (inode, at) => {
      if (!inode.hasExtents) throw new FsError('EOPNOTSUPP', `inode ${ino} has no extents`);
      const isDone = first === to || this.#data.cut(inode, at, to);
      inode.edit().stamp(this.#image.core.now(), { modified: true });
      // What is left to cut is found from the beginning.
      if (!isDone) return at;
      // The ends last: they change data that stays.
      const isWithinOne = Math.floor(offset / blockSize) === Math.floor((end - 1) / blockSize);
      if (isWithinOne && first * blockSize !== offset) {
        this.#data.zero(inode, offset, end);
      } else {
        this.#data.zero(inode, offset, first * blockSize);
        this.#data.zero(inode, to * blockSize, end);
      }
      return to;
    });
  }

  /** See `Vfs.seek`. Runs as an operation. */
  seek(ino: number, offset: number, what: 'data' | 'hole'): number {
    const inode = this.#inodes.file(ino);
    if (offset < inode.bytes) {
      const found = this.#data.seek(inode, offset, what);
      if (found !== undefined) return found;
      if (what === 'hole') return inode.bytes;
    }
    throw new FsError('ENXIO', `inode ${ino} has no ${what} at or after ${offset}`);
  }

  /** Runs steps on blocks `from..to` of a file until one answers `to`. */
  #steps(
    ino: number,
    from: number,
    to: number,
    step: (inode: Inode, at: number) => number,
  ): Answer<void> {
    let at = from;
    return this.#inodes.inSteps(() => {
      at = step(this.#inodes.file(ino), at);
      return at >= to;
    });
  }
}
