/**
 * FileSystem: an open image as a Vfs. Here operations are run, events are told, and what goes in steps
 * is driven; what they do is in names.ts, file-data.ts, inodes.ts and xattr.ts.
 */
import type { Core } from './core.js';
import { FileSpace } from './file-space.js';
import { Freezer } from './freezer.js';
import { Operations } from './operations.js';
import type { FileSystemParts, OpenReport } from './parts.js';
import { readTarget } from './symlink.js';
import { type UsedRange, usedRanges } from './used-blocks.js';
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
import { getXattr, listXattrs, removeXattr, setXattr } from './xattr-values.js';

/** See the head of the file. */
export class FileSystem implements Vfs {
  /** How it was opened. */
  readonly report: OpenReport;
  readonly #core: Core;
  readonly #parts: FileSystemParts;
  readonly #run: Operations;
  readonly #freezer: Freezer;
  readonly #space: FileSpace;

  constructor(parts: FileSystemParts) {
    this.#parts = parts;
    this.#core = parts.image.core;
    this.report = parts.report;
    this.#run = new Operations(parts);
    this.#freezer = new Freezer(parts);
    this.#space = new FileSpace(parts.image, parts.data, parts.inodes);
  }

  get readOnly(): boolean {
    return this.#core.journal === undefined || this.#core.failure !== undefined;
  }

  lookup(parent: number, name: Uint8Array): Answer<number> {
    return this.#run.read(() => this.#parts.names.lookup(parent, name));
  }

  find(parent: number, name: Uint8Array): Answer<Attributes | undefined> {
    return this.#run.read(() => {
      const ino = this.#parts.names.find(parent, name);
      return ino === undefined ? undefined : this.#parts.inodes.get(ino).attributes();
    });
  }

  getattr(ino: number): Answer<Attributes> {
    return this.#run.read(() => this.#parts.inodes.get(ino).attributes());
  }

  setattr(ino: number, changes: AttributeChanges): Answer<Attributes> {
    const { size } = changes;
    if (size === undefined) return this.#setattr(ino, changes);
    const { inodes } = this.#parts;
    this.#run.assertOpen(size);
    const resized = inodes.resize(() => inodes.file(ino), size);
    this.#run.scheduleCommit();
    const then = (): Answer<Attributes> => {
      this.#run.tell({ kind: 'data', ino });
      return this.#setattr(ino, changes);
    };
    return resized === undefined ? then() : resized.then(then);
  }

  create(parent: number, name: Uint8Array, inode: NewInode): Answer<number> {
    return this.#make(() => this.#parts.names.create(parent, name, inode), parent, name);
  }

  mkdir(parent: number, name: Uint8Array, inode: NewInode): Answer<number> {
    return this.#make(() => this.#parts.names.mkdir(parent, name, inode), parent, name);
  }

  mknod(
    parent: number,
    name: Uint8Array,
    inode: NewInode & { readonly type: FileType; readonly rdev?: number },
  ): Answer<number> {
    return this.#make(() => this.#parts.names.mknod(parent, name, inode), parent, name);
  }

  symlink(
    parent: number,
    name: Uint8Array,
    target: Uint8Array,
    inode: Omit<NewInode, 'mode'>,
  ): Answer<number> {
    return this.#make(() => this.#parts.names.symlink(parent, name, target, inode), parent, name);
  }

  readlink(ino: number): Answer<Uint8Array> {
    return this.#run.read(() => readTarget(this.#parts.image, this.#parts.inodes.get(ino)));
  }

  link(ino: number, parent: number, name: Uint8Array): Answer<void> {
    return this.#run.change(
      () => this.#parts.names.link(ino, parent, name),
      () => ({ kind: 'create', ino, parent, name }),
    );
  }

  unlink(parent: number, name: Uint8Array): Answer<void> {
    return this.#remove(() => this.#parts.names.unlink(parent, name), parent, name);
  }

  rmdir(parent: number, name: Uint8Array): Answer<void> {
    return this.#remove(() => this.#parts.names.rmdir(parent, name), parent, name);
  }

  rename(
    oldParent: number,
    oldName: Uint8Array,
    parent: number,
    name: Uint8Array,
    options: RenameOptions = {},
  ): Answer<void> {
    const result = this.#run.change(
      () => this.#parts.renaming.rename(oldParent, oldName, parent, name, options),
      ({ moved }) => ({ kind: 'rename', ino: moved, parent, name, oldParent, oldName }),
    );
    const then = ({ replaced }: { replaced: number | undefined }): Answer<void> =>
      replaced === undefined ? undefined : this.#run.gone(replaced);
    return result instanceof Promise ? result.then(then) : then(result);
  }

  open(ino: number): Answer<void> {
    return this.#run.read(() => {
      this.#parts.inodes.get(ino);
      this.#parts.open.open(ino);
    });
  }

  release(ino: number): Answer<void> {
    this.#run.assertOpen();
    const { open } = this.#parts;
    if (!open.release(ino) || !open.orphans.includes(ino) || this.readOnly) return undefined;
    return this.#run.gone(ino);
  }

  read(ino: number, target: Uint8Array, offset: number): Answer<number> {
    this.#run.assertOpen(offset);
    return this.#parts.reader.read(() => this.#parts.inodes.file(ino), target, offset);
  }

  write(ino: number, source: Uint8Array, offset: number): Answer<void> {
    this.#run.assertOpen(offset);
    if (source.length === 0) {
      return this.#run.read(() => {
        this.#parts.inodes.file(ino);
      });
    }
    this.#run.scheduleCommit();
    const result = this.#parts.data.write(() => this.#parts.inodes.file(ino), source, offset);
    return this.#run.afterData(result, ino);
  }

  fallocate(
    ino: number,
    offset: number,
    length: number,
    { keepSize = false }: { readonly keepSize?: boolean } = {},
  ): Answer<void> {
    this.#run.assertOpen(offset, length);
    this.#run.scheduleCommit();
    return this.#run.afterData(this.#space.allocate(ino, offset, length, keepSize), ino);
  }

  punchHole(ino: number, offset: number, length: number): Answer<void> {
    this.#run.assertOpen(offset, length);
    this.#run.scheduleCommit();
    return this.#run.afterData(this.#space.punch(ino, offset, length), ino);
  }

  seek(ino: number, offset: number, what: 'data' | 'hole'): Answer<number> {
    this.#run.assertOpen(offset);
    return this.#run.read(() => this.#space.seek(ino, offset, what));
  }

  readdir(ino: number, cookie: number, limit: number): Answer<readonly DirectoryEntry[]> {
    this.#run.assertOpen(cookie);
    return this.#run.read(() =>
      this.#parts.directories.list(this.#parts.inodes.directory(ino), cookie, limit),
    );
  }

  getXattr(ino: number, name: string): Answer<Uint8Array> {
    return this.#run.read(() => getXattr(this.#parts.image, this.#parts.inodes.get(ino), name));
  }

  setXattr(
    ino: number,
    name: string,
    value: Uint8Array,
    mode?: 'create' | 'replace',
  ): Answer<void> {
    return this.#run.change(
      () => setXattr(this.#parts.image, this.#parts.inodes.get(ino), name, value, mode),
      () => ({ kind: 'attributes', ino }),
    );
  }

  listXattrs(ino: number): Answer<readonly string[]> {
    return this.#run.read(() => listXattrs(this.#parts.image, this.#parts.inodes.get(ino)));
  }

  removeXattr(ino: number, name: string): Answer<void> {
    return this.#run.change(
      () => removeXattr(this.#parts.image, this.#parts.inodes.get(ino), name),
      () => ({ kind: 'attributes', ino }),
    );
  }

  async fsync(ino: number): Promise<void> {
    await this.#run.read(() => this.#parts.inodes.get(ino));
    await this.sync();
  }

  async sync(): Promise<void> {
    this.#run.assertOpen();
    this.#core.assertWorking();
    if (this.#core.journal !== undefined) await this.#core.commit();
  }

  statfs(): Answer<FsStatistics> {
    return this.#run.read(() => this.#parts.image.statistics());
  }

  /** The ranges of the device in use, in order. Exact while frozen. */
  usedBlocks(): Answer<readonly UsedRange[]> {
    return this.#run.read(() => usedRanges(this.#parts.image));
  }

  freeze(options: FreezeOptions = {}): Promise<void> {
    this.#run.assertOpen();
    return this.#freezer.freeze(options);
  }

  thaw(): Promise<void> {
    return this.#freezer.thaw();
  }

  watch(listener: (event: FsEvent) => void): () => void {
    return this.#run.watch(listener);
  }

  async close(): Promise<void> {
    if (this.#run.isClosed) return;
    await this.thaw();
    try {
      if (!this.readOnly) await this.#freezer.freeze({});
    } finally {
      this.#run.close();
      this.#core.fail(new Error('the file system is closed')); // For those that wait for the thaw.
      await this.thaw();
      if (this.#parts.closeDevice) await this.#core.device.close();
    }
  }

  #setattr(ino: number, changes: AttributeChanges): Answer<Attributes> {
    const { size: _done, ...rest } = changes;
    if (Object.values(rest).every((value) => value === undefined)) return this.getattr(ino);
    return this.#run.change(
      () => {
        const inode = this.#parts.inodes.get(ino).edit();
        inode.change(rest, this.#core.now());
        return inode.attributes();
      },
      () => ({ kind: 'attributes', ino }),
    );
  }

  #remove(body: () => number, parent: number, name: Uint8Array): Answer<void> {
    const gone = this.#run.change(body, (ino) => ({ kind: 'remove', ino, parent, name }));
    return this.#run.gone(gone);
  }

  #make(body: () => number, parent: number, name: Uint8Array): Answer<number> {
    return this.#run.change(body, (ino) => ({ kind: 'create', ino, parent, name }));
  }
}
