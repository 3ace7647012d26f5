/**
 * BlockMap: (space, block, version) -> where the bytes are. The one ordered map that replaces the
 * patent's bit maps, block maps and queue of hash indices: "block b as snapshot k has it" is the
 * first entry of b whose version is k or later, whatever the number of snapshots.
 *
 *   by-block tree    (space, block, version) -> address, checksum   every entry
 *   by-version tree  (space, version, block)                        all but what is LIVE at level 0
 *   pending          what was committed since the last checkpoint
 *
 *   M1  A look-up sees pending changes over the trees'.
 *   M2  Both trees change in the same checkpoint, so they always agree.
 */
import type { BlockDevice } from '@palimpsest/block-device';
import { getU48 } from '@palimpsest/bytes';
import { BlockTree, type PageSupply, readKey, type TreeRoot } from './block-tree.js';
import { listBlocksBetween } from './blocks-between.js';
import { readEntry } from './entries.js';
import { ENTRY, KEY } from './format.js';
import { KnownPlaces, type Place, UNKNOWN } from './known-places.js';
import { MISS, PageCache } from './page-cache.js';
import { type MapEntry, type PendingEntry, PendingMap } from './pending-map.js';
import { treeUpdates } from './tree-updates.js';
import { endOfLevel, LIVE } from './versions.js';

const BY_BLOCK = 1;
const BY_VERSION = 2;

/** Both roots, as a superblock names them. */
export interface MapRoots {
  readonly blocks: TreeRoot;
  readonly versions: TreeRoot;
}

/** See the file header. */
export class BlockMap {
  readonly pending: PendingMap = new PendingMap();
  readonly byBlock: BlockTree;
  readonly byVersion: BlockTree;
  readonly #places = new KnownPlaces();

  constructor(device: BlockDevice, blockSize: number, cacheBytes: number, roots: MapRoots) {
    const pages = new PageCache(device, blockSize, cacheBytes);
    const shape = (tree: number, stride: number) => ({ tree, stride, blockSize });
    this.byBlock = new BlockTree(shape(BY_BLOCK, ENTRY.size), device, pages, roots.blocks);
    this.byVersion = new BlockTree(shape(BY_VERSION, KEY.size), device, pages, roots.versions);
  }

  /**
   * The first entry of the block whose version is `version` or later, on the same level (E2).
   * MISS: ask by `withPages`.
   */
  lookUp(space: number, block: number, version: number): MapEntry | undefined | typeof MISS {
    const head = this.pending.head(space, block);
    const settled = this.#lookUpInTree(head, space, block, version);
    if (settled === MISS) return MISS;
    const end = endOfLevel(version);
    let best = settled !== undefined && settled.version <= end ? settled : undefined;
    for (let entry = head; entry !== undefined; entry = entry.next) {
      if (entry.removed || entry.version < version || entry.version > end) continue;
      if (best === undefined || entry.version < best.version) best = entry;
    }
    return best;
  }

  /** Where the bytes are of what `lookUp` finds; quicker for a block that was asked for lately. */
  placeOf(space: number, block: number, version: number): Place | undefined | typeof MISS {
    const known = this.#places.find(space, block, version);
    if (known !== UNKNOWN) return known;
    const entry = this.lookUp(space, block, version);
    if (entry !== MISS) this.#places.keep(space, block, version, entry);
    return entry;
  }

  /** Puts or removes an entry; durable with the journal's record of it. */
  change(space: number, block: number, entry: MapEntry, removed: boolean): void {
    this.pending.set(space, block, entry, removed);
    this.#places.forget(space, block);
  }

  /** Runs what looks up in this map again, with one more page each time, until it does not miss. */
  withPages<T>(lookUp: () => T | typeof MISS): Promise<T> {
    return this.byBlock.withPages(lookUp);
  }

  /**
   * Visits the blocks from `from` on and below `to` that have an entry of exactly `version`, or had
   * one when this was called; those that get one meanwhile may be missed. A block may come twice.
   */
  async eachSaved(
    space: number,
    version: number,
    from: number,
    to: number,
    visit: (block: number) => void,
  ): Promise<void> {
    // Pending first: a checkpoint during the scan moves entries from there into the tree, perhaps
    // behind the scan's back, but never the other way.
    const { pending } = this;
    pending.eachIn(space, from, to, (block, entry) => {
      if (entry.version === version && !entry.removed) visit(block);
    });
    await this.byVersion.scan([space, version, from], [space, version, to], (view, at) => {
      visit(getU48(view, at + KEY.at.third));
    });
  }

  /** The first `limit` blocks from `from` on that have an entry of exactly `version`, in order. */
  async listSaved(space: number, version: number, from: number, limit: number): Promise<number[]> {
    // Pending first, as in `eachSaved`.
    const pending: number[] = [];
    this.pending.eachOf(space, (block, entry) => {
      if (block >= from && !entry.removed && entry.version === version) pending.push(block);
    });
    const blocks: number[] = [];
    await this.byVersion.scan([space, version, from], [space, version + 1, 0], (view, at) => {
      const block = getU48(view, at + KEY.at.third);
      if (this.changeOf(space, block, version) === undefined) blocks.push(block);
      return blocks.length < limit;
    });
    return [...new Set([...blocks, ...pending])].sort((x, y) => x - y).slice(0, limit);
  }

  /**
   * The first `limit` (or a few more) entries of a space from block `from` on and below `to`, in order;
   * never a part of one block's. Fewer than `limit` means that there are no more.
   */
  async listEntries(
    space: number,
    from: number,
    to: number,
    limit: number,
  ): Promise<{ block: number; entry: MapEntry }[]> {
    for (;;) {
      const { root } = this.byBlock;
      const found = await this.#listEntries(space, from, to, limit);
      // A checkpoint in between has moved what was pending into the tree, behind the scan's back.
      if (this.byBlock.root === root) return found;
    }
  }

  async #listEntries(
    space: number,
    from: number,
    to: number,
    limit: number,
  ): Promise<{ block: number; entry: MapEntry }[]> {
    const found: { block: number; entry: MapEntry }[] = [];
    await this.byBlock.scan([space, from, 0], [space, to, 0], (view, at) => {
      const [, block, version] = readKey(view, at);
      // Never part of a block's entries: a caller that goes on does so at the next block.
      if (found.length >= limit && found.at(-1)?.block !== block) return false;
      if (this.changeOf(space, block, version) === undefined) {
        found.push({ block, entry: readEntry({ view, at }) });
      }
      return true;
    });
    // What is pending beyond the last entry found belongs to a later call.
    const end = found.length >= limit ? (found.at(-1)?.block as number) + 1 : to;
    this.pending.eachIn(space, from, end, (block, entry) => {
      if (!entry.removed) found.push({ block, entry });
    });
    return found.sort((x, y) => x.block - y.block || x.entry.version - y.entry.version);
  }

  /**
   * Visits block and version of all entries of a space from block `from` on and below `to`, in no order.
   * What changes meanwhile comes as it was, as it is, or both; an entry may come twice.
   */
  async eachEntry(
    space: number,
    from: number,
    to: number,
    visit: (block: number, version: number) => void,
  ): Promise<void> {
    for (;;) {
      const { root } = this.byBlock;
      await this.byBlock.scan([space, from, 0], [space, to, 0], (view, at) => {
        const block = getU48(view, at + KEY.at.second);
        const version = getU48(view, at + KEY.at.third);
        if (this.changeOf(space, block, version) === undefined) visit(block, version);
      });
      // Pending last: an entry that moves to another version during the scan is found here.
      this.pending.eachIn(space, from, to, (block, entry) => {
        if (!entry.removed) visit(block, entry.version);
      });
      // A checkpoint in between has moved what was pending into the tree, behind the scan's back.
      if (this.byBlock.root === root) return;
    }
  }

  /** Whether a space has an entry with a version from `from` on and below `to`, LIVE blocks left out. */
  async hasVersions(space: number, from: number, to: number): Promise<boolean> {
    if (this.pending.countOf(space, from, to) > 0) return true;
    let found = false;
    await this.byVersion.scan([space, from, 0], [space, to, 0], (view, at) => {
      const [, version, block] = readKey(view, at);
      found = this.changeOf(space, block, version) === undefined;
      return !found;
    });
    return found;
  }

  /** Entries of a space, or of one version in it: as `countAtMost`, so an estimate. */
  async count(space: number, version?: number): Promise<number> {
    if (version !== undefined) return this.countAtMost(space, version, version + 1);
    const count = await this.byBlock.countBetween([space, 0, 0], [space + 1, 0, 0]);
    return count + this.pending.countOf(space, 0, Number.POSITIVE_INFINITY);
  }

  /**
   * No fewer than the entries of single blocks of a space whose version is `version` or later, those that
   * are LIVE too; counted as `countAtMost` does.
   */
  async countFrom(space: number, version: number): Promise<number> {
    for (;;) {
      const { root } = this.byBlock;
      const pending = this.pending.countOf(space, version, Number.POSITIVE_INFINITY);
      const all = await this.byBlock.countBetween([space, 0, 0], [space + 1, 0, 0]);
      const older = await this.byVersion.countBetween([space, 0, 0], [space, version, 0]);
      // After a checkpoint in between, older ones that were pending would be taken off uncounted.
      if (this.byBlock.root === root) return pending + all - older;
    }
  }

  /**
   * No fewer than the entries of a space whose version (keyed, versions.ts; LIVE at level 0 left out)
   * is from `from` on and below `to`: those of the tree, counted on two paths from its root (T4),
   * plus what is pending. Exact when nothing is: right after a checkpoint.
   */
  async countAtMost(space: number, from: number, to: number): Promise<number> {
    // Pending first: what a checkpoint moves meanwhile is counted twice, and never missed.
    const isLiveIn = from <= LIVE && LIVE < to;
    const live = isLiveIn ? this.pending.countOf(space, LIVE, LIVE + 1) : 0;
    const pending = this.pending.countOf(space, from, to) - live;
    return pending + (await this.byVersion.countBetween([space, from, 0], [space, to, 0]));
  }

  /**
   * The first `limit` blocks from `fromBlock` on, in order, that have an entry of level 0 whose version
   * is from `from` on and below `to` (`LIVE + 1` takes what is current in). Fewer than `limit` means
   * that there are no more.
   */
  blocksBetween(
    space: number,
    from: number,
    to: number,
    fromBlock: number,
    limit: number,
  ): Promise<number[]> {
    return listBlocksBetween(this, space, { from, to: Math.min(to, LIVE + 1) }, fromBlock, limit);
  }

  /** Writes both trees with the pending changes (M2). The map itself changes by `adopt`. */
  async merge(supply: PageSupply, generation: number): Promise<MapRoots> {
    const { blocks, versions } = await treeUpdates(this.pending, supply.turn);
    return {
      blocks: await this.byBlock.apply(blocks, supply, generation),
      versions: await this.byVersion.apply(versions, supply, generation),
    };
  }

  /** Makes merged trees the current ones; nothing is pending any more. */
  adopt(roots: MapRoots): void {
    this.byBlock.root = roots.blocks;
    this.byVersion.root = roots.versions;
    this.pending.clear();
  }

  /** The pending change of an entry, if there is one. */
  changeOf(space: number, block: number, version: number): PendingEntry | undefined {
    let change = this.pending.head(space, block);
    while (change !== undefined && change.version !== version) change = change.next;
    return change;
  }

  #lookUpInTree(
    head: PendingEntry | undefined,
    space: number,
    block: number,
    version: number,
  ): MapEntry | undefined | typeof MISS {
    for (let from = version; ; ) {
      const found = this.byBlock.seek(space, block, from);
      if (found === MISS) return MISS;
      if (found === undefined) return undefined;
      const [foundSpace, foundBlock, foundVersion] = readKey(found.view, found.at);
      if (foundSpace !== space || foundBlock !== block) return undefined;
      let change = head;
      while (change !== undefined && change.version !== foundVersion) change = change.next;
      if (change === undefined) return readEntry(found);
      if (!change.removed) return change;
      from = foundVersion + 1;
    }
  }
}
