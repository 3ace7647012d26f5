/**
 * Scanning the block map for audits: a slice at a time, from a key on, tree and pending changes
 * together; and going on after a page that cannot be read.
 */
import { isStorageError } from '@palimpsest/block-device';
import type { BlockMap } from './block-map.js';
import { type BlockTree, readKey } from './block-tree.js';
import { readEntry } from './entries.js';
import type { MapEntry } from './pending-map.js';
import { LIVE } from './versions.js';

/** A key of either tree. */
export type ScanKey = readonly [space: number, second: number, third: number];

/** From the first key of a tree to after the last. */
export const EVERYTHING: { readonly from: ScanKey; readonly to: ScanKey } = {
  from: [0, 0, 0],
  to: [2 ** 32, 0, 0],
};

/** An entry of the map as it is now, with what is pending. */
export interface ScannedEntry {
  readonly space: number;
  readonly block: number;
  readonly entry: MapEntry;
}

/** What a slice of the by-block tree holds. */
export interface Slice {
  readonly entries: ScannedEntry[];
  /** Where the next slice begins, at the start of a block; `undefined` after the last. */
  readonly next: ScanKey | undefined;
  /** The tree alone: keys of entries that must be in the by-version tree, and how many there are. */
  readonly keys: ScanKey[];
  readonly found: number;
}

/** The entries from `from` on, about `most` of the tree's, whole blocks. */
export async function scanSlice(map: BlockMap, from: ScanKey, most: number): Promise<Slice> {
  const entries: ScannedEntry[] = [];
  const keys: ScanKey[] = [];
  let found = 0;
  let stop: ScanKey | undefined;
  let last = -1;
  const damage = await scanReadable(map.byBlock, from, (view, at) => {
    const [space, block, version] = readKey(view, at);
    if (found >= most && block !== last) {
      stop = [space, block, 0];
      return false;
    }
    last = block;
    found += 1;
    if (version !== LIVE) keys.push([space, version, block]);
    if (map.changeOf(space, block, version) === undefined) {
      entries.push({ space, block, entry: readEntry({ view, at }) });
    }
    return true;
  });
  const next = stop ?? damage;
  const [endSpace, endBlock] = next ?? EVERYTHING.to;
  for (const space of map.pending.spaces()) {
    if (space < from[0] || space > endSpace) continue;
    const first = space === from[0] ? from[1] : 0;
    const end = space === endSpace ? endBlock : Number.POSITIVE_INFINITY;
    map.pending.eachIn(space, first, end, (block, entry) => {
      if (!entry.removed) entries.push({ space, block, entry });
    });
  }
  return { entries, next, keys, found };
}

/**
 * Scans a tree from `from` on; ends before a page that cannot be read, and then tells where that begins.
 * @throws {StorageError} when the first page is that one already.
 */
export async function scanReadable(
  tree: BlockTree,
  from: ScanKey,
  visit: Parameters<BlockTree['scan']>[2],
): Promise<ScanKey | undefined> {
  let last: ScanKey | undefined;
  try {
    await tree.scan(from, EVERYTHING.to, (view, at) => {
      last = readKey(view, at);
      return visit(view, at);
    });
    return undefined;
  } catch (error) {
    if (!isStorageError(error) || last === undefined) throw error;
    return tree.boundAfter(last);
  }
}

/** Those of the keys that the tree has no entry of. A page that cannot be read is not their fault. */
export async function missingIn(tree: BlockTree, keys: readonly ScanKey[]): Promise<ScanKey[]> {
  const missing: ScanKey[] = [];
  for (const key of keys) {
    try {
      if (!(await has(tree, key))) missing.push(key);
    } catch (error) {
      if (!isStorageError(error)) throw error;
    }
  }
  return missing;
}

async function has(tree: BlockTree, key: ScanKey): Promise<boolean> {
  const found = await tree.find(...key);
  return found !== undefined && sameKey(readKey(found.view, found.at), key);
}

/** The first key after `from` that can be found on other pages than those that cannot be read. */
export async function skipDamage(tree: BlockTree, from: ScanKey): Promise<ScanKey | undefined> {
  for (let key: ScanKey = from; ; ) {
    const next = await tree.boundAfter(key);
    if (next === undefined) return undefined;
    if (await isReadable(tree, next)) return next;
    key = next;
  }
}

async function isReadable(tree: BlockTree, key: ScanKey): Promise<boolean> {
  try {
    await has(tree, key);
    return true;
  } catch (error) {
    if (!isStorageError(error)) throw error;
    return false;
  }
}

function sameKey(a: ScanKey, b: ScanKey): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2];
}
