/**
 * FileSystem: an open image as a Vfs. Here operations are run, events are told, and what goes in steps
 * is driven; what they do is in names.ts, file-data.ts, inodes.ts and xattr.ts.
 *
 *   Z1  A freeze lets what has begun in steps end, commits, brings everything home and only then says
 *       that the image is clean; until the thaw nothing changes.
 */
import type { Core, Run } from './core.js';
import type { Directories } from './directories.js';
import { FsError } from './errors.js';
import { type FileData, inlineContent, isShortSymlink } from './file-data.js';
import type { Image } from './image.js';
import type { Inode } from './inode.js';
import type { Inodes } from './inodes.js';
import type { Names } from './names.js';
import type { OpenInodes } from './open-inodes.js';
import { markRecovery, type SuperState } from './super-state.js';
import type {
  Answer,
  AttributeChanges,
  Attributes,
  DirectoryEntry,
  FileType,
  FreezeOptions,
  FsEvent,
  FsStatistics,
  NewInode,
  RenameOptions,
  Vfs,
} from './vfs.js';
import { readXattrs, splitName, writeXattrs } from './xattr.js';

/** Calls back once after so many milliseconds, unless the answered function is called before. */
export type Timer = (callback: () => void, milliseconds: number) => () => void;

/** How a file system came to be open. */
export interface OpenReport {
  /** Transactions that the journal held. */
  readonly replayed: number;
  /** Why it is read-only, if it is. */
  readonly readOnlyReason: string | undefined;
  /** Files that a crash left to be removed or shortened. */
  readonly orphans: number;
}

/** The parts of an open image. */
export interface FileSystemParts {
  readonly image: Image;
  readonly inodes: Inodes;
  readonly names: Names;
  readonly directories: Directories;
  readonly data: FileData;
  readonly open: OpenInodes;
  readonly superState: SuperState;
  readonly report: OpenReport;
  readonly timer: Timer | undefined;
  readonly commitMs: number;
  readonly closeDevice: boolean;
}

const PREFIX_HIDDEN = 'system.data';

/** See the head of the file. */
export class FileSystem implements Vfs {
  /** How it was opened. */
  readonly report: OpenReport;
  readonly #core: Core;
  readonly #parts: FileSystemParts;
  readonly #listeners = new Set<(event: FsEvent) => void>();
  #thaw: (() => void) | undefined;
  #stopDeadline: (() => void) | undefined;
  #stopCommit: (() => void) | undefined;
  #isClosed = false;

  constructor(parts: FileSystemParts) {
    this.#parts = parts;
    this.#core = parts.image.core;
    this.report = parts.report;
    const { space } = parts.image;
    this.#core.listener = {
      settled: () => {
        space.settle();
        parts.open.settle();
        parts.directories.settle();
      },
      undone: () => {
        space.undo();
        parts.open.undo();
        parts.directories.undo();
      },
      released: (runs: readonly Run[]) => space.release(runs),
      closing: () => parts.superState.close(space.freeBlocks, space.freeInodes, this.#core.now()),
    };
  }

  get readOnly(): boolean {
    return this.#core.journal === undefined || this.#core.failure !== undefined;
  }

  lookup(parent: number, name: Uint8Array): Answer<number> {
    return this.#read(() => this.#parts.names.lookup(parent, name));
  }

  getattr(ino: number): Answer<Attributes> {
    return this.#read(() => this.#parts.inodes.get(ino).attributes());
  }

  setattr(ino: number, changes: AttributeChanges): Answer<Attributes> {
    const { size } = changes;
    if (size === undefined) return this.#setattr(ino, changes);
    assertSize(size);
    const { inodes } = this.#parts;
    this.#assertOpen();
    const resized = inodes.resize(() => inodes.file(ino), size);
    this.#scheduleCommit();
    const then = (): Answer<Attributes> => {
      this.#tell({ kind: 'data', ino });
      return this.#setattr(ino, changes);
    };
    return resized === undefined ? then() : resized.then(then);
  }

  create(parent: number, name: Uint8Array, inode: NewInode): Answer<number> {
    return this.#change(
      () => this.#parts.names.create(parent, name, inode),
      (ino) => ({ kind: 'create', ino, parent, name }),
    );
  }

  mkdir(parent: number, name: Uint8Array, inode: NewInode): Answer<number> {
    return this.#change(
      () => this.#parts.names.mkdir(parent, name, inode),
      (ino) => ({ kind: 'create', ino, parent, name }),
    );
  }

  mknod(
    parent: number,
    name: Uint8Array,
    inode: NewInode & { readonly type: FileType; readonly rdev?: number },
  ): Answer<number> {
    return this.#change(
      () => this.#parts.names.mknod(parent, name, inode),
      (ino) => ({ kind: 'create', ino, parent, name }),
    );
  }

  symlink(
    parent: number,
    name: Uint8Array,
    target: Uint8Array,
    inode: Omit<NewInode, 'mode'>,
  ): Answer<number> {
    return this.#change(
      () => this.#parts.names.symlink(parent, name, target, inode),
      (ino) => ({ kind: 'create', ino, parent, name }),
    );
  }

  readlink(ino: number): Answer<Uint8Array> {
    return this.#read(() => {
      const inode = this.#parts.inodes.get(ino);
      if (!inode.isSymlink) throw new FsError('EINVAL', `inode ${ino} is no symbolic link`);
      return this.#target(inode);
    });
  }

  link(ino: number, parent: number, name: Uint8Array): Answer<void> {
    return this.#change(
      () => this.#parts.names.link(ino, parent, name),
      () => ({ kind: 'create', ino, parent, name }),
    );
  }

  unlink(parent: number, name: Uint8Array): Answer<void> {
    return this.#gone(
      this.#change(
        () => this.#parts.names.unlink(parent, name),
        (ino) => ({ kind: 'remove', ino, parent, name }),
      ),
    );
  }

  rmdir(parent: number, name: Uint8Array): Answer<void> {
    return this.#gone(
      this.#change(
        () => this.#parts.names.rmdir(parent, name),
        (ino) => ({ kind: 'remove', ino, parent, name }),
      ),
    );
  }

  rename(
    oldParent: number,
    oldName: Uint8Array,
    parent: number,
    name: Uint8Array,
    options: RenameOptions = {},
  ): Answer<void> {
    const result = this.#change(
      () => this.#parts.names.rename(oldParent, oldName, parent, name, options),
      ({ moved }) => ({ kind: 'rename', ino: moved, parent, name, oldParent, oldName }),
    );
    const then = (replaced: number | undefined): Answer<void> =>
      replaced === undefined ? undefined : this.#gone(replaced);
    return result instanceof Promise
      ? result.then(({ replaced }) => then(replaced))
      : then(result.replaced);
  }

  open(ino: number): Answer<void> {
    return this.#read(() => {
      this.#parts.inodes.get(ino);
      this.#parts.open.open(ino);
    });
  }

  release(ino: number): Answer<void> {
    this.#assertOpen();
    const { open } = this.#parts;
    if (!open.release(ino) || !open.orphans.includes(ino) || this.readOnly) return undefined;
    return this.#gone(ino);
  }

  read(ino: number, target: Uint8Array, offset: number): Answer<number> {
    assertSize(offset);
    this.#assertOpen();
    return this.#parts.data.read(() => this.#parts.inodes.file(ino), target, offset);
  }

  write(ino: number, source: Uint8Array, offset: number): Answer<void> {
    assertSize(offset);
    this.#assertOpen();
    if (source.length === 0) {
      return this.#read(() => {
        this.#parts.inodes.file(ino);
      });
    }
    this.#scheduleCommit();
    const result = this.#parts.data.write(() => this.#parts.inodes.file(ino), source, offset);
    return this.#afterData(result, ino);
  }

  fallocate(
    ino: number,
    offset: number,
    length: number,
    { keepSize = false }: { readonly keepSize?: boolean } = {},
  ): Answer<void> {
    assertSize(offset);
    assertSize(length);
    if (length === 0) throw new FsError('EINVAL', 'a length of 0');
    const { data, image } = this.#parts;
    if (offset + length > data.limit)
      throw new FsError('EFBIG', `a file has ${data.limit} at most`);
    const { blockSize } = image.geometry;
    const to = Math.ceil((offset + length) / blockSize);
    return this.#steps(ino, Math.floor(offset / blockSize), to, (inode, at) => {
      const stop = data.allocate(inode, at, to);
      if (stop === to && !keepSize) inode.bytes = Math.max(inode.bytes, offset + length);
      inode.stamp(this.#core.now(), { modified: !keepSize });
      return stop;
    });
  }

  punchHole(ino: number, offset: number, length: number): Answer<void> {
    assertSize(offset);
    assertSize(length);
    if (length === 0) throw new FsError('EINVAL', 'a length of 0');
    const { data, image } = this.#parts;
    const { blockSize } = image.geometry;
    const first = Math.ceil(offset / blockSize);
    const end = offset + length;
    const to = Math.max(first, Math.floor(end / blockSize));
    return this.#steps(ino, first, to, (inode, at) => {
      if (!inode.hasExtents) throw new FsError('EOPNOTSUPP', `inode ${ino} has no extents`);
      const isDone = first === to || data.cut(inode, at, to);
      inode.edit().stamp(this.#core.now(), { modified: true });
      if (!isDone) return at;
      data.zero(inode, offset, Math.min(end, first * blockSize));
      if (to * blockSize >= offset) data.zero(inode, Math.max(offset, to * blockSize), end);
      return to;
    });
  }

  seek(ino: number, offset: number, what: 'data' | 'hole'): Answer<number> {
    assertSize(offset);
    return this.#read(() => {
      const inode = this.#parts.inodes.file(ino);
      const found = offset < inode.bytes ? this.#parts.data.seek(inode, offset, what) : undefined;
      if (found !== undefined) return found;
      if (offset < inode.bytes && what === 'hole') return inode.bytes;
      throw new FsError('ENXIO', `inode ${ino} has no ${what} at or after ${offset}`);
    });
  }

  readdir(ino: number, cookie: number, limit: number): Answer<readonly DirectoryEntry[]> {
    assertSize(cookie);
    return this.#read(() =>
      this.#parts.directories.list(this.#parts.inodes.directory(ino), cookie, limit),
    );
  }

  getXattr(ino: number, name: string): Answer<Uint8Array> {
    return this.#read(() => {
      const value = readXattrs(this.#parts.image, this.#parts.inodes.get(ino)).get(name);
      if (value === undefined || name === PREFIX_HIDDEN) throw noXattr(ino, name);
      return value;
    });
  }

  setXattr(
    ino: number,
    name: string,
    value: Uint8Array,
    mode?: 'create' | 'replace',
  ): Answer<void> {
    return this.#change(
      () => {
        splitName(name);
        if (value.length > 65_536) throw new FsError('ERANGE', 'an xattr has 64 KiB at most');
        const inode = this.#parts.inodes.get(ino);
        const values = readXattrs(this.#parts.image, inode);
        if (mode === 'create' && values.has(name)) {
          throw new FsError('EEXIST', `inode ${ino} has ${name}`);
        }
        if (mode === 'replace' && !values.has(name)) throw noXattr(ino, name);
        values.set(name, value.slice());
        writeXattrs(this.#parts.image, inode, values);
        inode.stamp(this.#core.now());
      },
      () => ({ kind: 'attributes', ino }),
    );
  }

  listXattrs(ino: number): Answer<readonly string[]> {
    return this.#read(() =>
      [...readXattrs(this.#parts.image, this.#parts.inodes.get(ino)).keys()].filter(
        (name) => name !== PREFIX_HIDDEN,
      ),
    );
  }

  removeXattr(ino: number, name: string): Answer<void> {
    return this.#change(
      () => {
        const inode = this.#parts.inodes.get(ino);
        const values = readXattrs(this.#parts.image, inode);
        if (!values.delete(name)) throw noXattr(ino, name);
        writeXattrs(this.#parts.image, inode, values);
        inode.stamp(this.#core.now());
      },
      () => ({ kind: 'attributes', ino }),
    );
  }

  async fsync(ino: number): Promise<void> {
    await this.#read(() => this.#parts.inodes.get(ino));
    await this.sync();
  }

  async sync(): Promise<void> {
    this.#assertOpen();
    this.#core.assertWorking();
    if (this.#core.journal === undefined) return;
    await this.#core.commit();
  }

  statfs(): Answer<FsStatistics> {
    return this.#read(() => {
      const { geometry, space } = this.#parts.image;
      // What the format itself takes: bitmaps, tables, descriptors.
      const perGroup =
        2 + Math.ceil((geometry.inodesPerGroup * geometry.inodeSize) / geometry.blockSize);
      const overhead = perGroup * geometry.groups + geometry.descriptorBlocks + 1;
      const freeBlocks = Math.max(0, space.freeBlocks);
      return {
        blockSize: geometry.blockSize,
        blocks: Math.max(freeBlocks, geometry.blocks - overhead),
        freeBlocks,
        inodes: geometry.inodes,
        freeInodes: Math.max(0, space.freeInodes),
        uuid: geometry.uuid.slice(),
        label: geometry.label,
      };
    });
  }

  async freeze({ deadlineMs }: FreezeOptions = {}): Promise<void> {
    this.#assertOpen();
    if (this.#thaw !== undefined) throw new FsError('EBUSY', 'the file system is frozen already');
    const thaw = this.#core.close();
    this.#thaw = thaw;
    try {
      await this.#makeClean();
    } catch (error) {
      await this.thaw();
      throw error;
    }
    if (deadlineMs !== undefined) {
      this.#stopDeadline = this.#parts.timer?.(() => void this.thaw(), deadlineMs);
    }
  }

  async thaw(): Promise<void> {
    this.#stopDeadline?.();
    this.#stopDeadline = undefined;
    const thaw = this.#thaw;
    this.#thaw = undefined;
    thaw?.();
  }

  watch(listener: (event: FsEvent) => void): () => void {
    const own = (event: FsEvent): void => listener(event);
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#stopCommit?.();
    await this.thaw();
    try {
      if (this.#core.journal !== undefined && this.#core.failure === undefined) {
        this.#core.close();
        await this.#makeClean();
      }
    } finally {
      this.#isClosed = true;
      if (this.#parts.closeDevice) await this.#core.device.close();
    }
  }

  /** Z1: everything home, and the image marked clean. */
  async #makeClean(): Promise<void> {
    const { journal, device } = this.#core;
    if (journal === undefined) return;
    while (this.#parts.inodes.steps.size > 0) {
      await Promise.allSettled([...this.#parts.inodes.steps]);
    }
    while (!this.#core.isIdle) await this.#core.commit();
    await this.#core.alone(async () => {
      try {
        await journal.checkpoint();
        await markRecovery(device, this.#parts.image.geometry.blockSize, false);
        await device.flush();
      } catch (error) {
        this.#core.fail(error);
        throw new FsError('EIO', 'the image could not be made clean', { cause: error });
      }
    });
  }

  #setattr(ino: number, changes: AttributeChanges): Answer<Attributes> {
    const { mode, uid, gid, atime, mtime } = changes;
    const hasMore = [mode, uid, gid, atime, mtime].some((value) => value !== undefined);
    if (!hasMore) return this.getattr(ino);
    return this.#change(
      () => {
        const inode = this.#parts.inodes.get(ino).edit();
        if (mode !== undefined) inode.mode = inode.typeBits | (mode & 0o7777);
        if (uid !== undefined) inode.uid = uid;
        if (gid !== undefined) inode.gid = gid;
        inode.stamp(this.#core.now());
        if (atime !== undefined) inode.setAtime(atime);
        if (mtime !== undefined) inode.setMtime(mtime);
        return inode.attributes();
      },
      () => ({ kind: 'attributes', ino }),
    );
  }

  #target(inode: Inode): Uint8Array {
    const { image } = this.#parts;
    const { bytes } = inode;
    if (inode.hasInlineData) return inlineContent(image, inode).slice(0, bytes);
    if (isShortSymlink(inode)) return inode.block.bytes.slice(inode.root, inode.root + bytes);
    const [place] = image.places(inode, 1) as [number];
    return image.core.cache.get(place).bytes.slice(0, bytes);
  }

  /** Runs steps on blocks `from..to` of a file until one answers `to`. */
  #steps(
    ino: number,
    from: number,
    to: number,
    step: (inode: Inode, at: number) => number,
  ): Answer<void> {
    this.#assertOpen();
    this.#scheduleCommit();
    const run = (at: number, isFirst: boolean): Answer<void> => {
      const next = this.#core.change(() => step(this.#parts.inodes.file(ino), at), !isFirst);
      const go = (stop: number): Answer<void> =>
        // Cutting answers where it began: what is left is found from there.
        stop >= to ? undefined : Promise.resolve().then(() => run(stop, false));
      return next instanceof Promise ? next.then(go) : go(next);
    };
    return this.#afterData(this.#track(run(from, true)), ino);
  }

  #track(work: Answer<void>): Answer<void> {
    if (work === undefined) return undefined;
    const { steps } = this.#parts.inodes;
    const tracked: Promise<void> = work.finally(() => steps.delete(tracked));
    steps.add(tracked);
    return tracked;
  }

  #afterData(result: Answer<void>, ino: number): Answer<void> {
    if (this.#listeners.size === 0) return result;
    const then = (): void => this.#tell({ kind: 'data', ino });
    return result === undefined ? then() : result.then(then);
  }

  /** Lets an inode go that has lost a name, if that was the last and nobody has it open. */
  #gone(ino: Answer<number>): Answer<void> {
    const go = (gone: number): Answer<void> => {
      const { open, inodes, directories } = this.#parts;
      directories.forget(gone);
      if (!open.orphans.includes(gone) || open.isOpen(gone)) return undefined;
      return inodes.letGo(gone);
    };
    return ino instanceof Promise ? ino.then(go) : go(ino);
  }

  #read<T>(body: () => T): Answer<T> {
    this.#assertOpen();
    return this.#core.read(body);
  }

  #change<T>(body: () => T, event: (result: T) => FsEvent): Answer<T> {
    this.#assertOpen();
    const result = this.#core.change(body);
    this.#scheduleCommit();
    if (this.#listeners.size === 0) return result;
    if (!(result instanceof Promise)) {
      this.#tell(event(result));
      return result;
    }
    return result.then((value) => {
      this.#tell(event(value));
      return value;
    });
  }

  #tell(event: FsEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  #assertOpen(): void {
    if (this.#isClosed) throw new FsError('ESTALE', 'the file system is closed');
  }

  /** What was changed becomes durable by itself after a while. */
  #scheduleCommit(): void {
    if (this.#stopCommit !== undefined || this.#parts.timer === undefined) return;
    if (this.#core.journal === undefined) return;
    this.#stopCommit = this.#parts.timer(() => {
      this.#stopCommit = undefined;
      // Whoever asks for durability later hears of a failure: it stays.
      this.#core.commit().catch((error: unknown) => error);
    }, this.#parts.commitMs);
  }
}

function noXattr(ino: number, name: string): FsError {
  return new FsError('ENODATA', `inode ${ino} has no xattr ${name}`);
}

function assertSize(value: number): void {
  if (Number.isSafeInteger(value) && value >= 0) return;
  throw new FsError('EINVAL', `${value} is no offset or size`);
}
