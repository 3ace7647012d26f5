/**
 * Inodes: making them and letting them go. What has no name and is not open is shortened to nothing in
 * steps and its number given back; a crash in between leaves an orphan, which the next opening for
 * writing finishes.
 */
import {
  FLAG_EXTENTS,
  INO_LOST_FOUND,
  TYPE_DIRECTORY,
  TYPE_FILE,
  TYPE_MASK,
  TYPE_SYMLINK,
} from './disk/inode-record.js';
import { FsError } from './errors.js';
import { ExtentTree } from './extent-tree.js';
import { FILE_BLOCKS_MAX } from './extent-walk.js';
import type { FileData } from './file-data.js';
import type { Image } from './image.js';
import type { Inode } from './inode.js';
import type { OpenInodes } from './open-inodes.js';
import { type Answer, type NewInode, ROOT_INO } from './vfs.js';
import { dropXattrBlock } from './xattr.js';

/** See the head of the file. */
export class Inodes {
  readonly #image: Image;
  readonly #data: FileData;
  readonly #open: OpenInodes;
  /** Work in steps that is under way: a freeze waits for it. */
  readonly steps: Set<Promise<void>> = new Set<Promise<void>>();

  constructor(image: Image, data: FileData, open: OpenInodes) {
    this.#image = image;
    this.#data = data;
    this.#open = open;
  }

  /** The inode, which has names or is open. @throws {FsError} ENOENT, EIO */
  get(ino: number): Inode {
    const { firstInode } = this.#image.geometry;
    const inode = this.#image.record(ino);
    const isReserved = ino < firstInode && ino !== ROOT_INO && ino !== INO_LOST_FOUND;
    if (isReserved || inode.mode === 0 || (inode.links === 0 && !this.#open.isOpen(ino))) {
      throw new FsError('ENOENT', `there is no inode ${ino}`);
    }
    if (inode.type === undefined) {
      throw new FsError('EIO', `inode ${ino} is of no type: mode ${inode.mode}`);
    }
    return inode;
  }

  /** @throws {FsError} ENOTDIR */
  directory(ino: number): Inode {
    const inode = this.get(ino);
    if (!inode.isDirectory) throw new FsError('ENOTDIR', `inode ${ino} is no directory`);
    return inode;
  }

  /** @throws {FsError} EISDIR, EINVAL */
  file(ino: number): Inode {
    const inode = this.get(ino);
    if (inode.isDirectory) throw new FsError('EISDIR', `inode ${ino} is a directory`);
    if (!inode.isFile) throw new FsError('EINVAL', `inode ${ino} is a ${inode.type}`);
    return inode;
  }

  /** Makes an inode without names. `mode` has the type too. */
  make(parent: Inode, mode: number, wanted: Omit<NewInode, 'mode'>): Inode {
    const { core, space, geometry } = this.#image;
    const type = mode & TYPE_MASK;
    const isDirectory = type === TYPE_DIRECTORY;
    const ino = space.takeInode(parent.ino, isDirectory);
    const inode = this.#image.record(ino, true).edit();
    const generation = (inode.generation + 1) >>> 0;
    inode.block.bytes.fill(0, inode.at, inode.at + inode.size);
    inode.generation = generation;
    inode.extraSize = geometry.extraSize;
    const inheritsGroup = (parent.mode & 0o2000) !== 0;
    inode.mode = isDirectory && inheritsGroup ? mode | 0o2000 : mode;
    inode.uid = wanted.uid ?? 0;
    inode.gid = inheritsGroup ? parent.gid : (wanted.gid ?? 0);
    inode.stamp(core.now(), { born: true });
    if (type === TYPE_FILE || isDirectory || type === TYPE_SYMLINK) {
      inode.flags = FLAG_EXTENTS;
      ExtentTree.init(inode);
    }
    return inode;
  }

  /** Takes one name from an inode's count; with the last it goes, or becomes an orphan (P1). */
  unlinked(inode: Inode): void {
    inode.edit().links = inode.isDirectory ? 0 : inode.links - 1;
    inode.stamp(this.#image.core.now());
    if (inode.links > 0 || (!this.#open.isOpen(inode.ino) && this.shrinkToNothing(inode))) return;
    this.#open.add(inode);
  }

  /** Lets an orphan go, if it is not open: as a part of the operation as far as it can, then in steps. */
  letGo(ino: number): Answer<void> {
    return this.inSteps(() => {
      const inode = this.#image.record(ino);
      if (inode.links > 0 || this.#open.isOpen(ino) || !this.#open.orphans.includes(ino))
        return true;
      return this.shrinkToNothing(inode);
    });
  }

  /** One step of letting an orphan go; true when it is gone. For use inside an operation. */
  shrinkToNothing(inode: Inode): boolean {
    if (!this.#data.cut(inode, 0, FILE_BLOCKS_MAX)) return false;
    dropXattrBlock(this.#image, inode);
    this.#open.remove(inode);
    inode.edit().bytes = 0;
    inode.dtime = Math.floor(this.#image.core.now() / 1000) % 2 ** 32;
    this.#image.space.giveInode(inode.ino, inode.isDirectory);
    return true;
  }

  /** Finishes the orphans that a crash left. */
  async finishOrphans(): Promise<void> {
    for (const ino of [...this.#open.orphans]) {
      await this.inSteps(() => {
        const inode = this.#image.record(ino);
        if (inode.links === 0) return this.shrinkToNothing(inode);
        return this.shorten(inode);
      });
    }
  }

  /** Sets a file's size; what is beyond goes in steps. `find` is asked in each operation. */
  resize(find: () => Inode, size: number): Answer<void> {
    if (size > this.#data.limit)
      throw new FsError('EFBIG', `a file has ${this.#data.limit} at most`);
    let isFirst = true;
    return this.inSteps(() => {
      const inode = find();
      if (!isFirst) return this.shorten(inode);
      if (!inode.hasExtents) {
        throw new FsError('EOPNOTSUPP', `inode ${inode.ino} has no extents: it can only be read`);
      }
      const shrinks = size < inode.bytes;
      inode.edit().bytes = size;
      inode.stamp(this.#image.core.now(), { modified: true });
      let done = true;
      if (shrinks) {
        const { blockSize } = this.#image.geometry;
        this.#open.add(inode);
        done = this.shorten(inode);
        const end = Math.ceil(size / blockSize) * blockSize;
        this.#data.zero(inode, size, end); // W1, and last: it changes data that stays.
      }
      isFirst = false;
      return done;
    });
  }

  /** One step of giving back what lies behind a file's end; true when all is. */
  shorten(inode: Inode): boolean {
    const from = Math.ceil(inode.bytes / this.#image.geometry.blockSize);
    if (!this.#data.cut(inode, from, FILE_BLOCKS_MAX)) return false;
    this.#open.remove(inode);
    return true;
  }

  /**
   * Runs a step as an operation again and again until it answers true. From the moment that one has
   * left something for the next, a freeze waits for the last; before, this waits for the thaw.
   */
  inSteps(step: () => boolean): Answer<void> {
    const { core } = this.#image;
    let end: (() => void) | undefined;
    const body = (): boolean => {
      const isDone = step();
      // Nothing throws from here on: the operation was good.
      if (!isDone && end === undefined) {
        const token = new Promise<void>((resolve) => {
          end = resolve;
        });
        this.steps.add(token);
        void token.then(() => this.steps.delete(token));
      }
      return isDone;
    };
    const first = core.change(body);
    if (first === true) return undefined;
    return (async () => {
      try {
        for (let isDone = await first; !isDone; ) isDone = await core.change(body, true);
      } finally {
        end?.();
      }
    })();
  }
}
