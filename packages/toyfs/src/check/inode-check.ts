/**
 * One inode in use: its fields, its blocks, its size, its xattrs.
 */
import { TYPES } from '../directory-block.js';
import {
  FLAG_INDEX,
  INODE,
  TYPE_BLOCK_DEVICE,
  TYPE_CHARACTER_DEVICE,
  TYPE_FIFO,
  TYPE_SOCKET,
} from '../disk/inode-record.js';
import {
  COMPAT_INDEX,
  INCOMPAT_64BIT,
  INCOMPAT_EXTENTS,
  INCOMPAT_INLINE_DATA,
  RO_HUGE_FILE,
  RO_LARGE_FILE,
} from '../features.js';
import { typeOfMode } from '../file-types.js';
import { DIRECT_SLOTS } from '../indirect-map.js';
import { OLD_INODE_SIZE } from '../inode.js';
import { ROOT_INO } from '../vfs.js';
import type { Checking } from './checking.js';
import { type MapSum, walkMap } from './file-map.js';
import { TYPE_NONE, TYPE_VALUE } from './inode-facts.js';
import { FLAG_VALUE, FLAG_VERITY, type InodeRecord, ROOT_BYTES } from './inode-record.js';
import { hasResizeInode, INO_RESIZE } from './resize-inode.js';
import { checkXattrs, type XattrSum } from './xattr-entries.js';

/** An inode that AFS made, and the feature for such. */
const FLAG_MAGIC = 0x2000;
const COMPAT_MAGIC = 0x2;
/** Bits of `flags` that only files and directories may have: not to be changed, only appended to. */
const FLAGS_LOCKED = 0x30;
/** Reserved inodes: the blocks that are known to be bad, and what quotas count. */
const INO_BAD_BLOCKS = 1;
const INO_USER_QUOTA = 3;
const INO_GROUP_QUOTA = 4;
/** Files from this size on need a feature. */
const LARGE = 2 ** 31;

/**
 * Checks an inode that the format reserves, other than the root and the journal, which are as any
 * other. Answers whether that was all.
 */
export async function checkReserved(checking: Checking, inode: InodeRecord): Promise<boolean> {
  const { geometry, findings } = checking;
  const { ino, mode, links } = inode;
  if (ino >= geometry.firstInode || ino === ROOT_INO || ino === geometry.journalInode) return false;
  if (ino === INO_RESIZE && hasResizeInode(checking)) return true;
  if (ino === INO_USER_QUOTA || ino === INO_GROUP_QUOTA) return links === 0;
  if (ino === INO_BAD_BLOCKS) {
    await walkMap(checking, inode, { run() {} });
  } else if (mode !== 0) {
    findings.add('inode', `the reserved inode ${ino} has the mode 0${mode.toString(8)}`, { ino });
  }
  return true;
}

/** Checks one inode in use, and notes what later passes need of it. */
export async function checkInode(checking: Checking, inode: InodeRecord): Promise<void> {
  const { ino } = inode;
  const { findings, inodes } = checking;
  inodes.add(ino, typeNumber(inode), inode.links);
  checkFields(checking, inode);
  const xattrs = await checkXattrs(checking, inode);
  const places: number[] = [];
  let only: number | undefined;
  let sum: MapSum = { blocks: 0, lastWritten: -1, last: -1, isDamaged: false };
  if (inode.hasMap) {
    sum = await walkMap(checking, inode, {
      run({ logical, start, count }) {
        if (inode.isSymlink && logical === 0 && count === 1) only = start;
        if (!inode.isDirectory) return;
        for (let i = 0; i < count; i++) places[logical + i] = start + i;
      },
    });
  }
  if (inode.isDirectory) noteDirectory(checking, inode, places, xattrs);
  if (inode.isSymlink)
    await checkTarget(checking, inode, xattrs, sum.last === 0 ? only : undefined);
  if (sum.isDamaged) return;
  checkCount(checking, inode, sum.blocks + xattrs.blocks);
  const fault = inode.hasInlineData ? inlineFault(inode, xattrs) : sizeFault(checking, inode, sum);
  if (fault !== undefined) findings.add('size', `inode ${ino} ${fault}`, { ino });
}

/** The type as names have it. */
function typeNumber(inode: InodeRecord): number {
  if (inode.hasFlag(FLAG_VALUE)) return TYPE_VALUE;
  const number = TYPES.indexOf(typeOfMode(inode.mode));
  return number > 0 ? number : TYPE_NONE;
}

/** Whether the fields can be, apart from each other. */
function checkFields({ findings, superblock, inodes }: Checking, inode: InodeRecord): void {
  const { ino } = inode;
  const say = (message: string): void => findings.add('inode', `inode ${ino} ${message}`, { ino });
  if (typeOfMode(inode.mode) === undefined) say(`has the mode 0${inode.mode.toString(8)}`);
  if (inode.dtime !== 0 && !inodes.orphans.has(ino)) {
    findings.add('deleted', `inode ${ino} is in use and has a time of deletion`, { ino });
  }
  if (inode.bytes.length > OLD_INODE_SIZE) {
    const { extraSize } = inode;
    const isOdd = extraSize % 4 !== 0 || extraSize > inode.bytes.length - OLD_INODE_SIZE;
    if (isOdd || (extraSize > 0 && extraSize < 4)) say(`has ${extraSize} bytes of more fields`);
  }
  if (inode.u32(INODE.at.fragment) !== 0) say('has a fragment');
  const { incompatible, compatible, readOnlyCompatible } = superblock;
  const isNumbered64 = (incompatible & INCOMPAT_64BIT) !== 0;
  if ((readOnlyCompatible & RO_HUGE_FILE) === 0 && inode.u16(INODE.at.blocksHigh) !== 0) {
    say('has more blocks than the image can count');
  }
  if (!isNumbered64 && inode.u16(INODE.at.xattrBlockHigh) !== 0) {
    say('has a block of xattrs beyond what the image can number');
  }
  const needs = (flag: boolean, feature: boolean, what: string): void => {
    if (flag && !feature) say(`has ${what}, without the feature for that`);
  };
  needs(inode.hasExtents, (incompatible & INCOMPAT_EXTENTS) !== 0, 'extents');
  needs(inode.hasInlineData, (incompatible & INCOMPAT_INLINE_DATA) !== 0, 'its content in it');
  needs(inode.hasFlag(FLAG_MAGIC), (compatible & COMPAT_MAGIC) !== 0, 'the flag of AFS');
  if (inode.hasFlag(FLAG_INDEX)) {
    if (!inode.isDirectory) say('has an index and is no directory');
    needs(true, (compatible & COMPAT_INDEX) !== 0, 'an index');
  }
  if (inode.hasExtents && inode.hasInlineData) say('has extents and its content in it');
  if (isSpecial(inode)) checkSpecial(inode, say);
}

function isSpecial({ typeBits }: InodeRecord): boolean {
  return [TYPE_CHARACTER_DEVICE, TYPE_BLOCK_DEVICE, TYPE_FIFO, TYPE_SOCKET].includes(typeBits);
}

/** Devices, fifos and sockets have a number at most. */
function checkSpecial(inode: InodeRecord, say: (message: string) => void): void {
  if (inode.hasExtents) say('is no file and has extents');
  if (inode.hasInlineData) say('is no file and has content');
  if (inode.hasFlag(FLAGS_LOCKED)) say('is no file and is not to be changed');
  if (inode.size !== 0) say(`is no file and has ${inode.size} bytes`);
  for (let i = 4; i < ROOT_BYTES / 4; i++) {
    if (inode.slot(i) === 0) continue;
    say('is no file and has blocks');
    return;
  }
}

function checkCount(
  { findings, superblock, geometry }: Checking,
  inode: InodeRecord,
  blocks: number,
) {
  const { ino } = inode;
  const expected = blocks * inode.unitsPerBlock(superblock, geometry.blockSize);
  const counted = inode.countedUnits(superblock);
  if (counted === expected) return;
  findings.add('blocks', `inode ${ino} counts ${counted} units of blocks and has ${expected}`, {
    ino,
  });
}

/** What is wrong with a size, given the blocks that are there. */
function sizeFault(
  { geometry, superblock, inodes }: Checking,
  inode: InodeRecord,
  { last, lastWritten }: MapSum,
): string | undefined {
  const { blockSize } = geometry;
  const { size } = inode;
  if (inode.isDirectory) {
    const isWhole = size % blockSize === 0 && size / blockSize === last + 1;
    return isWhole ? undefined : `is a directory of ${size} bytes and ${last + 1} blocks`;
  }
  if (!inode.hasMap || inode.isSymlink) return undefined;
  if (size >= LARGE && (superblock.readOnlyCompatible & RO_LARGE_FILE) === 0) {
    return `has ${size} bytes, without the feature for that`;
  }
  // A file being shortened may have blocks that are still to go.
  if (inodes.orphans.has(inode.ino) || inode.hasFlag(FLAG_VERITY)) return undefined;
  if (lastWritten >= 0 && size < lastWritten * blockSize) {
    return `has ${size} bytes and blocks up to its block ${lastWritten}`;
  }
  const perBlock = blockSize / 4;
  const most = inode.hasExtents
    ? 2 ** 32 * blockSize - 1
    : (DIRECT_SLOTS + perBlock + perBlock ** 2 + perBlock ** 3) * blockSize;
  return size > most ? `has ${size} bytes, more than its block map has` : undefined;
}

function inlineFault(inode: InodeRecord, { content }: XattrSum): string | undefined {
  const room = ROOT_BYTES + (content?.length ?? 0);
  const isWrong = inode.isDirectory ? inode.size !== room : inode.size > room;
  return isWrong ? `has ${inode.size} bytes and ${room} bytes of content in it` : undefined;
}

function noteDirectory(
  { directories, findings }: Checking,
  inode: InodeRecord,
  places: readonly number[],
  { content }: XattrSum,
): void {
  const { ino, generation } = inode;
  const hasIndex = inode.hasFlag(FLAG_INDEX);
  if (inode.hasInlineData) {
    const pieces = [inode.root.slice(), ...(content === undefined ? [] : [content])];
    directories.push({ ino, generation, hasIndex: false, blocks: [], inline: pieces });
    return;
  }
  if (places.length === 0) findings.add('hole', `directory ${ino} has no blocks`, { ino });
  const blocks = Array.from(places, (place) => place ?? 0);
  directories.push({ ino, generation, hasIndex, blocks });
}

/** A symbolic link's target, in `block` or in the inode, is as long as its size says. */
async function checkTarget(
  checking: Checking,
  inode: InodeRecord,
  { content }: XattrSum,
  block: number | undefined,
): Promise<void> {
  const { ino, size } = inode;
  const target = await targetBytes(checking, inode, content, block);
  const end = target?.indexOf(0) ?? -1;
  const fits = target !== undefined && size > 0 && (end < 0 ? target.length : end) === size;
  const isClosed = inode.hasInlineData || end >= 0;
  if (fits && isClosed && !inode.hasFlag(FLAG_INDEX)) return;
  checking.findings.add('symlink', `inode ${ino} has a target of other than ${size} bytes`, {
    ino,
  });
}

async function targetBytes(
  { source }: Checking,
  inode: InodeRecord,
  content: Uint8Array | undefined,
  block: number | undefined,
): Promise<Uint8Array | undefined> {
  if (inode.hasInlineData) return Buffer.concat([inode.root, content ?? new Uint8Array(0)]);
  if (inode.isShortSymlink) return inode.hasExtents ? undefined : inode.root;
  return block === undefined ? undefined : (await source.read(block)).bytes;
}
