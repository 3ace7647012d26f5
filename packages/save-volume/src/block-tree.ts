/**
 * BlockTree: a copy-on-write B+tree with keys of three numbers (space, second, third), compared in
 * that order. It changes only by `apply`, a whole batch of sorted updates at a time: pages that
 * change are written to new places, and the new root is handed back; the old tree stays whole until
 * the caller lets its pages go. Inner pages hold, for each child, a lower bound of its keys.
 *
 *   T1  A page is never changed in place.
 *   T2  Every page is named with its checksum by its parent (the root by the superblock), and names
 *       its own address, tree and level: a stale, misplaced or foreign page is found out.
 *   T3  Pages that `apply` replaces are reported, not reused, so the tree before it stays readable.
 *   T4  Every child is named with the number of entries beneath it, so that entries in a range of keys
 *       are counted on two paths from the root, however many they are.
 */
import { type BlockDevice, invariant, isStorageError } from '@palimpsest/block-device';
import { checksum, getU48, setU48, viewOf } from '@palimpsest/bytes';
import { EntryList } from './entry-list.js';
import { CHILD, KEY, PAGE_HEADER, PAGE_MAGIC } from './format.js';
import { MISS, type Page, type PageCache, type PageRef } from './page-cache.js';

/** A root and what is beneath it; `address` 0 means an empty tree. */
export interface TreeRoot extends PageRef {
  /** Levels of pages, 0 when empty. */
  readonly levels: number;
  readonly pages: number;
  readonly entries: number;
}

export const EMPTY_ROOT: TreeRoot = { address: 0, checksum: 0, levels: 0, pages: 0, entries: 0 };

/** An entry found in a leaf: its bytes start at `at`. */
export interface Found {
  readonly view: DataView;
  readonly at: number;
}

/** Sorted updates: an entry each, and whether it removes its key. */
export interface Updates {
  readonly entries: EntryList;
  readonly removed: Uint8Array;
}

/** Where `apply` gets new pages, and tells which ones it replaced. */
export interface PageSupply {
  take(): Promise<number>;
  release(address: number): void;
  /** Lets other work go on: called after about every millisecond's worth of work. */
  readonly turn: () => Promise<void>;
}

/** Pages written, and changes merged, between two turns: as long as a few requests take. */
const PAGES_A_TURN = 4;
const CHANGES_A_TURN = 128;

/** Reads the key of the record at `at`. */
export function readKey(
  view: DataView,
  at: number,
): [space: number, second: number, third: number] {
  return [
    view.getUint32(at + KEY.at.space, true),
    getU48(view, at + KEY.at.second),
    getU48(view, at + KEY.at.third),
  ];
}

/** Writes a key at `at`. */
export function writeKey(
  view: DataView,
  at: number,
  space: number,
  second: number,
  third: number,
): void {
  view.setUint32(at + KEY.at.space, space, true);
  setU48(view, at + KEY.at.second, second);
  setU48(view, at + KEY.at.third, third);
}

/** See the file header. */
export class BlockTree {
  root: TreeRoot;
  readonly #tree: number;
  readonly #stride: number;
  readonly #pages: PageCache;
  readonly #device: BlockDevice;
  readonly #blockSize: number;

  /** `tree` is the number in its pages; leaf entries take `stride` bytes, key first. */
  constructor(
    shape: { tree: number; stride: number; blockSize: number },
    device: BlockDevice,
    pages: PageCache,
    root: TreeRoot,
  ) {
    this.#tree = shape.tree;
    this.#stride = shape.stride;
    this.#blockSize = shape.blockSize;
    this.#device = device;
    this.#pages = pages;
    this.root = root;
  }

  /** The first entry at or after the key. MISS: ask `find`. */
  seek(space: number, second: number, third: number): Found | undefined | typeof MISS {
    const { address, checksum: sum, levels } = this.root;
    if (levels === 0) return undefined;
    const page = this.#pages.get(this.#tree, levels - 1, address, sum);
    return page === undefined ? MISS : this.#seekIn(page, space, second, third);
  }

  /** The same, bringing pages in as needed. */
  find(space: number, second: number, third: number): Promise<Found | undefined> {
    return this.withPages(() => this.seek(space, second, third));
  }

  /** Runs a look-up that asks this tree alone, until no page of it is missing. */
  withPages<T>(lookUp: () => T | typeof MISS): Promise<T> {
    return this.#pages.withPages(lookUp, () => this.root);
  }

  /**
   * Visits the entries from `from` up to but not including `to`, a leaf at a time; `visit` may
   * return false to stop. Entries that appear or go while it waits for a page may be missed.
   */
  async scan(
    from: readonly [number, number, number],
    to: readonly [number, number, number],
    visit: (view: DataView, at: number) => boolean | undefined | undefined,
  ): Promise<void> {
    let [space, second, third] = from;
    for (;;) {
      let found = this.seek(space, second, third);
      if (found === MISS) found = await this.find(space, second, third);
      if (found === undefined) return;
      const count = found.view.getUint16(PAGE_HEADER.at.count, true);
      const end = PAGE_HEADER.size + count * this.#stride;
      for (let { at } = found; at < end; at += this.#stride) {
        if (compareKey(found.view, at, to[0], to[1], to[2]) >= 0) return;
        if (visit(found.view, at) === false) return;
      }
      [space, second, third] = readKey(found.view, end - this.#stride);
      third += 1;
    }
  }

  /** Entries from `from` up to but not including `to`, counted without visiting them (T4). */
  countBetween(
    from: readonly [number, number, number],
    to: readonly [number, number, number],
  ): Promise<number> {
    return this.withPages(() => {
      const below = this.#rank(from);
      const above = below === MISS ? MISS : this.#rank(to);
      return below === MISS || above === MISS ? MISS : Math.max(0, above - below);
    });
  }

  /** The address of every page, for audits: leaves are named by the inner pages and not read. */
  async eachAddress(visit: (address: number) => void): Promise<void> {
    const walk = async (level: number, ref: PageRef): Promise<void> => {
      visit(ref.address);
      if (level === 0) return;
      const page = await this.#pages.load(this.#tree, level, ref);
      for (let index = 0; index < page.count; index += 1)
        await walk(level - 1, childRef(page, index));
    };
    if (this.root.levels > 0) await walk(this.root.levels - 1, this.root);
  }

  /**
   * The least key at which another page begins than the one that holds `key`, as far as inner pages can
   * be read; `undefined` when there is none. For audits that pass over damage.
   */
  async boundAfter(
    key: readonly [number, number, number],
  ): Promise<[number, number, number] | undefined> {
    let bound: [number, number, number] | undefined;
    let ref: PageRef = this.root;
    for (let level = this.root.levels - 1; level > 0; level -= 1) {
      let page: Page;
      try {
        page = await this.#pages.load(this.#tree, level, ref);
      } catch (error) {
        if (!isStorageError(error)) throw error;
        return bound;
      }
      const index = childIndex(page, ...key);
      if (index + 1 < page.count) {
        bound = readKey(page.view, PAGE_HEADER.size + (index + 1) * CHILD.size);
      }
      ref = childRef(page, index);
    }
    return bound;
  }

  /** Every page of the tree, for audits. */
  async eachPage(visit: (page: Page) => void): Promise<void> {
    const walk = async (level: number, ref: PageRef): Promise<void> => {
      const page = await this.#pages.load(this.#tree, level, ref);
      visit(page);
      if (level === 0) return;
      for (let index = 0; index < page.count; index += 1)
        await walk(level - 1, childRef(page, index));
    };
    if (this.root.levels > 0) await walk(this.root.levels - 1, this.root);
  }

  /** Writes a tree with the updates and returns its root; this tree stays as it is (T1, T3). */
  async apply(updates: Updates, supply: PageSupply, generation: number): Promise<TreeRoot> {
    if (updates.entries.count === 0) return this.root;
    const rewriting = new Rewriting(
      { tree: this.#tree, stride: this.#stride, blockSize: this.#blockSize, generation },
      this.#device,
      this.#pages,
      supply,
      updates,
    );
    return rewriting.run(this.root);
  }

  /** Entries before the key. */
  #rank([space, second, third]: readonly [number, number, number]): number | typeof MISS {
    if (this.root.levels === 0) return 0;
    let before = 0;
    let { address, checksum: sum } = this.root;
    for (let level = this.root.levels - 1; ; level -= 1) {
      const page = this.#pages.get(this.#tree, level, address, sum);
      if (page === undefined) return MISS;
      if (level === 0) {
        return before + lowerBound(page.view, page.count, this.#stride, space, second, third);
      }
      const index = childIndex(page, space, second, third);
      for (let child = 0; child < index; child += 1) {
        before += getU48(page.view, PAGE_HEADER.size + child * CHILD.size + CHILD.at.entries);
      }
      ({ address, checksum: sum } = childRef(page, index));
    }
  }

  #seekIn(
    page: Page,
    space: number,
    second: number,
    third: number,
  ): Found | undefined | typeof MISS {
    const { view, count } = page;
    if (page.level === 0) {
      const index = lowerBound(view, count, this.#stride, space, second, third);
      return index < count ? { view, at: PAGE_HEADER.size + index * this.#stride } : undefined;
    }
    // Nothing in the child that should hold the key means it starts in the next one.
    for (let index = childIndex(page, space, second, third); index < count; index += 1) {
      const child =
        page.children[index] ?? this.#pages.child(this.#tree, page, index, childRef(page, index));
      if (child === undefined) return MISS;
      if (!child.touched) child.touched = true;
      const found = this.#seekIn(child, space, second, third);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

/** One run of `apply`, from the leaves that change up to a new root. */
class Rewriting {
  readonly #shape: { tree: number; stride: number; blockSize: number; generation: number };
  readonly #device: BlockDevice;
  readonly #pages: PageCache;
  readonly #supply: PageSupply;
  readonly #updates: Updates;
  readonly #contents: EntryList[] = [];
  #written = 0;
  #pageCount = 0;
  #entryCount = 0;

  constructor(
    shape: { tree: number; stride: number; blockSize: number; generation: number },
    device: BlockDevice,
    pages: PageCache,
    supply: PageSupply,
    updates: Updates,
  ) {
    this.#shape = shape;
    this.#device = device;
    this.#pages = pages;
    this.#supply = supply;
    this.#updates = updates;
  }

  async run(root: TreeRoot): Promise<TreeRoot> {
    this.#pageCount = root.pages;
    this.#entryCount = root.entries;
    const end = this.#updates.entries.count;
    let level = Math.max(0, root.levels - 1);
    let content = this.#contentOf(level, root.levels === 0 ? end : 0);
    if (root.levels === 0) await this.#merge(undefined, 0, end, content);
    else await this.#rewrite(await this.#take(level, root), 0, end, content);
    // An inner root with a single child is no use: the child is the root then.
    while (content.count > 1 || (content.count === 1 && level === 0)) {
      const parents = new EntryList(CHILD.size);
      await this.#emit(content, level, undefined, parents);
      content = parents;
      level += 1;
      if (content.count === 1) break;
    }
    const counts = { pages: this.#pageCount, entries: this.#entryCount };
    if (content.count === 0) return { ...EMPTY_ROOT, ...counts };
    return {
      address: getU48(content.view, CHILD.at.address),
      checksum: content.view.getUint32(CHILD.at.checksum, true),
      levels: level,
      ...counts,
    };
  }

  /** Adds the content of `page` with updates `from`..`to` applied to `out`; the page itself is given up. */
  async #rewrite(page: Page, from: number, to: number, out: EntryList): Promise<void> {
    if (page.level === 0) {
      await this.#merge(page, from, to, out);
      return;
    }
    const level = page.level - 1;
    const start = out.count;
    // Changed siblings in a row are merged and split anew together, so that pages do not wither.
    const content = this.#contentOf(level);
    let key: Uint8Array | undefined;
    let next = from;
    for (let index = 0; index < page.count; index += 1) {
      const first = next;
      next = index + 1 < page.count ? this.#firstUpdateAtOrAfter(page, index + 1, first, to) : to;
      const changed = next > first;
      if (changed || (key !== undefined && this.#isSmall(content, level))) {
        const child = await this.#take(level, childRef(page, index));
        if (key === undefined) content.count = 0;
        key ??= keyBytes(page, index);
        if (changed) await this.#rewrite(child, first, next, content);
        else content.append(child.bytes, PAGE_HEADER.size, child.count);
      } else {
        if (key !== undefined) await this.#emit(content, level, key, out);
        key = undefined;
        out.append(page.bytes, PAGE_HEADER.size + index * CHILD.size);
      }
    }
    if (key !== undefined) await this.#finishRun({ key, content }, level, out, start);
  }

  /** Emits the last run of a page; a small one is joined with the sibling before it in that page. */
  async #finishRun(
    run: { key: Uint8Array; content: EntryList },
    level: number,
    children: EntryList,
    start: number,
  ): Promise<void> {
    let { key, content } = run;
    if (children.count > start && content.count > 0 && this.#isSmall(content, level)) {
      children.count -= 1;
      const at = children.count * CHILD.size;
      key = children.bytes.slice(at, at + KEY.size);
      const sibling = await this.#take(level, {
        address: getU48(children.view, at + CHILD.at.address),
        checksum: children.view.getUint32(at + CHILD.at.checksum, true),
      });
      const joined = new EntryList(this.#strideOf(level), sibling.count + content.count);
      joined.append(sibling.bytes, PAGE_HEADER.size, sibling.count);
      joined.append(content.bytes, 0, content.count);
      content = joined;
    }
    await this.#emit(content, level, key, children);
  }

  /** Splits `content` evenly into pages, writes them, and adds a child for each to `parents`. */
  async #emit(
    content: EntryList,
    level: number,
    firstKey: Uint8Array | undefined,
    parents: EntryList,
  ): Promise<void> {
    const stride = this.#strideOf(level);
    const pages = Math.ceil(content.count / this.#capacityOf(level));
    for (let page = 0; page < pages; page += 1) {
      const start = Math.floor((content.count * page) / pages);
      const end = Math.floor((content.count * (page + 1)) / pages);
      this.#written += 1;
      if (this.#written % PAGES_A_TURN === 0) await this.#supply.turn();
      const address = await this.#supply.take();
      const bytes = new Uint8Array(this.#shape.blockSize);
      PAGE_HEADER.encode(bytes, 0, {
        magic: PAGE_MAGIC,
        tree: this.#shape.tree,
        level,
        count: end - start,
        address,
        generation: this.#shape.generation,
        reserved: 0,
        checksum: 0,
      });
      bytes.set(content.bytes.subarray(start * stride, end * stride), PAGE_HEADER.size);
      const sum = checksum(bytes);
      new DataView(bytes.buffer).setUint32(PAGE_HEADER.at.checksum, sum, true);
      const kept = this.#pages.add({ address, checksum: sum }, bytes);
      await this.#device.write(bytes, address * this.#shape.blockSize);
      this.#pageCount += 1;
      invariant(kept.count === end - start, 'a page holds what it was given');
      const at = parents.extend();
      const own = keyBytesAt(content.bytes, start * stride);
      const key = page === 0 && firstKey !== undefined ? earlierKey(firstKey, own) : own;
      parents.bytes.fill(0, at, at + CHILD.size);
      parents.bytes.set(key, at);
      setU48(parents.view, at + CHILD.at.address, address);
      setU48(parents.view, at + CHILD.at.entries, entriesIn(content, level, start, end));
      parents.view.setUint32(at + CHILD.at.checksum, sum, true);
    }
  }

  /** Adds a leaf's entries and updates to `out` in one key order; an update replaces or removes its key. */
  async #merge(page: Page | undefined, from: number, to: number, out: EntryList): Promise<void> {
    const { entries, removed } = this.#updates;
    const { stride } = this.#shape;
    const { bytes, view } = page ?? entries; // without a page, none of either is looked at
    const end = page?.count ?? 0;
    const placeOf = (index: number): number => PAGE_HEADER.size + index * stride;
    let index = 0;
    for (let update = from; update < to; update += 1) {
      if (update % CHANGES_A_TURN === CHANGES_A_TURN - 1) await this.#supply.turn();
      const [space, second, third] = readKey(entries.view, update * stride);
      const start = index;
      let order = -1;
      while (index < end) {
        order = compareKey(view, placeOf(index), space, second, third);
        if (order >= 0) break;
        index += 1;
      }
      out.append(bytes, placeOf(start), index - start);
      const replaces = index < end && order === 0;
      if (replaces) index += 1;
      if (removed[update] === 0) out.append(entries.bytes, update * stride);
      this.#entryCount += (removed[update] === 0 ? 1 : 0) - (replaces ? 1 : 0);
    }
    out.append(bytes, placeOf(index), end - index);
  }

  /**
   * Memory for what becomes of the pages of a level: one run of siblings at a time, of `expected` entries
   * or more.
   */
  #contentOf(level: number, expected = 0): EntryList {
    const known = this.#contents[level];
    if (known !== undefined) return known;
    const capacity = Math.max(expected, 2 * this.#capacityOf(level));
    const content = new EntryList(this.#strideOf(level), capacity);
    this.#contents[level] = content;
    return content;
  }

  /** Loads a page that is about to be replaced. */
  async #take(level: number, ref: PageRef): Promise<Page> {
    const page = await this.#pages.load(this.#shape.tree, level, ref);
    this.#supply.release(ref.address);
    this.#pageCount -= 1;
    return page;
  }

  #firstUpdateAtOrAfter(page: Page, child: number, from: number, to: number): number {
    const [space, second, third] = readKey(page.view, PAGE_HEADER.size + child * CHILD.size);
    let low = from;
    let high = to;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const at = middle * this.#shape.stride;
      if (compareKey(this.#updates.entries.view, at, space, second, third) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #isSmall(content: EntryList, level: number): boolean {
    return content.count < this.#capacityOf(level) / 4;
  }

  #strideOf(level: number): number {
    return level === 0 ? this.#shape.stride : CHILD.size;
  }

  #capacityOf(level: number): number {
    return Math.floor((this.#shape.blockSize - PAGE_HEADER.size) / this.#strideOf(level));
  }
}

/** Negative, zero or positive as the key at `at` is before, equal to or after the given one. */
export function compareKey(
  view: DataView,
  at: number,
  space: number,
  second: number,
  third: number,
): number {
  const difference = view.getUint32(at, true) - space;
  if (difference !== 0) return difference;
  const mine = view.getUint32(at + 4, true) + view.getUint16(at + 8, true) * 0x1_0000_0000;
  if (mine !== second) return mine - second;
  return view.getUint32(at + 10, true) + view.getUint16(at + 14, true) * 0x1_0000_0000 - third;
}

function lowerBound(
  view: DataView,
  count: number,
  stride: number,
  space: number,
  second: number,
  third: number,
): number {
  let low = 0;
  let high = count;
  // From a guess on in steps that double, until the key is between two probes; then by halves.
  let probe = guess(view, count, stride, space, second);
  for (let step = 1; low < high; step *= 2) {
    const isBelow = compareKey(view, PAGE_HEADER.size + probe * stride, space, second, third) < 0;
    if (isBelow) low = probe + 1;
    else high = probe;
    const next = isBelow ? probe + step : probe - step;
    probe = next < low || next >= high ? (low + high) >>> 1 : next;
  }
  return low;
}

/**
 * Where a key is if blocks lie evenly between the first and the last of the page, as they mostly do: each
 * probe elsewhere is a line of memory that the processor has to wait for.
 */
function guess(
  view: DataView,
  count: number,
  stride: number,
  space: number,
  second: number,
): number {
  const first = PAGE_HEADER.size;
  const last = first + (count - 1) * stride;
  const isOfOneSpace =
    count > 1 && view.getUint32(first, true) === space && view.getUint32(last, true) === space;
  if (!isOfOneSpace) return count >>> 1;
  const least = getU48(view, first + KEY.at.second);
  const most = getU48(view, last + KEY.at.second);
  if (second <= least) return 0;
  if (second >= most) return count - 1;
  return Math.floor(((second - least) / (most - least)) * (count - 1));
}

/** The last child whose lower bound is not after the key, or the first one. */
function childIndex(page: Page, space: number, second: number, third: number): number {
  const index = lowerBound(page.view, page.count, CHILD.size, space, second, third);
  const at = PAGE_HEADER.size + index * CHILD.size;
  const exact = index < page.count && compareKey(page.view, at, space, second, third) === 0;
  return exact ? index : Math.max(0, index - 1);
}

function childRef(page: Page, index: number): PageRef {
  const at = PAGE_HEADER.size + index * CHILD.size;
  return {
    address: getU48(page.view, at + CHILD.at.address),
    checksum: page.view.getUint32(at + CHILD.at.checksum, true),
  };
}

/** Entries in leaves that records `start` to `end` of a page's content stand for (T4). */
function entriesIn(content: EntryList, level: number, start: number, end: number): number {
  if (level === 0) return end - start;
  let entries = 0;
  for (let index = start; index < end; index += 1) {
    entries += getU48(content.view, index * CHILD.size + CHILD.at.entries);
  }
  return entries;
}

function keyBytes(page: Page, index: number): Uint8Array {
  return keyBytesAt(page.bytes, PAGE_HEADER.size + index * CHILD.size);
}

/**
 * The bound of a page that replaces one with the bound `known`. The very first child takes keys below
 * its bound too; its pages must not be bounded out of order.
 */
function earlierKey(known: Uint8Array, own: Uint8Array): Uint8Array {
  return compareKey(viewOf(known), 0, ...readKey(viewOf(own), 0)) <= 0 ? known : own;
}

function keyBytesAt(bytes: Uint8Array, at: number): Uint8Array {
  return bytes.slice(at, at + KEY.size);
}
