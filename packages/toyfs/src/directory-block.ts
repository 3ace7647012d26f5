/**
 * Directory blocks: the records of one block, walked, written and cut. Each record's length leads to
 * the next; what a record has beyond its name's need is room for another.
 */
import type { Block } from './block-cache.js';
import { DIRECTORY_RECORD, DIRECTORY_TAIL, TAIL_TYPE } from './disk/directory-record.js';
import { FsError } from './errors.js';
import { writeTail } from './seals/directory-seal.js';
import type { FileType } from './vfs.js';

const AT = DIRECTORY_RECORD.at;
const HEAD: number = DIRECTORY_RECORD.size;

/** Types by the number that a record has of them. */
export const TYPES: readonly (FileType | undefined)[] = [
  undefined,
  'file',
  'directory',
  'character-device',
  'block-device',
  'fifo',
  'socket',
  'symlink',
];

/** The key of a name in a map: one character a byte. */
export function nameKey(name: Uint8Array): string {
  return Buffer.prototype.latin1Slice.call(name, 0, name.length);
}

/** The two records of a directory's first block; the second has all the room, up to a checksum's. */
export function writeFirstRecords(
  block: Block,
  ino: number,
  parent: number,
  isSummed = false,
): void {
  const dot = Uint8Array.of(0x2e);
  const own = recordLength(1);
  writeRecord(block, 0, own, dot, ino, 'directory');
  const rest = block.bytes.length - own - (isSummed ? DIRECTORY_TAIL.size : 0);
  writeRecord(block, own, rest, Uint8Array.of(0x2e, 0x2e), parent, 'directory');
  if (isSummed) writeTail(block.bytes);
}

/** The directory above, as the first block says it. */
export function parentOf(block: Block): number {
  return block.view.getUint32(recordLength(1), true);
}

/** Makes the block one unused record, up to a checksum's. */
export function writeUnused(block: Block, isSummed: boolean): void {
  const length = block.bytes.length - (isSummed ? DIRECTORY_TAIL.size : 0);
  writeRecord(block, 0, length, new Uint8Array(0), 0, undefined);
  if (isSummed) writeTail(block.bytes);
}

/** Bytes that a record with a name of so many bytes needs. */
export function recordLength(nameLength: number): number {
  return (HEAD + nameLength + 3) & ~3;
}

/** One record, as `eachRecord` shows it; the object is used again for the next. */
export interface DirRecord {
  at: number;
  ino: number;
  length: number;
  nameLength: number;
  type: number;
  /** Bytes that another record could have of it. */
  room: number;
}

/**
 * Shows the records of a block, from the one at `from` on, until `visit` answers false.
 * @throws {FsError} EIO for damage
 */
export function eachRecord(
  block: Pick<Block, 'number' | 'bytes' | 'view'>,
  visit: (record: DirRecord) => boolean,
  from = 0,
): void {
  const record: DirRecord = { at: 0, ino: 0, length: 0, nameLength: 0, type: 0, room: 0 };
  for (let at = from; at < block.bytes.length; ) {
    readRecord(block, at, record);
    const { length } = record;
    if (!visit(record)) return;
    at += length;
  }
}

/** The record at `at`. @throws {FsError} EIO for damage */
export function recordAt(block: Block, at: number): DirRecord {
  const record: DirRecord = { at: 0, ino: 0, length: 0, nameLength: 0, type: 0, room: 0 };
  readRecord(block, at, record);
  return record;
}

/** Where the record of a name is, and the one before it; -1: there is none. */
export function findRecord(block: Block, key: string): { at: number; before: number } {
  const last = key.length - 1;
  const lastCode = key.charCodeAt(last);
  let before = -1;
  let found = -1;
  eachRecord(block, (record) => {
    const isIt =
      record.nameLength === key.length &&
      record.ino !== 0 &&
      block.bytes[record.at + HEAD + last] === lastCode &&
      keyAt(block, record) === key;
    if (isIt) found = record.at;
    else before = record.at;
    return !isIt;
  });
  return { at: found, before: found < 0 ? -1 : before };
}

function readRecord(
  block: Pick<Block, 'number' | 'bytes' | 'view'>,
  at: number,
  record: DirRecord,
): void {
  const { bytes, view } = block;
  const size = bytes.length;
  const ino = at + HEAD <= size ? view.getUint32(at, true) : 0;
  let length = at + HEAD <= size ? view.getUint16(at + AT.length, true) : 0;
  // 64 KiB does not fit into 16 bits.
  if (size === 65_536 && (length === 0xffff || length === 0)) length = size;
  const nameLength = bytes[at + AT.nameLength] as number;
  const used = recordLength(nameLength);
  const isSane =
    length >= HEAD && length % 4 === 0 && at + length <= size && (ino === 0 || used <= length);
  if (!isSane) {
    throw new FsError('EIO', `block ${block.number} has a damaged directory record at ${at}`);
  }
  record.at = at;
  record.ino = ino;
  record.length = length;
  record.nameLength = nameLength;
  record.type = bytes[at + AT.type] as number;
  const isTail = record.type === TAIL_TYPE && ino === 0 && nameLength === 0;
  record.room = ino !== 0 ? length - used : isTail ? 0 : length; // A checksum's is no room.
}

/** The key of a record's name. */
export function keyAt(block: Block, { at, nameLength }: DirRecord): string {
  return Buffer.prototype.latin1Slice.call(block.bytes, at + HEAD, at + HEAD + nameLength);
}

/** Makes a record of another length. */
export function setLength(block: Block, at: number, length: number): void {
  block.view.setUint16(at + AT.length, length === 65_536 ? 0xffff : length, true);
}

/** Writes a whole record. */
export function writeRecord(
  block: Block,
  at: number,
  length: number,
  name: Uint8Array,
  ino: number,
  type: FileType | undefined,
): void {
  block.view.setUint32(at, ino, true);
  setLength(block, at, length);
  block.bytes[at + AT.nameLength] = name.length;
  block.bytes[at + AT.type] = Math.max(0, TYPES.indexOf(type));
  block.bytes.set(name, at + HEAD);
}

/** Gives a record another inode. */
export function setInode(block: Block, at: number, ino: number, type?: FileType): void {
  block.view.setUint32(at, ino, true);
  if (type !== undefined) block.bytes[at + AT.type] = TYPES.indexOf(type);
}

/** The bytes of a record's name. */
export function nameAt(bytes: Uint8Array, { at, nameLength }: DirRecord): Uint8Array {
  return bytes.slice(at + HEAD, at + HEAD + nameLength);
}
