/**
 * Extended attributes, doubted: the entries of an inode or of a block, whether they and their values
 * lie inside and apart, and whether their hashes fit. How often a block of them is shared is counted.
 */
import { viewOf } from '@palimpsest/bytes';
import { XATTR_ENTRY, XATTR_HEAD, XATTR_MAGIC } from '../disk/xattr-record.js';
import { COMPAT_XATTR } from '../features.js';
import { OLD_INODE_SIZE } from '../inode.js';
import { type Checking, isInside } from './checking.js';
import type { InodeRecord } from './inode-record.js';

const ENTRY = XATTR_ENTRY.at;
/** The name and prefix of the xattr with the content of an inode. */
const CONTENT_NAME = 'data';
const CONTENT_INDEX = 7;

/** What the xattrs of an inode come to. */
export interface XattrSum {
  /** Blocks that they take: 0 or 1. */
  readonly blocks: number;
  /** What lies in them of the inode's own content. */
  readonly content: Uint8Array | undefined;
}

/** Checks all xattrs of an inode. */
export async function checkXattrs(checking: Checking, inode: InodeRecord): Promise<XattrSum> {
  const content = checkInside(checking, inode);
  const block = inode.xattrBlock;
  if (block === 0) return { blocks: 0, content };
  const { ino } = inode;
  const hasFeature = (checking.superblock.compatible & COMPAT_XATTR) !== 0;
  if (!hasFeature || !isInside(checking, block)) {
    checking.findings.add('xattr', `inode ${ino} has its xattrs in block ${block}`, { ino, block });
    return { blocks: 0, content };
  }
  const known = checking.xattrBlocks.get(block);
  if (known !== undefined) known.found++;
  else await checkBlock(checking, inode, block);
  return { blocks: 1, content };
}

/** Compares how many inodes have each block of xattrs. */
export function checkReferences({ xattrBlocks, findings }: Checking): void {
  for (const [block, { found, said }] of xattrBlocks) {
    if (found === said) continue;
    const message = `the xattrs in block ${block} are those of ${found} inodes, and say ${said}`;
    findings.add('references', message, { block });
  }
}

/** Those behind the inode's fields; answers the inode's own content, where it is among them. */
function checkInside(checking: Checking, inode: InodeRecord): Uint8Array | undefined {
  const from = OLD_INODE_SIZE + inode.extraSize;
  const { bytes, ino } = inode;
  if (bytes.length - from < 8 || bytes.length <= OLD_INODE_SIZE) return undefined;
  if (inode.view.getUint32(from, true) !== XATTR_MAGIC) return undefined;
  const region = bytes.subarray(from + 4);
  const entries = new Entries(checking, region, 0);
  const fault = entries.walk(false);
  if (fault !== undefined) {
    checking.findings.add('xattr', `inode ${ino} has xattrs in it of which ${fault}`, { ino });
  }
  return entries.content;
}

async function checkBlock(checking: Checking, { ino }: InodeRecord, block: number): Promise<void> {
  const { findings, claims } = checking;
  const place = { ino, block };
  const { bytes, view } = await checking.source.read(block);
  const said = view.getUint32(XATTR_HEAD.at.references, true);
  checking.xattrBlocks.set(block, { found: 1, said });
  if (claims.claim(block, 1) !== undefined) {
    findings.add(
      'shared',
      `inode ${ino} has its xattrs in block ${block}, which is another's`,
      place,
    );
  }
  const hasHead =
    view.getUint32(XATTR_HEAD.at.magic, true) === XATTR_MAGIC &&
    view.getUint32(XATTR_HEAD.at.blocks, true) === 1;
  if (!hasHead) {
    findings.add('xattr', `block ${block} should hold the xattrs of inode ${ino}`, place);
    return;
  }
  if (!checking.sums.xattrs(block, bytes)) {
    findings.add('checksum', `the xattrs in block ${block} have a wrong checksum`, place);
  }
  const fault = new Entries(checking, bytes, XATTR_HEAD.size).walk(true);
  if (fault === undefined) return;
  findings.add('xattr', `block ${block} has xattrs of which ${fault}`, place);
}

/** The entries in a space, of which each byte may belong to one only. */
class Entries {
  content: Uint8Array | undefined;
  readonly #checking: Checking;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #first: number;
  readonly #taken: Uint8Array;

  constructor(checking: Checking, bytes: Uint8Array, first: number) {
    this.#checking = checking;
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
    this.#first = first;
    this.#taken = new Uint8Array(bytes.length);
    this.#taken.fill(1, 0, first);
  }

  /** Answers what is wrong; undefined: nothing. In a block every entry has a prefix and a hash. */
  walk(inBlock: boolean): string | undefined {
    let at = this.#first;
    while (at + 4 <= this.#bytes.length && this.#view.getUint32(at, true) !== 0) {
      const nameLength = this.#bytes[at + ENTRY.nameLength] as number;
      const end = at + XATTR_ENTRY.size + nameLength;
      if (!this.#take(at, (end + 3) & ~3)) return 'a name reaches into something else';
      if (inBlock && this.#bytes[at + ENTRY.nameIndex] === 0) return 'a name has no prefix';
      const fault = this.#value(at, end, inBlock);
      if (fault !== undefined) return fault;
      at = (end + 3) & ~3;
    }
    return this.#take(at, at + 4) ? undefined : 'the list has no end';
  }

  #value(at: number, end: number, inBlock: boolean): string | undefined {
    const size = this.#view.getUint32(at + ENTRY.valueSize, true);
    const holder = this.#view.getUint32(at + ENTRY.valueInode, true);
    if (holder !== 0) {
      const { valueNames } = this.#checking;
      valueNames.set(holder, (valueNames.get(holder) ?? 0) + 1);
      return undefined;
    }
    const from = this.#view.getUint16(at + ENTRY.valueOffset, true);
    const to = from + ((size + 3) & ~3);
    if (from + size > this.#bytes.length) return 'a value reaches beyond the end';
    if (size > 0 && !this.#take(from, Math.min(to, this.#bytes.length))) {
      return 'a value reaches into something else';
    }
    const name = this.#bytes.subarray(at + XATTR_ENTRY.size, end);
    const hash = this.#view.getUint32(at + ENTRY.hash, true);
    const isUnhashed = hash === 0 && !inBlock;
    if (!isUnhashed && !hashFits(hash, name, this.#bytes.subarray(from, to))) {
      return 'a hash does not fit';
    }
    const isContent =
      this.#bytes[at + ENTRY.nameIndex] === CONTENT_INDEX &&
      Buffer.from(name).toString('latin1') === CONTENT_NAME;
    if (isContent) this.content = this.#bytes.slice(from, from + size);
    return undefined;
  }

  /** Takes bytes; false: they are not all there, or some were taken. */
  #take(from: number, to: number): boolean {
    if (to > this.#taken.length) return false;
    if (this.#taken.subarray(from, to).includes(1)) return false;
    this.#taken.fill(1, from, to);
    return true;
  }
}

/**
 * Whether the hash is that of the name and the padded value. Some kernels took the name's bytes as
 * signed.
 */
function hashFits(hash: number, name: Uint8Array, value: Uint8Array): boolean {
  return [false, true].some((isSigned) => {
    let sum = 0;
    for (const byte of name) {
      sum = ((sum << 5) ^ (sum >>> 27) ^ (isSigned ? (byte << 24) >> 24 : byte)) >>> 0;
    }
    const view = viewOf(value);
    for (let at = 0; at + 4 <= value.length; at += 4) {
      sum = ((sum << 16) ^ (sum >>> 16) ^ view.getUint32(at, true)) >>> 0;
    }
    return sum === hash;
  });
}
