/**
 * Directory: names, as linear records on the device and as a map in memory. The map makes looking up
 * and the search for room independent of the directory's size; the records are the truth.
 *
 *   N1  The map is made from the records when first asked, and follows each change. When an operation
 *       that changed it is undone, it is forgotten.
 *   N2  A record never moves, and its offset is its cookie: going on after a cookie finds the first
 *       record at or behind it, whatever was removed meanwhile.
 *   N3  A hash index lies in records that look unused. Before the first change its flag is cleared,
 *       and its blocks are room like any other.
 */
import { viewOf } from '@palimpsest/bytes';
import type { Block } from './block-cache.js';
import type { Core } from './core.js';
import {
  type DirRecord,
  eachRecord,
  findRecord,
  keyAt,
  nameAt,
  parentOf,
  recordAt,
  recordLength,
  setInode,
  setLength,
  TYPES,
  writeFirstRecords,
  writeRecord,
  writeUnused,
} from './directory-block.js';
import { FLAG_INDEX } from './disk/inode-record.js';
import { FsError } from './errors.js';
import type { Inode } from './inode.js';
import { isOfIndex } from './seals/directory-seal.js';
import { admit, type Seal } from './seals/seal.js';
import type { DirectoryEntry, FileType } from './vfs.js';

/** Directory blocks that an inode number leaves room for beside it in a map's value. */
const BLOCKS_MAX = 2 ** 21;

/** A directory's records and their map in memory. */
export class Directory {
  readonly ino: number;
  /** The device's blocks of the directory. */
  readonly places: number[];
  /** Name to inode number times BLOCKS_MAX plus index of the block. */
  readonly #names = new Map<string, number>();
  /** For each block, at least the longest record that would fit. */
  readonly #room: number[] = [];
  /** The block to try first. */
  #hint = 0;
  /** Where the last name was put: the block's index, and the record's place in it. */
  #lastIndex = -1;
  #lastAt = 0;
  /** Of its blocks; undefined on images without checksums. */
  readonly seal: Seal | undefined;
  readonly #core: Core;
  readonly #changed: (directory: Directory) => void;

  private constructor(
    core: Core,
    inode: Inode,
    places: number[],
    changed: (directory: Directory) => void,
  ) {
    this.#core = core;
    this.#changed = changed;
    this.ino = inode.ino;
    this.places = places;
    this.seal = core.seals?.directory(inode);
  }

  /**
   * Reads all records. Runs as an operation. `changed` hears of each change of the map (N1).
   * @throws {FsError} EIO for damaged ones
   */
  static read(
    core: Core,
    inode: Inode,
    places: number[],
    changed: (directory: Directory) => void,
  ): Directory {
    core.cache.need(places);
    const directory = new Directory(core, inode, places, changed);
    places.forEach((_, index) => {
      let room = 0;
      const block = directory.#block(index);
      eachRecord(block, (record) => {
        room = Math.max(room, record.room);
        if (record.ino === 0) return true;
        const key = keyAt(block, record);
        directory.#names.set(key, record.ino * BLOCKS_MAX + index);
        return true;
      });
      directory.#room.push(room);
    });
    return directory;
  }

  /** The entries of a piece of records outside a block; cookies count from `base`. */
  static records(bytes: Uint8Array, base: number): DirectoryEntry[] {
    const found: DirectoryEntry[] = [];
    if (bytes.length < recordLength(0)) return found;
    const piece = { number: 0, bytes, view: viewOf(bytes) };
    eachRecord(piece, (record) => {
      const { at, ino, length, type } = record;
      if (ino === 0) return true;
      found.push({
        name: nameAt(bytes, record),
        ino,
        type: TYPES[type],
        cookie: base + at + length,
      });
      return true;
    });
    return found;
  }

  /** Names, with `.` and `..`. */
  get size(): number {
    return this.#names.size;
  }

  /** The inode of a name. */
  lookup(key: string): number | undefined {
    const value = this.#names.get(key);
    return value === undefined ? undefined : Math.floor(value / BLOCKS_MAX);
  }

  /** Adds a record where there is room; false: a block must be added first. */
  insert(key: string, name: Uint8Array, ino: number, type: FileType | undefined): boolean {
    const length = recordLength(name.length);
    const index = this.#findRoom(length);
    if (index < 0) return false;
    const block = this.#block(index);
    this.#core.touch(block);
    let placed = false;
    let room = 0;
    // Names mostly go behind the one before: what is in front of that need not be walked again.
    const from = index === this.#lastIndex ? this.#lastAt : 0;
    const place = (record: DirRecord): boolean => {
      if (placed || record.room < length) {
        room = Math.max(room, record.room);
        return true;
      }
      const used = record.ino === 0 ? 0 : record.length - record.room;
      if (used > 0) setLength(block, record.at, used);
      writeRecord(block, record.at + used, record.length - used, name, ino, type);
      room = Math.max(room, record.length - used - length);
      placed = true;
      this.#lastIndex = index;
      this.#lastAt = record.at + used;
      return true;
    };
    eachRecord(block, place, from);
    if (!placed && from > 0) {
      room = 0;
      eachRecord(block, place);
    }
    this.#changed(this);
    if (from === 0 || !placed) this.#room[index] = room;
    if (!placed) return this.insert(key, name, ino, type);
    this.#names.set(key, ino * BLOCKS_MAX + index);
    return true;
  }

  /** Takes in a block of zeros at the directory's end. */
  addBlock(block: Block): void {
    if (this.places.length + 1 >= BLOCKS_MAX) throw new FsError('ENOSPC', 'the directory is full');
    this.#changed(this);
    writeUnused(block, this.seal !== undefined);
    this.#hint = this.places.length;
    this.places.push(block.number);
    this.#room.push(block.bytes.length);
  }

  /** Makes sure that the block of a name is in memory, so that changing it later cannot miss it. */
  need(key: string): void {
    const index = (this.#names.get(key) ?? 0) % BLOCKS_MAX;
    this.#block(index);
  }

  /** Clears the flag of a hash index, which the coming change would make wrong (N3). */
  dropIndex(inode: Inode): void {
    if (!inode.hasFlag(FLAG_INDEX)) return;
    inode.edit().flags = (inode.flags & ~FLAG_INDEX) >>> 0;
    // With checksums an index's block has its sum where a block of names has none.
    if (this.seal === undefined) return;
    this.#core.cache.need(this.places);
    for (let index = 0; index < this.places.length; index++) {
      const block = this.#block(index);
      if (!isOfIndex(block)) continue;
      this.#core.touch(block);
      if (index === 0) writeFirstRecords(block, this.ino, parentOf(block), true);
      else writeUnused(block, true);
    }
  }

  /** Removes a record. */
  remove(key: string): void {
    const { block, index, at, before } = this.#place(key);
    this.#core.touch(block);
    this.#changed(this);
    let { length } = recordAt(block, at);
    if (before >= 0) {
      const previous = recordAt(block, before);
      setLength(block, before, previous.length + length);
      length += previous.room;
    } else {
      setInode(block, at, 0);
    }
    if ((this.#room[index] as number) < length) this.#room[index] = length;
    if (index === this.#lastIndex) this.#lastIndex = -1;
    this.#names.delete(key);
  }

  /** Gives a name another inode, in place. */
  replace(key: string, ino: number, type: FileType | undefined): void {
    const { block, index, at } = this.#place(key);
    this.#core.touch(block);
    this.#changed(this);
    setInode(block, at, ino, type);
    this.#names.set(key, ino * BLOCKS_MAX + index);
  }

  /** Entries from `cookie` on, in the order of the device (N2). */
  list(cookie: number, limit: number): DirectoryEntry[] {
    const size = this.#core.cache.blockSize;
    const entries: DirectoryEntry[] = [];
    for (let index = Math.floor(cookie / size); index < this.places.length; index++) {
      if (entries.length >= limit) break;
      const block = this.#block(index);
      eachRecord(block, (record) => {
        if (record.ino === 0 || index * size + record.at < cookie) return true;
        entries.push({
          name: nameAt(block.bytes, record),
          ino: record.ino,
          type: TYPES[record.type],
          cookie: index * size + record.at + record.length,
        });
        return entries.length < limit;
      });
    }
    return entries;
  }

  #findRoom(length: number): number {
    const count = this.#room.length;
    // Looking at a few blocks in turn finds room again that removals left, at no cost that grows.
    for (let looks = 0; looks < Math.min(count, 8); looks++) {
      if (this.#hint >= count) this.#hint = 0;
      if ((this.#room[this.#hint] as number) >= length) return this.#hint;
      this.#hint++;
    }
    return -1;
  }

  /** Where the record of a name is. */
  #place(key: string): { block: Block; index: number; at: number; before: number } {
    const index = (this.#names.get(key) as number) % BLOCKS_MAX;
    const block = this.#block(index);
    const { at, before } = findRecord(block, key);
    if (at < 0) throw new FsError('EIO', `directory ${this.ino} has lost a name`);
    return { block, index, at, before };
  }

  /** The block, whose checksum fits. */
  #block(index: number): Block {
    const block = this.#core.cache.get(this.places[index] as number);
    if (block.seal === undefined && this.seal !== undefined) {
      admit(block, this.seal, `directory ${this.ino}`);
    }
    return block;
  }
}
