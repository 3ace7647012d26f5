/**
 * Pages of the block map's trees in memory, at most a budget of them. A look-up is synchronous:
 * when a page is not here it gives up with MISS, and `withPages` brings the page and looks again. So there
 * is one look-up code for the fast case and the slow one.
 *
 *   P1  An inner page leads to the pages beneath that were looked at through it, each only while both are
 *       kept: a walk down needs no search, and a page that is dropped is nobody's any more.
 *   P2  What was brought for a look-up is there for it until it has ended, whatever others bring meanwhile:
 *       so each time it gets at least one page further, and look-ups beyond the budget all end.
 */
import { type BlockDevice, isStorageError, StorageError } from '@palimpsest/block-device';
import { checksum, viewOf } from '@palimpsest/bytes';
import { PAGE_HEADER, PAGE_MAGIC } from './format.js';

/** A page that a look-up needs is not in memory: `withPages` looks again when it is. */
export const MISS: unique symbol = Symbol('page not in memory');

/** Where a page is and what it must be. */
export interface PageRef {
  readonly address: number;
  readonly checksum: number;
}

/** A page in memory; never changed once made. */
export interface Page extends PageRef {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly level: number;
  readonly count: number;
  /** Looked at since the cache last considered dropping it. */
  touched: boolean;
  /** P1, by their place in the page; none of a leaf. */
  readonly children: (Page | undefined)[];
  /** The page that has this one among its children, and at which place. */
  parent: Page | undefined;
  place: number;
}

interface Missing {
  readonly tree: number;
  readonly level: number;
  readonly address: number;
  readonly checksum: number;
}

/** Of a leaf. */
const NO_CHILDREN: Page[] = [];

/** What pages are read from. */
type Source = Pick<BlockDevice, 'size' | 'readInto'>;

/** See the file header. */
export class PageCache {
  readonly #device: Source;
  readonly #blockSize: number;
  readonly #capacity: number;
  readonly #pages = new Map<number, Page>();
  /** Pages that are being read, by address: all who want one wait for the same. */
  readonly #coming = new Map<number, { readonly checksum: number; readonly page: Promise<Page> }>();
  #missing: Missing | undefined;
  /** P2: what was brought for the look-up that runs just now. */
  #brought: Map<number, Page> | undefined;

  /** Keeps at most `budget` bytes of pages, and never fewer than a path through a tree takes. */
  constructor(device: Source, blockSize: number, budget: number) {
    this.#device = device;
    this.#blockSize = blockSize;
    this.#capacity = Math.max(32, Math.floor(budget / blockSize));
  }

  /** The page, or `undefined` after noting what `withPages` must bring. */
  get(tree: number, level: number, address: number, sum: number): Page | undefined {
    const page = this.#pages.get(address) ?? this.#brought?.get(address);
    // An address is used again in time: the checksum tells this page from an earlier one.
    if (page !== undefined && page.checksum === sum) {
      page.touched = true;
      return page;
    }
    this.#missing = { tree, level, address, checksum: sum };
    return undefined;
  }

  /** The same for the page at a place of another one, which leads to it from now on (P1). */
  child(tree: number, parent: Page, place: number, ref: PageRef): Page | undefined {
    const page = this.get(tree, parent.level - 1, ref.address, ref.checksum);
    if (page === undefined || !this.#keeps(page) || !this.#keeps(parent)) return page;
    if (page.parent !== undefined) page.parent.children[page.place] = undefined;
    page.parent = parent;
    page.place = place;
    parent.children[place] = page;
    return page;
  }

  /**
   * Looks up until nothing is missing, and brings a page each time (P2). A page that fails its checks is
   * reported only when `current()` still holds: otherwise the tree has moved on.
   * @throws {StorageError} ERR_CORRUPT or ERR_IO; what `lookUp` throws.
   */
  async withPages<T>(lookUp: () => T | typeof MISS, current: () => unknown): Promise<T> {
    const brought = new Map<number, Page>();
    for (;;) {
      const result = this.#lookWith(brought, lookUp);
      if (result !== MISS) return result;
      const missing = this.#missing as Missing;
      const before = current();
      try {
        brought.set(missing.address, await this.load(missing.tree, missing.level, missing));
      } catch (error) {
        if (current() === before || !isStorageError(error, 'ERR_CORRUPT')) throw error;
      }
    }
  }

  #lookWith<T>(brought: Map<number, Page>, lookUp: () => T): T {
    this.#brought = brought;
    try {
      return lookUp();
    } finally {
      this.#brought = undefined;
    }
  }

  /**
   * Reads a page, from memory when it is there.
   * @throws {StorageError} ERR_CORRUPT when it is not what the reference says.
   */
  async load(tree: number, level: number, ref: PageRef): Promise<Page> {
    const known = this.get(tree, level, ref.address, ref.checksum);
    if (known !== undefined) return known;
    const coming = this.#coming.get(ref.address);
    if (coming?.checksum === ref.checksum) return coming.page;
    const page = this.#read(tree, level, ref);
    this.#coming.set(ref.address, { checksum: ref.checksum, page });
    try {
      return await page;
    } finally {
      if (this.#coming.get(ref.address)?.page === page) this.#coming.delete(ref.address);
    }
  }

  async #read(tree: number, level: number, ref: PageRef): Promise<Page> {
    const damaged = (what: string) =>
      new StorageError('ERR_CORRUPT', `page ${ref.address} of the block map ${what}`);
    if (ref.address === 0 || (ref.address + 1) * this.#blockSize > this.#device.size) {
      throw damaged('is outside the save volume');
    }
    const bytes = new Uint8Array(this.#blockSize);
    await this.#device.readInto(bytes, ref.address * this.#blockSize);
    const header = PAGE_HEADER.decode(bytes, 0);
    const view = viewOf(bytes);
    view.setUint32(PAGE_HEADER.at.checksum, 0, true);
    if (
      header.magic !== PAGE_MAGIC ||
      header.checksum !== ref.checksum ||
      checksum(bytes) !== ref.checksum
    ) {
      throw damaged('does not pass its checksum');
    }
    if (header.tree !== tree || header.level !== level || header.address !== ref.address) {
      throw damaged(`belongs elsewhere (tree ${header.tree}, level ${header.level})`);
    }
    return this.add(ref, bytes);
  }

  /** Keeps a page that was just read or written. */
  add(ref: PageRef, bytes: Uint8Array): Page {
    const view = viewOf(bytes);
    const level = view.getUint8(PAGE_HEADER.at.level);
    const count = view.getUint16(PAGE_HEADER.at.count, true);
    const page: Page = {
      address: ref.address,
      checksum: ref.checksum,
      bytes,
      view,
      level,
      count,
      touched: true,
      children: level === 0 ? NO_CHILDREN : new Array(count).fill(undefined),
      parent: undefined,
      place: 0,
    };
    const before = this.#pages.get(ref.address);
    if (before !== undefined) this.#drop(before);
    this.#pages.set(ref.address, page);
    if (this.#pages.size > this.#capacity) this.#evict();
    return page;
  }

  /** Second chance: the oldest page goes unless it was looked at, in which case it is young again. */
  #evict(): void {
    for (const [address, page] of this.#pages) {
      if (!page.touched) {
        this.#drop(page);
        return;
      }
      this.#pages.delete(address);
      page.touched = false;
      this.#pages.set(address, page);
    }
  }

  #keeps(page: Page): boolean {
    return this.#pages.get(page.address) === page;
  }

  /** P1. */
  #drop(page: Page): void {
    this.#pages.delete(page.address);
    if (page.parent !== undefined) page.parent.children[page.place] = undefined;
    for (const child of page.children) if (child !== undefined) child.parent = undefined;
    page.children.fill(undefined);
  }
}
