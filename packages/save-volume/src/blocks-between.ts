/**
 * listBlocksBetween: which blocks of a space changed between two versions, from the block map alone.
 * Both trees know; which of them is read depends on the cost:
 *
 *   by version   the blocks of each version in the range are in order already: they are merged
 *   by block     when most entries of the space are in the range, or so many versions that looking
 *                into each costs more than passing over the others' entries
 */
import { getU48 } from '@palimpsest/bytes';
import type { BlockMap } from './block-map.js';
import { readKey } from './block-tree.js';
import { KEY } from './format.js';
import { LIVE } from './versions.js';

/** Versions from `from` on and below `to`, level 0. */
export interface VersionRange {
  readonly from: number;
  readonly to: number;
}

/** A version's blocks are read this many at a time in a merge. */
const CHUNK = 256;
/** Versions that are merged at most: each has a chunk in memory. */
const MERGED_MAX = 4096;

/** See the file header, and `BlockMap.blocksBetween`. */
export async function listBlocksBetween(
  map: BlockMap,
  space: number,
  range: VersionRange,
  fromBlock: number,
  limit: number,
): Promise<number[]> {
  if (limit < 1 || range.from >= range.to) return [];
  // Pending first: a checkpoint meanwhile moves entries from there into the trees, never back.
  const pending = pendingBlocks(map, space, range, fromBlock);
  const versions = range.to > LIVE ? undefined : await mergeable(map, space, range, limit);
  const stored =
    versions === undefined
      ? await scanByBlock(map, space, range, fromBlock, limit)
      : await new Merge(map, space, versions, fromBlock).take(limit);
  return union(stored, pending, limit);
}

/** Blocks with a pending entry in the range, in order. */
function pendingBlocks(
  map: BlockMap,
  space: number,
  { from, to }: VersionRange,
  fromBlock: number,
): Float64Array {
  const blocks: number[] = [];
  map.pending.eachOf(space, (block, { removed, version }) => {
    if (block >= fromBlock && !removed && version >= from && version < to) blocks.push(block);
  });
  return Float64Array.from(blocks).sort();
}

/** The versions in the range that the tree has entries of, unless a scan by block is cheaper. */
async function mergeable(
  map: BlockMap,
  space: number,
  { from, to }: VersionRange,
  limit: number,
): Promise<number[] | undefined> {
  const inRange = await map.byVersion.countBetween([space, from, 0], [space, to, 0]);
  const all = await map.byBlock.countBetween([space, 0, 0], [space + 1, 0, 0]);
  if (inRange * 3 > all) return undefined;
  const versions: number[] = [];
  for (let version = from; version < to; ) {
    const found = await seekVersion(map, space, version);
    if (found === undefined || found >= to) break;
    versions.push(found);
    if (versions.length > Math.min(MERGED_MAX, Math.max(16, limit))) return undefined;
    version = found + 1;
  }
  return versions;
}

/** The first version at or after `version` that has entries in the by-version tree. */
async function seekVersion(
  map: BlockMap,
  space: number,
  version: number,
): Promise<number | undefined> {
  const found = await map.byVersion.find(space, version, 0);
  if (found === undefined) return undefined;
  const [foundSpace, foundVersion] = readKey(found.view, found.at);
  return foundSpace === space ? foundVersion : undefined;
}

async function scanByBlock(
  map: BlockMap,
  space: number,
  { from, to }: VersionRange,
  fromBlock: number,
  limit: number,
): Promise<number[]> {
  const blocks: number[] = [];
  await map.byBlock.scan([space, fromBlock, 0], [space + 1, 0, 0], (view, at) => {
    const [, block, version] = readKey(view, at);
    if (version < from || version >= to || blocks.at(-1) === block) return true;
    if (map.changeOf(space, block, version)?.removed !== true) blocks.push(block);
    return blocks.length < limit;
  });
  return blocks;
}

/** One version's blocks, a chunk at a time. */
interface Stream {
  readonly version: number;
  blocks: number[];
  at: number;
}

/** The blocks of several versions merged, in order. */
class Merge {
  readonly #map: BlockMap;
  readonly #space: number;
  readonly #from: number;
  readonly #versions: readonly number[];
  /** A heap by the next block of each. */
  readonly #heap: Stream[] = [];

  constructor(map: BlockMap, space: number, versions: readonly number[], from: number) {
    this.#map = map;
    this.#space = space;
    this.#versions = versions;
    this.#from = from;
  }

  async take(limit: number): Promise<number[]> {
    for (const version of this.#versions) {
      const stream: Stream = { version, blocks: [], at: 0 };
      if (await this.#fill(stream, this.#from, limit)) this.#heap.push(stream);
    }
    for (let index = this.#heap.length >> 1; index >= 0; index -= 1) this.#sink(index);
    const blocks: number[] = [];
    for (let top = this.#heap[0]; top !== undefined && blocks.length < limit; top = this.#heap[0]) {
      const block = headOf(top);
      if (blocks.at(-1) !== block) blocks.push(block);
      top.at += 1;
      if (top.at === top.blocks.length && !(await this.#fill(top, block + 1, limit))) {
        const last = this.#heap.pop() as Stream;
        if (this.#heap.length > 0) this.#heap[0] = last;
      }
      this.#sink(0);
    }
    return blocks;
  }

  /** Reads the next chunk; false when there is none. */
  async #fill(stream: Stream, from: number, limit: number): Promise<boolean> {
    const { version } = stream;
    const blocks: number[] = [];
    const most = Math.min(CHUNK, limit);
    const end = [this.#space, version + 1, 0] as const;
    await this.#map.byVersion.scan([this.#space, version, from], end, (view, at) => {
      const block = getU48(view, at + KEY.at.third);
      if (this.#map.changeOf(this.#space, block, version)?.removed !== true) blocks.push(block);
      return blocks.length < most;
    });
    stream.blocks = blocks;
    stream.at = 0;
    return blocks.length > 0;
  }

  #sink(index: number): void {
    const heap = this.#heap;
    for (let at = index; ; ) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        const [a, b] = [heap[child], heap[least]];
        if (a !== undefined && b !== undefined && headOf(a) < headOf(b)) least = child;
      }
      if (least === at) return;
      [heap[at], heap[least]] = [heap[least] as Stream, heap[at] as Stream];
      at = least;
    }
  }
}

function headOf(stream: Stream): number {
  return stream.blocks[stream.at] as number;
}

/** Two ascending lists as one, each block once, at most `limit`. */
function union(a: readonly number[], b: Float64Array, limit: number): number[] {
  const blocks: number[] = [];
  for (let i = 0, j = 0; blocks.length < limit && (i < a.length || j < b.length); ) {
    const x = a[i] ?? Number.POSITIVE_INFINITY;
    const y = b[j] ?? Number.POSITIVE_INFINITY;
    const block = Math.min(x, y);
    if (x === block) i += 1;
    else j += 1;
    if (blocks.at(-1) !== block) blocks.push(block);
  }
  return blocks;
}
