/**
 * The records of directories: each block or piece is walked, each name looked at, and counted for the
 * inode that it leads to.
 */
import { recordLength } from '../directory-block.js';
import { DIRECTORY_RECORD, DIRECTORY_TAIL } from '../disk/directory-record.js';
import { INCOMPAT_FILETYPE } from '../features.js';
import { ROOT_INO } from '../vfs.js';
import type { Checking, DirectoryFacts } from './checking.js';
import { HashIndex } from './hash-index.js';
import { TYPE_NONE } from './inode-facts.js';

const AT = DIRECTORY_RECORD.at;
const HEAD: number = DIRECTORY_RECORD.size;
/** The type of a directory in a record. */
const DIRECTORY = 2;

/** Checks the names of every directory. */
export async function checkDirectories(checking: Checking): Promise<void> {
  for (const directory of checking.directories) {
    if (checking.findings.isFull) return;
    await new DirectoryWalk(checking, directory).walk();
  }
}

/** One name, and where it is. */
interface Entry {
  readonly name: string;
  readonly ino: number;
  readonly type: number;
  readonly block: number;
  /** How many names came before it. */
  readonly order: number;
}

class DirectoryWalk {
  readonly #checking: Checking;
  readonly #directory: DirectoryFacts;
  readonly #seen = new Set<string>();
  #order = 0;

  constructor(checking: Checking, directory: DirectoryFacts) {
    this.#checking = checking;
    this.#directory = directory;
  }

  async walk(): Promise<void> {
    const { inline } = this.#directory;
    if (inline === undefined) await this.#blocks();
    else this.#inline(inline);
    const { findings } = this.#checking;
    const { ino } = this.#directory;
    if (this.#order < 2) findings.add('dots', `directory ${ino} has no . and ..`, { ino });
  }

  async #blocks(): Promise<void> {
    const { ino, generation, blocks, hasIndex } = this.#directory;
    const { source, sums, findings } = this.#checking;
    const index = hasIndex ? new HashIndex(this.#checking, this.#directory) : undefined;
    for (const [i, block] of blocks.entries()) {
      if (findings.isFull) return;
      if (block === 0) {
        findings.add('hole', `directory ${ino} has a hole at its block ${i}`, { ino });
        continue;
      }
      const { bytes } = await source.read(block);
      const isNode = index?.node(i, block, bytes) === true;
      const end = isNode || !sums.all ? bytes.length : bytes.length - DIRECTORY_TAIL.size;
      if (!isNode && !sums.records(ino, generation, bytes)) {
        findings.add('checksum', `block ${block} of directory ${ino} has a wrong checksum`, {
          ino,
          block,
        });
      }
      this.#records(bytes, block, end);
    }
    index?.finish();
  }

  /** A directory in its inode: the parent's number, and records in two pieces. */
  #inline(pieces: readonly Uint8Array[]): void {
    const [first, ...rest] = pieces as [Uint8Array, ...Uint8Array[]];
    const { ino } = this.#directory;
    const parent = new DataView(first.buffer, first.byteOffset).getUint32(0, true);
    this.#entry({ name: '.', ino, type: DIRECTORY, block: 0, order: 0 });
    this.#entry({ name: '..', ino: parent, type: DIRECTORY, block: 0, order: 1 });
    this.#order = 2;
    for (const piece of [first.subarray(4), ...rest]) {
      if (piece.length > 0) this.#records(piece, 0, piece.length);
    }
  }

  /** The records of a block up to `end`, where its checksum may begin. */
  #records(bytes: Uint8Array, block: number, end: number): void {
    const { ino: own } = this.#directory;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < end; ) {
      const length = at + HEAD <= end ? lengthAt(view, at, bytes.length) : 0;
      const nameLength = bytes[at + AT.nameLength] as number;
      const isSane =
        length >= recordLength(1) &&
        length % 4 === 0 &&
        at + length <= end &&
        HEAD + nameLength <= length;
      if (!isSane) {
        const message = `directory ${own} has a damaged record at ${at} of block ${block}`;
        this.#checking.findings.add('record', message, { ino: own, block });
        return;
      }
      const ino = view.getUint32(at, true);
      // The first two must be there, and tell when they are not.
      if (ino !== 0 || this.#order < 2) {
        const name = Buffer.from(bytes.subarray(at + HEAD, at + HEAD + nameLength)).toString(
          'latin1',
        );
        const type = bytes[at + AT.type] as number;
        this.#entry({ name, ino, type, block, order: this.#order });
      }
      this.#order++;
      at += length;
    }
  }

  #entry(entry: Entry): void {
    const { name, order } = entry;
    const { ino: own } = this.#directory;
    const { findings, inodes } = this.#checking;
    if (order < 2) {
      this.#dot(entry);
      return;
    }
    const say = (code: 'name' | 'dots' | 'twice', message: string): void =>
      findings.add(code, `directory ${own} ${message}`, { ino: own, block: entry.block });
    if (name === '.' || name === '..') say('dots', `has ${name} among its names`);
    else if (name === '' || /[/\0]/.test(name)) say('name', `has the name ${JSON.stringify(name)}`);
    if (this.#seen.has(name)) say('twice', `has the name ${JSON.stringify(name)} twice`);
    this.#seen.add(name);
    if (!this.#leads(entry)) return;
    inodes.addName(entry.ino);
    if (inodes.type(entry.ino) === DIRECTORY) this.#child(entry.ino, name);
  }

  /** The first two records are `.` and `..`. */
  #dot(entry: Entry): void {
    const { ino: own } = this.#directory;
    const { findings, inodes } = this.#checking;
    const expected = entry.order === 0 ? '.' : '..';
    const isRight = entry.name === expected && (entry.order === 1 || entry.ino === own);
    if (!isRight) {
      const name = JSON.stringify(entry.name);
      const message = `directory ${own} has ${name}, inode ${entry.ino}, for ${expected}`;
      findings.add('dots', message, { ino: own, block: entry.block });
    }
    if (entry.ino === 0 || !this.#leads(entry)) return;
    if (entry.order === 1) inodes.setDotDot(own, entry.ino);
    inodes.addName(entry.ino);
  }

  /** Whether a name leads to an inode in use, of the type that it says. */
  #leads({ name, ino, type, block }: Entry): boolean {
    const { ino: own } = this.#directory;
    const { findings, inodes, geometry, superblock } = this.#checking;
    const place = { ino: own, block };
    const what = `directory ${own} has the name ${JSON.stringify(name)}`;
    const isReserved = ino < geometry.firstInode && ino !== ROOT_INO;
    if (isReserved || ino > geometry.inodes) {
      findings.add('target', `${what} of inode ${ino}`, place);
      return false;
    }
    const actual = inodes.type(ino);
    if (actual === 0) {
      findings.add('target', `${what} of inode ${ino}, which is not in use`, place);
      return false;
    }
    const hasTypes = (superblock.incompatible & INCOMPAT_FILETYPE) !== 0;
    const expected = hasTypes ? actual : 0;
    if (actual !== TYPE_NONE && type !== expected) {
      findings.add('type', `${what} of type ${type}, its inode ${ino} is of ${expected}`, place);
    }
    return true;
  }

  /** A directory has one parent, and the root none. */
  #child(ino: number, name: string): void {
    const { ino: own } = this.#directory;
    const { findings, inodes } = this.#checking;
    const parent = inodes.parent(ino);
    if (parent === 0 && ino !== ROOT_INO) {
      inodes.setParent(ino, own);
      return;
    }
    const other = ino === ROOT_INO ? 'is the root' : `has a name in directory ${parent}`;
    const what = `the name ${JSON.stringify(name)} of directory ${ino}`;
    const message = `directory ${own} has ${what}, which ${other}`;
    findings.add('parents', message, { ino: own });
  }
}

/** A record's length. 64 KiB do not fit into 16 bits. */
function lengthAt(view: DataView, at: number, size: number): number {
  const length = view.getUint16(at + AT.length, true);
  return size === 65_536 && (length === 0xffff || length === 0) ? size : length;
}
