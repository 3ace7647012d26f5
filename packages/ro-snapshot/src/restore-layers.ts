/**
 * RestoreLayers: the restores of a production volume that are not finished, oldest first, each a
 * layer over the clone volume that is taken off block by block (docs/adr/0016).
 *
 *   level   0 the clone volume; x the source S_x of layer x, whose undo snapshot is U_x
 *   done    d(b): the highest layer that block b is done for. Done for x is done for all below it
 *   pending at level x: d(b) < x, and one of the layers above d(b) up to x may differ in b
 *
 *   RS1  A snapshot in (U_x, U_x+1] that has no state of its own of b reads S_x where b is pending at
 *        x, else the clone volume; production is read like a snapshot younger than all.
 *   RS2  A mark becomes durable after a flush of the clone volume that covers what it speaks of, and
 *        before a flush or a snapshot that relies on it is answered. Until then it is in `unmarked`.
 *   RS5  A block that is not pending never becomes so: sources and undo snapshots stay, entries between
 *        them only move among snapshots between them, and a block that gets one there is marked as
 *        done by the flush that covers it (until then its source has the same bytes); and nothing is
 *        copied into a branch that a source reads through (`restoreSources`). So a region can be
 *        dropped from memory and loaded again, but for what is in `unmarked`.
 *   RS9  No block beyond the volume's end as it was when a restore started is pending for it: there the
 *        source has zeros, and so has the volume, once it has grown.
 */
import { type Completion, together } from '@palimpsest/block-device';
import { BitMap } from '@palimpsest/bytes';
import type { SaveVolume } from '@palimpsest/save-volume';
import { Regions } from './regions.js';
import { DONE, type RestoreLayer } from './restore-records.js';
import type { UnusedSpans } from './unused-spans.js';

/** Blocks in a region, 512 bytes of bits per layer and fact: the first read waits for all of them. */
const REGION_BLOCKS = 4096;
/** Regions kept: 8 MiB of bit maps per layer and fact. */
const REGIONS_MAX = 16_384;
/** Entries looked at together when a region is loaded. */
const LIST_STEP = 4096;

interface Region {
  /** By layer, oldest first. */
  readonly candidates: readonly BitMap[];
  readonly done: readonly BitMap[];
  /** No layer has a block here that may differ. */
  empty: boolean;
}

/** See the file header. */
export class RestoreLayers {
  readonly #save: SaveVolume;
  readonly #space: number;
  readonly #unused: UnusedSpans;
  #layers: readonly RestoreLayer[] = [];
  readonly #regions = new Regions(REGION_BLOCKS, REGIONS_MAX, () =>
    makeRegion(this.#layers.length),
  );
  /** Done for the top layer, and the mark is not durable. */
  #unmarked = new Set<number>();
  /** Those that a flush of the clone volume covers: their marks may be written (RS2). */
  #covered = new Set<number>();

  constructor(save: SaveVolume, space: number, unused: UnusedSpans) {
    this.#save = save;
    this.#space = space;
    this.#unused = unused;
  }

  /** True while nothing is being restored, which is nearly always. */
  get none(): boolean {
    return this.#layers.length === 0;
  }

  get all(): readonly RestoreLayer[] {
    return this.#layers;
  }

  get top(): RestoreLayer | undefined {
    return this.#layers.at(-1);
  }

  /** Blocks that are not done, at most. */
  get remaining(): number {
    const { top } = this;
    return top === undefined ? 0 : Math.max(0, top.total - top.done);
  }

  /** Blocks that are done and not marked. */
  get unmarked(): ReadonlySet<number> {
    return this.#unmarked;
  }

  /** Whether there are blocks whose marks may be written. */
  get hasMarkable(): boolean {
    return this.#covered.size > 0;
  }

  /** Takes other layers over. The caller sees to it that nothing is unmarked. */
  reset(layers: readonly RestoreLayer[]): void {
    for (const { source } of this.#layers) {
      if (!layers.some((layer) => layer.source === source)) source.close?.();
    }
    this.#layers = layers;
    this.#regions.reset();
    this.#unmarked = new Set();
    this.#covered = new Set();
  }

  /** Nothing is read from the sources any more. */
  close(): void {
    for (const { source } of this.#layers) source.close?.();
  }

  /** The layer that a snapshot without a state of its own reads; 0 for none. */
  levelOf(snapshot: number): number {
    let level = 0;
    while (level < this.#layers.length && (this.#layers[level]?.undo as number) < snapshot) {
      level += 1;
    }
    return level;
  }

  /** Whether production reads the block from the top layer; `undefined` until it is loaded. */
  isPending(block: number): boolean | undefined {
    return this.pendingAt(this.#layers.length, block);
  }

  /** RS1. */
  pendingAt(level: number, block: number): boolean | undefined {
    if (level === 0) return false;
    const region = this.#regions.of(block);
    if (region === undefined) return undefined;
    if (region.empty) return false;
    for (let x = this.#layers.length; x >= level; x -= 1) {
      if (this.#isDone(region, x, block)) return false;
    }
    for (let x = level; x > 0; x -= 1) {
      if (x < level && this.#isDone(region, x, block)) return false;
      if (region.candidates[x - 1]?.has(block % REGION_BLOCKS) === true) return true;
    }
    return false;
  }

  /** Reads from the source of a layer; beyond its end there are zeros. */
  readSource(level: number, target: Uint8Array, position: number): Completion {
    const { source } = this.#layers[level - 1] as RestoreLayer;
    const inside = Math.max(0, Math.min(target.length, source.size - position));
    target.fill(0, inside);
    if (inside === 0) return undefined;
    return source.readInto(target.subarray(0, inside), position);
  }

  /** The block holds what it should: in memory for now (RS2). */
  settled(block: number): void {
    const { top } = this;
    if (top !== undefined && this.isPending(block) === true) top.done += 1;
    this.#unmarked.add(block);
    this.#regions
      .noted(block)
      ?.done.at(-1)
      ?.add(block % REGION_BLOCKS);
  }

  /** Blocks whose marks a flush of the clone volume that begins now will cover. */
  unmarkedNow(): readonly number[] {
    return [...this.#unmarked].filter((block) => !this.#covered.has(block));
  }

  /** That flush has ended. */
  cover(blocks: readonly number[]): void {
    for (const block of blocks) if (this.#unmarked.has(block)) this.#covered.add(block);
  }

  /** Blocks whose marks may be written, `limit` at most. */
  markable(limit: number): number[] {
    const blocks: number[] = [];
    for (const block of this.#covered) {
      if (blocks.length >= limit) break;
      blocks.push(block);
    }
    return blocks;
  }

  /** Their marks are durable, or a cursor beyond them is. */
  marked(blocks: Iterable<number>): void {
    for (const block of blocks) {
      this.#covered.delete(block);
      this.#unmarked.delete(block);
    }
  }

  /** Loads the region of `block`. */
  load(block: number): Promise<void> {
    const layers = this.#layers;
    return this.#regions.load(block, (region, start) => this.#fill(layers, region, start));
  }

  async #fill(layers: readonly RestoreLayer[], region: Region, start: number): Promise<void> {
    await this.#loadChanged(layers, region, start);
    for (const [at, layer] of layers.entries()) {
      await this.#loadSource(layer, region.candidates[at] as BitMap, start);
      const done = region.done[at] as BitMap;
      await this.#save.map.eachSaved(layer.id, DONE, start, start + REGION_BLOCKS, (found) => {
        done.add(found - start);
      });
    }
    // What became done before this region was known, and has no durable mark to be found by.
    const top = region.done.at(-1);
    for (const each of layers === this.#layers ? this.#unmarked : []) {
      if (each >= start && each < start + REGION_BLOCKS) top?.add(each - start);
    }
    region.empty = region.candidates.every((bits) => bits.count() === 0);
  }

  /** The first pending blocks of production from `from` on, `limit` at most, all in one region. */
  async nextPending(from: number, end: number, limit: number): Promise<number[]> {
    for (let block = from; block < end; ) {
      const next = Math.min(end, (Math.floor(block / REGION_BLOCKS) + 1) * REGION_BLOCKS);
      while (this.isPending(block) === undefined) await this.load(block);
      const found: number[] = [];
      const { empty } = this.#regions.of(block) as Region;
      for (; !empty && block < next && found.length < limit; block += 1) {
        if (this.isPending(block) === true) found.push(block);
      }
      if (found.length > 0) return found;
      block = empty ? await this.#nextCandidate(next, end) : next;
    }
    return [];
  }

  /**
   * No later than the first block from `from` on that a layer may differ in, where the one before differs
   * in none: between lie none. Spans have an entry where they begin, and none reaches beyond `from`.
   */
  async #nextCandidate(from: number, end: number): Promise<number> {
    const [entry] = await this.#save.map.listEntries(this.#space, from, end, 1);
    let next = entry?.block ?? end;
    for (const { source, blockCount } of this.#layers) {
      const before = Math.min(next, blockCount);
      if (from >= before) continue;
      const [block = next] = await source.nextDiffering(from, 1, before);
      next = Math.min(next, block);
    }
    return next;
  }

  #isDone(region: Region, level: number, block: number): boolean {
    if (block < (this.#layers[level - 1] as RestoreLayer).cursor) return true;
    return region.done[level - 1]?.has(block % REGION_BLOCKS) === true;
  }

  /** What the volume changed between the root of each source and its undo snapshot. */
  async #loadChanged(
    layers: readonly RestoreLayer[],
    region: Region,
    start: number,
  ): Promise<void> {
    await this.#save.map.eachEntry(this.#space, start, start + REGION_BLOCKS, (block, version) => {
      for (let at = 0; at < layers.length; at += 1) {
        const { source, undo } = layers[at] as RestoreLayer;
        if (version >= source.root && version < undo) region.candidates[at]?.add(block - start);
      }
    });
  }

  async #loadSource(layer: RestoreLayer, bits: BitMap, start: number): Promise<void> {
    const { source, blockCount } = layer;
    const end = Math.min(start + REGION_BLOCKS, blockCount); // RS9
    if (start >= end) return;
    await this.#unused.eachZero(source.root, start, end, (block) => bits.add(block - start));
    for (let from = start; from < end; ) {
      const blocks = await source.nextDiffering(from, LIST_STEP, end);
      for (const block of blocks) if (block < end) bits.add(block - start);
      from = blocks.length < LIST_STEP ? end : (blocks.at(-1) as number) + 1;
    }
  }
}

/** Starts to fill `target` with runs of blocks that lie on the same level each. */
export function readLevels(
  target: Uint8Array,
  first: number,
  blockSize: number,
  levelOf: (block: number) => number,
  read: (level: number, part: Uint8Array, position: number) => Completion,
): Completion {
  const count = target.length / blockSize;
  return together((waits) => {
    for (let index = 0; index < count; ) {
      const level = levelOf(first + index);
      let run = 1;
      while (index + run < count && levelOf(first + index + run) === level) run += 1;
      const part = target.subarray(index * blockSize, (index + run) * blockSize);
      const completion = read(level, part, (first + index) * blockSize);
      if (completion !== undefined) waits.push(completion);
      index += run;
    }
  });
}

function makeRegion(layers: number): Region {
  const maps = (): BitMap[] => Array.from({ length: layers }, () => new BitMap(REGION_BLOCKS));
  return { candidates: maps(), done: maps(), empty: false };
}
