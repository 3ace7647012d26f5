/**
 * Directories: the directories whose names are in memory, the least used forgotten first, and what
 * the operation under way did to them.
 */
import { Directory } from './directory.js';
import { FsError } from './errors.js';
import { inlineContent } from './file-read.js';
import type { Image } from './image.js';
import type { Inode } from './inode.js';
import type { DirectoryEntry } from './vfs.js';

/** Names in memory at most, about 100 bytes each. */
const NAMES_MAX = 2_000_000;

/** See the head of the file. */
export class Directories {
  readonly #image: Image;
  readonly #known = new Map<number, Directory>();
  readonly #changed = new Set<Directory>();
  #names = 0;

  constructor(image: Image) {
    this.#image = image;
  }

  /** The names of a directory. Runs as an operation. */
  get(inode: Inode): Directory {
    const known = this.#known.get(inode.ino);
    if (known !== undefined) return known;
    const { blockSize } = this.#image.geometry;
    if (inode.hasInlineData) {
      throw new FsError(
        'EOPNOTSUPP',
        `directory ${inode.ino} lies in its inode: it can only be read`,
      );
    }
    const places = this.#image.places(inode, Math.ceil(inode.bytes / blockSize));
    const directory = Directory.read(this.#image.core, inode, places, (each) => {
      this.#changed.add(each);
    });
    this.#makeRoom(directory.size);
    this.#known.set(inode.ino, directory);
    return directory;
  }

  /** The inode that a name stands for. Runs as an operation. */
  lookup(inode: Inode, key: string): number | undefined {
    if (!inode.hasInlineData) return this.get(inode).lookup(key);
    return this.#inlineEntries(inode).find(
      ({ name }) => Buffer.from(name).toString('latin1') === key,
    )?.ino;
  }

  /** Entries from `cookie` on. Runs as an operation. */
  list(inode: Inode, cookie: number, limit: number): readonly DirectoryEntry[] {
    if (!inode.hasInlineData) return this.get(inode).list(cookie, limit);
    return this.#inlineEntries(inode)
      .filter((entry) => entry.cookie > cookie)
      .slice(0, limit);
  }

  /** Forgets a directory that is gone. */
  forget(ino: number): void {
    const known = this.#known.get(ino);
    if (known === undefined) return;
    this.#known.delete(ino);
    this.#names -= known.size;
  }

  /** The operation under way was good. */
  settle(): void {
    if (this.#changed.size > 0) this.#changed.clear();
  }

  /** The operation under way is undone: what it changed is read again when asked for. */
  undo(): void {
    for (const { ino } of this.#changed) this.#known.delete(ino);
    this.#changed.clear();
    this.#recount();
  }

  #makeRoom(more: number): void {
    this.#recount();
    for (const [ino, directory] of this.#known) {
      if (this.#names + more <= NAMES_MAX) break;
      this.#known.delete(ino);
      this.#names -= directory.size;
    }
    this.#names += more;
  }

  #recount(): void {
    this.#names = 0;
    for (const { size } of this.#known.values()) this.#names += size;
  }

  /** Names in a directory's inode: 4 bytes of the parent, then records, in two pieces. */
  #inlineEntries(inode: Inode): DirectoryEntry[] {
    const content = inlineContent(this.#image, inode);
    const view = new DataView(content.buffer);
    const entry = (text: string, ino: number, cookie: number): DirectoryEntry => ({
      name: new TextEncoder().encode(text),
      ino,
      type: 'directory',
      cookie,
    });
    const found = [entry('.', inode.ino, 1), entry('..', view.getUint32(0, true), 2)];
    for (const [from, to] of [
      [4, 60],
      [60, content.length],
    ] as const) {
      found.push(...Directory.records(content.subarray(from, to), from));
    }
    return found;
  }
}
