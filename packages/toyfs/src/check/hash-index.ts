/**
 * The hash index of a directory: its root hides behind the records of `.` and `..` in block 0, its
 * inner nodes in blocks that look like one unused record. Each block of the directory is named once.
 * Whether the names in a leaf have the hashes that the index says is not looked at: we read
 * directories without it.
 */
import type { Checking, DirectoryFacts } from './checking.js';

/** Where the root's own fields begin, and how many bytes they are. */
const ROOT_INFO = 24;
const ROOT_INFO_SIZE = 8;
/** Where the entries of a node begin: behind an unused record. */
const NODE_ENTRIES = 8;
/** Hashes that an index may be made of. */
const HASH_VERSIONS = [0, 1, 2, 3, 4, 5];
/** Levels below the root at most. */
const LEVELS_MAX = 2;

/** See the head of the file. */
export class HashIndex {
  readonly #checking: Checking;
  readonly #directory: DirectoryFacts;
  /** How deep each block named lies below the root. */
  readonly #depths = new Map<number, number>();
  /** Nodes whose parents have not been seen yet. */
  readonly #waiting = new Map<number, { view: DataView; block: number }>();
  #levels = 0;
  #isDamaged = false;

  constructor(checking: Checking, directory: DirectoryFacts) {
    this.#checking = checking;
    this.#directory = directory;
  }

  /** Looks at block `index` of the directory; answers whether it is a node of the index. */
  node(index: number, block: number, bytes: Uint8Array): boolean {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (index === 0) {
      this.#depths.set(0, 0);
      return this.#root(view, block);
    }
    const looksLikeOne =
      view.getUint32(0, true) === 0 &&
      view.getUint16(4, true) === bytes.length % 65_536 &&
      bytes[6] === 0 &&
      view.getUint16(NODE_ENTRIES, true) === this.#room(bytes.length, NODE_ENTRIES);
    if (looksLikeOne) this.#waiting.set(index, { view, block });
    return looksLikeOne;
  }

  /** After the last block: looks at the nodes that were found, and whether all blocks were named. */
  finish(): void {
    for (let depth = 1; depth <= this.#levels; depth++) {
      for (const [index, at] of [...this.#depths]) {
        if (at !== depth || index === 0) continue;
        const node = this.#waiting.get(index);
        if (node === undefined) this.#damage(`names block ${index} as a node`);
        else this.#entries(node.view, node.block, NODE_ENTRIES, depth);
      }
    }
    if (this.#isDamaged) return;
    const missing = this.#directory.blocks.findIndex((_, index) => !this.#depths.has(index));
    if (missing >= 0) this.#damage(`does not name its block ${missing}`);
    for (const [index, depth] of this.#depths) {
      if (index > 0 && this.#waiting.has(index) !== depth <= this.#levels) {
        this.#damage(`names block ${index} at depth ${depth}`);
      }
    }
  }

  #root(view: DataView, block: number): boolean {
    const reserved = view.getUint32(ROOT_INFO, true);
    const version = view.getUint8(ROOT_INFO + 4);
    const length = view.getUint8(ROOT_INFO + 5);
    const flags = view.getUint8(ROOT_INFO + 7);
    this.#levels = view.getUint8(ROOT_INFO + 6);
    const isSane =
      reserved === 0 &&
      length === ROOT_INFO_SIZE &&
      HASH_VERSIONS.includes(version) &&
      (flags & 1) === 0 &&
      this.#levels <= LEVELS_MAX;
    if (!isSane) {
      this.#damage('has a damaged root', block);
      this.#levels = 0;
      return true;
    }
    this.#entries(view, block, ROOT_INFO + ROOT_INFO_SIZE, 0);
    return true;
  }

  /** The entries of a node: a limit and a count, then a hash and a block each. */
  #entries(view: DataView, block: number, at: number, depth: number): void {
    const limit = view.getUint16(at, true);
    const count = view.getUint16(at + 2, true);
    if (limit !== this.#room(view.byteLength, at) || count > limit || count === 0) {
      this.#damage(`has a node with ${count} of ${limit} entries`, block);
      return;
    }
    const { sums, findings } = this.#checking;
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    if (!sums.index(this.#directory, bytes, { at, count, limit })) {
      const { ino } = this.#directory;
      const message = `a node of the index of directory ${ino} has a wrong checksum`;
      findings.add('checksum', message, { ino, block });
    }
    let previous = -1;
    for (let i = 0; i < count; i++) {
      const entry = at + i * 8;
      const hash = i === 0 ? 0 : view.getUint32(entry, true);
      const index = view.getUint32(entry + 4, true) & 0x0fff_ffff;
      if (hash < previous) this.#damage('has hashes out of order', block);
      previous = hash;
      if (index >= this.#directory.blocks.length) this.#damage(`names block ${index}`, block);
      else if (this.#depths.has(index)) this.#damage(`names block ${index} twice`, block);
      else this.#depths.set(index, depth + 1);
    }
  }

  /** Entries that fit from `at` on; a checksum takes the room of one. */
  #room(size: number, at: number): number {
    return Math.floor((size - at) / 8) - (this.#checking.sums.all ? 1 : 0);
  }

  #damage(what: string, block?: number): void {
    this.#isDamaged = true;
    const { ino } = this.#directory;
    const place = block === undefined ? { ino } : { ino, block };
    this.#checking.findings.add('index', `the index of directory ${ino} ${what}`, place);
  }
}
