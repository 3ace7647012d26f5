/**
 * PendingMap: the changes of the block map since the last checkpoint, which the journal holds too.
 * Bounded by the journal's size. Look-ups see them before the trees.
 *
 * There are hundreds of thousands, made anew by every recovery within its budget of time and memory.
 * So they are rows of typed arrays, found through a hash table of (space, block), and become objects
 * only for who asks: some 75 bytes each, and nothing for the garbage collector to walk. A second table
 * leads to the blocks of a stretch, so that looking through a part of a space costs what is in it.
 */
import { hashOf } from './hash.js';

/** Where the bytes of one block, as of one version, are. */
export interface MapEntry {
  /** The snapshot the block was saved for, or LIVE; with the level in front (versions.ts). */
  readonly version: number;
  /** Block of the save volume; 0 when `flags` says that there are no bytes. */
  readonly address: number;
  readonly flags: number;
  /** Of the bytes, seeded with space and block. */
  readonly checksum: number;
}

/** A change that is not in the trees yet. */
export interface PendingEntry extends MapEntry {
  /** True when the change takes the entry out of the map. */
  readonly removed: boolean;
  /** Another version of the same block. */
  readonly next: PendingEntry | undefined;
}

/** Told of a change and its block. */
type Visit = (block: number, entry: PendingEntry) => void;

/** The rows, by column. A block's first row is in the hash table; `next` leads to its other versions. */
interface Columns {
  readonly space: Uint32Array;
  readonly block: Float64Array;
  readonly version: Float64Array;
  readonly address: Float64Array;
  readonly flags: Uint16Array;
  readonly checksum: Uint32Array;
  /** REMOVED, and FIRST of a block. */
  readonly state: Uint8Array;
  readonly next: Int32Array;
  /** Of a block's first row, the first row of another block in its stretch. */
  readonly nextInStretch: Int32Array;
}

const REMOVED = 1;
const FIRST = 2;
const NONE = -1;
const ROWS_LEAST = 256;
/** Rows whose memory outlives a checkpoint: some 4 MiB. */
const ROWS_KEPT = 65_536;
/** Blocks in a stretch. */
const STRETCH = 1024;

/** See the file header. */
export class PendingMap {
  #columns: Columns = makeColumns(ROWS_LEAST);
  /** First rows by hash, NONE where there is none; a power of two, at most half full. */
  #table = new Int32Array(2 * ROWS_LEAST).fill(NONE);
  /** The same for stretches, which are no more than the rows. */
  #stretches = new Int32Array(2 * ROWS_LEAST).fill(NONE);
  #count = 0;
  /** Of each space with changes: how many entries of each version they put, removals left out. */
  readonly #counts = new Map<number, Map<number, number>>();

  /** Changes held. */
  get count(): number {
    return this.#count;
  }

  /** The changes of one block, linked in no order. */
  head(space: number, block: number): PendingEntry | undefined {
    if (this.#count === 0) return undefined;
    const row = this.#table[this.#slotOf(space, block)] as number;
    return row === NONE ? undefined : this.#entry(row);
  }

  /** Puts or removes (`removed`) an entry; the latest change of a version counts. */
  set(space: number, block: number, entry: MapEntry, removed: boolean): void {
    if (this.#count === this.#columns.block.length) this.#grow();
    const columns = this.#columns;
    const slot = this.#slotOf(space, block);
    const first = this.#table[slot] as number;
    let row = first;
    while (row !== NONE && columns.version[row] !== entry.version)
      row = columns.next[row] as number;
    const isNew = row === NONE;
    if (isNew) {
      row = this.#count;
      this.#count += 1;
      columns.space[row] = space;
      columns.block[row] = block;
      columns.version[row] = entry.version;
      if (first === NONE) {
        this.#table[slot] = row;
        columns.next[row] = NONE;
        this.#intoStretch(row);
      } else {
        columns.next[row] = columns.next[first] as number;
        columns.next[first] = row;
      }
      columns.state[row] = first === NONE ? FIRST : 0;
    }
    const wasPut = !isNew && ((columns.state[row] as number) & REMOVED) === 0;
    this.#tally(space, entry.version, Number(!removed) - Number(wasPut));
    columns.address[row] = entry.address;
    columns.flags[row] = entry.flags;
    columns.checksum[row] = entry.checksum;
    columns.state[row] = ((columns.state[row] as number) & FIRST) | (removed ? REMOVED : 0);
  }

  /** Spaces with changes, in order. */
  spaces(): number[] {
    return [...this.#counts.keys()].sort((a, b) => a - b);
  }

  /** Blocks of a space with changes, in order. Typed arrays sort numbers without a comparator. */
  blocksOf(space: number): Float64Array {
    const { block, space: spaces, state } = this.#columns;
    const blocks = new Float64Array(this.#count);
    let found = 0;
    for (let row = 0; row < this.#count; row += 1) {
      if (spaces[row] !== space || ((state[row] as number) & FIRST) === 0) continue;
      blocks[found] = block[row] as number;
      found += 1;
    }
    return blocks.slice(0, found).sort();
  }

  /** Visits the changes of one space, in no order. */
  eachOf(space: number, visit: Visit): void {
    if (!this.#counts.has(space)) return;
    const { block, space: spaces } = this.#columns;
    for (let row = 0; row < this.#count; row += 1) {
      if (spaces[row] === space) visit(block[row] as number, this.#alone(row));
    }
  }

  /** Entries of one space whose version is from `from` on and below `to`, removals left out. */
  countOf(space: number, from: number, to: number): number {
    let all = 0;
    for (const [version, count] of this.#counts.get(space) ?? []) {
      if (version >= from && version < to) all += count;
    }
    return all;
  }

  /** Visits the changes of one space's blocks from `from` on and below `to`, in no order. */
  eachIn(space: number, from: number, to: number, visit: Visit): void {
    if (!this.#counts.has(space)) return;
    const { block: blocks, space: spaces, state, nextInStretch } = this.#columns;
    const first = Math.floor(from / STRETCH);
    const end = Math.ceil(to / STRETCH);
    const look = (row: number): void => {
      const block = blocks[row] as number;
      if (block >= from && block < to) this.#visitBlock(space, block, visit);
    };
    if (end - first > this.#count) {
      for (let row = 0; row < this.#count; row += 1) {
        if (spaces[row] === space && ((state[row] as number) & FIRST) !== 0) look(row);
      }
      return;
    }
    for (let stretch = first; stretch < end; stretch += 1) {
      let row = this.#stretches[this.#slotOfStretch(space, stretch)] as number;
      for (; row !== NONE; row = nextInStretch[row] as number) look(row);
    }
  }

  /** Empties the map. Its memory is kept, up to a limit, for the changes to come. */
  clear(): void {
    if (this.#columns.block.length > ROWS_KEPT) {
      this.#columns = makeColumns(ROWS_LEAST);
      this.#table = new Int32Array(2 * ROWS_LEAST);
      this.#stretches = new Int32Array(2 * ROWS_LEAST);
    }
    this.#table.fill(NONE);
    this.#stretches.fill(NONE);
    this.#count = 0;
    this.#counts.clear();
  }

  #tally(space: number, version: number, more: number): void {
    let counts = this.#counts.get(space);
    if (counts === undefined) {
      counts = new Map();
      this.#counts.set(space, counts);
    }
    if (more !== 0) counts.set(version, (counts.get(version) ?? 0) + more);
  }

  #visitBlock(space: number, block: number, visit: Visit): void {
    const { next } = this.#columns;
    for (let row = this.#table[this.#slotOf(space, block)] as number; row !== NONE; ) {
      visit(block, this.#alone(row));
      row = next[row] as number;
    }
  }

  /** A row as an object, with what follows it. */
  #entry(row: number): PendingEntry {
    const next = this.#columns.next[row] as number;
    return this.#object(row, next === NONE ? undefined : this.#entry(next));
  }

  #alone(row: number): PendingEntry {
    return this.#object(row, undefined);
  }

  #object(row: number, next: PendingEntry | undefined): PendingEntry {
    const { version, address, flags, checksum, state } = this.#columns;
    return {
      version: version[row] as number,
      address: address[row] as number,
      flags: flags[row] as number,
      checksum: checksum[row] as number,
      removed: ((state[row] as number) & REMOVED) !== 0,
      next,
    };
  }

  /** Where the block's first row is in the table, or belongs. */
  #slotOf(space: number, block: number): number {
    const { space: spaces, block: blocks } = this.#columns;
    const table = this.#table;
    const mask = table.length - 1;
    for (let slot = hashOf(space, block) & mask; ; slot = (slot + 1) & mask) {
      const row = table[slot] as number;
      if (row === NONE || (blocks[row] === block && spaces[row] === space)) return slot;
    }
  }

  /** Where the first row of a block in the stretch is in its table, or belongs. */
  #slotOfStretch(space: number, stretch: number): number {
    const { space: spaces, block: blocks } = this.#columns;
    const table = this.#stretches;
    const mask = table.length - 1;
    for (let slot = hashOf(space, stretch) & mask; ; slot = (slot + 1) & mask) {
      const row = table[slot] as number;
      if (row === NONE) return slot;
      const isIn = Math.floor((blocks[row] as number) / STRETCH) === stretch;
      if (isIn && spaces[row] === space) return slot;
    }
  }

  #intoStretch(row: number): void {
    const { space, block, nextInStretch } = this.#columns;
    const stretch = Math.floor((block[row] as number) / STRETCH);
    const slot = this.#slotOfStretch(space[row] as number, stretch);
    nextInStretch[row] = this.#stretches[slot] as number;
    this.#stretches[slot] = row;
  }

  #grow(): void {
    const old = this.#columns;
    const grown = makeColumns(2 * old.block.length);
    for (const name of Object.keys(old) as (keyof Columns)[]) grown[name].set(old[name]);
    this.#columns = grown;
    this.#table = new Int32Array(2 * grown.block.length).fill(NONE);
    this.#stretches = new Int32Array(2 * grown.block.length).fill(NONE);
    for (let row = 0; row < this.#count; row += 1) {
      if (((grown.state[row] as number) & FIRST) === 0) continue;
      this.#table[this.#slotOf(grown.space[row] as number, grown.block[row] as number)] = row;
      this.#intoStretch(row);
    }
  }
}

function makeColumns(rows: number): Columns {
  return {
    space: new Uint32Array(rows),
    block: new Float64Array(rows),
    version: new Float64Array(rows),
    address: new Float64Array(rows),
    flags: new Uint16Array(rows),
    checksum: new Uint32Array(rows),
    state: new Uint8Array(rows),
    next: new Int32Array(rows),
    nextInStretch: new Int32Array(rows),
  };
}
