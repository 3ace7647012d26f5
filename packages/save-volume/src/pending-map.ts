/**
 * PendingMap: the changes of the block map since the last checkpoint, which the journal holds too.
 * Bounded by the journal's size. Look-ups see them before the trees.
 */

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

/** See the file header. */
export class PendingMap {
  readonly #spaces = new Map<number, Map<number, PendingEntry>>();
  #count = 0;

  /** Changes held. */
  get count(): number {
    return this.#count;
  }

  /** The changes of one block, linked in no order. */
  head(space: number, block: number): PendingEntry | undefined {
    return this.#spaces.get(space)?.get(block);
  }

  /** Puts or removes (`removed`) an entry; the latest change of a version counts. */
  set(space: number, block: number, entry: MapEntry, removed: boolean): void {
    let blocks = this.#spaces.get(space);
    if (blocks === undefined) {
      blocks = new Map();
      this.#spaces.set(space, blocks);
    }
    const rest = this.#without(blocks.get(block), entry.version);
    const { version, address, flags, checksum } = entry;
    blocks.set(block, { version, address, flags, checksum, removed, next: rest });
    this.#count += 1;
  }

  /** Visits every change, in no order. */
  each(visit: (space: number, block: number, entry: PendingEntry) => void): void {
    for (const [space, blocks] of this.#spaces) {
      for (const [block, head] of blocks) {
        for (let entry: PendingEntry | undefined = head; entry !== undefined; entry = entry.next) {
          visit(space, block, entry);
        }
      }
    }
  }

  /** Spaces with changes, in order. */
  spaces(): number[] {
    return [...this.#spaces.keys()].sort((a, b) => a - b);
  }

  /** Blocks of a space with changes, in order. Typed arrays sort numbers without a comparator. */
  blocksOf(space: number): Float64Array {
    return Float64Array.from(this.#spaces.get(space)?.keys() ?? []).sort();
  }

  /** Visits the changes of one space, in no order. */
  eachOf(space: number, visit: (block: number, entry: PendingEntry) => void): void {
    for (const [block, head] of this.#spaces.get(space) ?? []) {
      for (let entry: PendingEntry | undefined = head; entry !== undefined; entry = entry.next) {
        visit(block, entry);
      }
    }
  }

  clear(): void {
    this.#spaces.clear();
    this.#count = 0;
  }

  /** The chain without `version`; `#count` follows. */
  #without(head: PendingEntry | undefined, version: number): PendingEntry | undefined {
    if (head === undefined) return undefined;
    if (head.version === version) {
      this.#count -= 1;
      return head.next;
    }
    const next = this.#without(head.next, version);
    return next === head.next ? head : { ...head, next };
  }
}
