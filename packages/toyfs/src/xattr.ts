/**
 * Extended attributes of one inode: decoded all at once, changed, and encoded again. They go into the
 * space behind the inode's fields as far as they fit there, the rest into one block.
 *
 *   E1  Entries of a block are in order of prefix, length and name, as the kernel looks for them.
 */
import { viewOf } from '@palimpsest/bytes';
import type { Block } from './block-cache.js';
import { XATTR_ENTRY, XATTR_HEAD, XATTR_MAGIC } from './disk/xattr-record.js';
import { FsError } from './errors.js';
import type { Image } from './image.js';
import { type Inode, OLD_INODE_SIZE } from './inode.js';
import { admit } from './seals/seal.js';

const ENTRY = XATTR_ENTRY.at;

/** Prefixes by their number; what follows is the rest of the name. */
const PREFIXES: readonly (readonly [index: number, prefix: string])[] = [
  [1, 'user.'],
  [2, 'system.posix_acl_access'],
  [3, 'system.posix_acl_default'],
  [4, 'trusted.'],
  [6, 'security.'],
  [7, 'system.'],
];

/** The xattr that holds what does not fit into an inode with inline data. */
export const INLINE_DATA_NAME = 'system.data';

/** All xattrs of an inode by name, in no order. Runs as an operation. */
export function readXattrs(image: Image, inode: Inode): Map<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  const region = inodeRegion(inode);
  if (region !== undefined && viewOf(region).getUint32(0, true) === XATTR_MAGIC) {
    decode(image, region.subarray(4), 0, 0, found);
  }
  if (inode.xattrBlock !== 0) {
    const block = xattrBlock(image, inode.xattrBlock);
    decode(image, block.bytes, XATTR_HEAD.size, 0, found);
  }
  return found;
}

/** Replaces all xattrs of an inode. @throws {FsError} ENOSPC when they do not fit */
export function writeXattrs(
  image: Image,
  inode: Inode,
  values: ReadonlyMap<string, Uint8Array>,
): void {
  const entries = [...values].map(([name, value]) => ({ ...splitName(name), value }));
  entries.sort(byIndexAndName); // E1
  inode.edit();
  const region = inodeRegion(inode);
  const inside = region === undefined ? [] : fitting(entries, region.length - 8);
  if (region !== undefined) {
    region.fill(0);
    if (inside.length > 0) {
      viewOf(region).setUint32(0, XATTR_MAGIC, true);
      encode(region.subarray(4), 0, inside, false);
    }
  }
  const outside = entries.filter((entry) => !inside.includes(entry));
  const { blockSize } = image.geometry;
  if (fitting(outside, blockSize - XATTR_HEAD.size - 4).length < outside.length) {
    throw new FsError('ENOSPC', `the xattrs of inode ${inode.ino} do not fit into a block`);
  }
  dropXattrBlock(image, inode);
  if (outside.length === 0) return;
  const { start } = image.space.takeBlocks(image.space.goalOf(inode.ino), 1);
  const block = image.core.freshMetadata(start, image.core.seals?.xattrs);
  block.view.setUint32(XATTR_HEAD.at.magic, XATTR_MAGIC, true);
  block.view.setUint32(XATTR_HEAD.at.references, 1, true);
  block.view.setUint32(XATTR_HEAD.at.blocks, 1, true);
  encode(block.bytes, XATTR_HEAD.size, outside, true);
  inode.xattrBlock = start;
  inode.units += blockSize / 512;
}

/** Gives back the inode's xattr block, which others may share. */
export function dropXattrBlock(image: Image, inode: Inode): void {
  const number = inode.xattrBlock;
  if (number === 0) return;
  const block = xattrBlock(image, number);
  const references = block.view.getUint32(XATTR_HEAD.at.references, true);
  if (references > 1) {
    image.core.touch(block);
    block.view.setUint32(XATTR_HEAD.at.references, references - 1, true);
  } else {
    image.space.giveBlocks({ start: number, count: 1 });
  }
  inode.edit().xattrBlock = 0;
  inode.units -= image.geometry.blockSize / 512;
}

interface Entry {
  readonly index: number;
  readonly name: Uint8Array;
  readonly value: Uint8Array;
}

/** @throws {FsError} EOPNOTSUPP for a prefix that has no number; ERANGE for a long name */
export function splitName(name: string): { index: number; name: Uint8Array } {
  const known = PREFIXES.find(([, prefix]) =>
    prefix.endsWith('.') ? name.startsWith(prefix) && name.length > prefix.length : name === prefix,
  );
  if (known === undefined) {
    throw new FsError('EOPNOTSUPP', `${name} is no name for an xattr: user.something would be`);
  }
  const rest = new TextEncoder().encode(name.slice(known[1].length));
  if (rest.length > 255) throw new FsError('ERANGE', 'the name of an xattr has 255 bytes at most');
  return { index: known[0], name: rest };
}

/** The bytes behind the inode's fields; undefined in a small inode. */
function inodeRegion(inode: Inode): Uint8Array | undefined {
  const from = OLD_INODE_SIZE + inode.extraSize;
  if (inode.size - from < 8) return undefined;
  return inode.block.bytes.subarray(inode.at + from, inode.at + inode.size);
}

function xattrBlock({ core }: Image, number: number): Block {
  const block = core.cache.get(number);
  if (block.view.getUint32(XATTR_HEAD.at.magic, true) !== XATTR_MAGIC) {
    throw new FsError('EIO', `block ${block.number} holds no xattrs`);
  }
  if (block.seal === undefined && core.seals !== undefined) {
    admit(block, core.seals.xattrs, 'an xattr');
  }
  return block;
}

function decode(
  image: Image,
  bytes: Uint8Array,
  first: number,
  base: number,
  found: Map<string, Uint8Array>,
): void {
  const view = viewOf(bytes);
  for (let at = first; at + 4 <= bytes.length && view.getUint32(at, true) !== 0; ) {
    const nameLength = bytes[at + ENTRY.nameLength] as number;
    const end = at + XATTR_ENTRY.size + nameLength;
    const size = end <= bytes.length ? view.getUint32(at + ENTRY.valueSize, true) : 0;
    const from = end <= bytes.length ? base + view.getUint16(at + ENTRY.valueOffset, true) : 0;
    const holder = end <= bytes.length ? view.getUint32(at + ENTRY.valueInode, true) : 0;
    if (end > bytes.length || (holder === 0 && from + size > bytes.length)) {
      throw new FsError('EIO', 'an xattr reaches beyond its space');
    }
    const index = bytes[at + ENTRY.nameIndex] as number;
    const prefix = PREFIXES.find(([number]) => number === index)?.[1] ?? `unknown${index}.`;
    const name = new TextDecoder().decode(bytes.subarray(at + XATTR_ENTRY.size, end));
    found.set(
      prefix + name,
      holder === 0 ? bytes.slice(from, from + size) : heldValue(image, holder, size),
    );
    at = (end + 3) & ~3;
  }
}

/** The value that an inode of its own holds. */
function heldValue(image: Image, ino: number, size: number): Uint8Array {
  const inode = image.record(ino);
  const { blockSize } = image.geometry;
  if (size > inode.bytes || size > 1 << 20) {
    throw new FsError('EIO', `inode ${ino} holds less than the xattr's ${size} bytes`);
  }
  const value = new Uint8Array(size);
  const places = image.places(inode, Math.ceil(size / blockSize));
  image.core.cache.need(places);
  places.forEach((place, i) => {
    const part = image.core.cache.get(place).bytes.subarray(0, size - i * blockSize);
    value.set(part, i * blockSize);
  });
  return value;
}

/** The entries that fit into `room` bytes, taken in order. */
function fitting(entries: readonly Entry[], room: number): Entry[] {
  let left = room;
  return entries.filter(({ name, value }) => {
    const need = padded(XATTR_ENTRY.size + name.length) + padded(value.length);
    if (need > left) return false;
    left -= need;
    return true;
  });
}

/** Writes entries from `first` on and their values at the end. Offsets count from the start. */
function encode(
  bytes: Uint8Array,
  first: number,
  entries: readonly Entry[],
  hashed: boolean,
): void {
  const view = viewOf(bytes);
  let at = first;
  let end = bytes.length;
  let all = 0;
  for (const { index, name, value } of entries) {
    end -= padded(value.length);
    bytes.set(value, end);
    bytes[at + ENTRY.nameLength] = name.length;
    bytes[at + ENTRY.nameIndex] = index;
    view.setUint16(at + ENTRY.valueOffset, value.length === 0 ? 0 : end, true);
    view.setUint32(at + ENTRY.valueInode, 0, true);
    view.setUint32(at + ENTRY.valueSize, value.length, true);
    const hash = hashed ? entryHash(name, bytes.subarray(end, end + padded(value.length))) : 0;
    view.setUint32(at + ENTRY.hash, hash, true);
    all = ((all << 16) ^ (all >>> 16) ^ hash) >>> 0;
    bytes.set(name, at + XATTR_ENTRY.size);
    at += padded(XATTR_ENTRY.size + name.length);
  }
  if (hashed) view.setUint32(XATTR_HEAD.at.hash, all, true);
}

/** The hash that the format document gives for a name and a value padded with zeros. */
function entryHash(name: Uint8Array, value: Uint8Array): number {
  let hash = 0;
  for (const byte of name) hash = ((hash << 5) ^ (hash >>> 27) ^ byte) >>> 0;
  const view = viewOf(value);
  for (let at = 0; at < value.length; at += 4) {
    hash = ((hash << 16) ^ (hash >>> 16) ^ view.getUint32(at, true)) >>> 0;
  }
  return hash;
}

function padded(length: number): number {
  return (length + 3) & ~3;
}

function byIndexAndName(a: Entry, b: Entry): number {
  if (a.index !== b.index) return a.index - b.index;
  if (a.name.length !== b.name.length) return a.name.length - b.name.length;
  return Buffer.compare(a.name, b.name);
}
