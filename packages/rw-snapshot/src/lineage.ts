/**
 * Lineage: what lies beneath a branch, or beneath a snapshot of one: spaces of other branches as of
 * their snapshots, nearest first, and at the bottom a snapshot of production.
 *
 *   branch, LIVE -> space 9 as of snapshot 12 -> space 7 as of snapshot 8 -> production snapshot 5
 *
 *   G1  A block is what the nearest layer has of its own, else what the bottom has; past the end of a
 *       layer, which may be smaller than what stands on it, zeros.
 *   G3  A layer that is flattened stands on nothing from then on, in the turn in which that is heard
 *       of, and so does every lineage through it: what lay beneath may be deleted in the next.
 *   G2  Nothing here ever changes, so which layer answers for a block is found once and kept, a byte a
 *       block in the regions read lately: reading costs the same at any depth.
 */
import { type BlockDevice, type Extent, together } from '@palimpsest/block-device';
import {
  type Layers,
  MISS,
  readThrough,
  type SaveVolume,
  storedObject,
} from '@palimpsest/save-volume';
import { openLineages } from './open-branches.js';
import { ownRuns } from './own-runs.js';
import { type Base, findSnapshot, findSpace, type StoredSpace } from './records.js';
import { ZeroSpans } from './zero-spans.js';

/** Opens a snapshot of a production volume. */
export type Beneath = (base: Base) => BlockDevice;

/** A space as of one version. */
export interface Layer {
  readonly space: number;
  /** A snapshot's id, or LIVE. */
  readonly version: number;
  /** Blocks. */
  readonly size: number;
  readonly spans: ZeroSpans;
}

/** Blocks in a region of the answers kept. */
const REGION_BLOCKS = 32_768;
/** Regions kept a lineage: 2 MiB of answers, for 8 GiB of blocks in use at once. */
const REGIONS_MAX = 64;
/** Answers: 1 to `LAYERS_KEPT` is a layer. What a deeper one answers is not kept, but looked for. */
const LAYERS_KEPT = 253;
const BOTTOM = 254;
const ZEROS = 255;
const NOT_KNOWN = 0;

/** See the file header. */
export class Lineage {
  readonly #save: SaveVolume;
  readonly #beneath: Beneath;
  #layers: readonly Layer[] = [];
  #bottom: BlockDevice | undefined;
  readonly #above: number | undefined;
  #root: number | undefined;
  readonly #answers = new Map<number, Uint8Array>();
  readonly #through: Layers;

  private constructor(save: SaveVolume, beneath: Beneath, above: number | undefined) {
    this.#save = save;
    this.#beneath = beneath;
    this.#above = above;
    this.#through = {
      blockSize: save.blockSize,
      readOwn: (block, target) => this.#read(block, target),
      readLater: (found, block, target) => this.#orBottom(found, block, target),
      readBeneath: (first, target, waits) => this.#readBottom(first, target, waits),
    };
  }

  /**
   * Opens a snapshot of a branch, or of production, with all that it stands on. Close it.
   * @throws {StorageError} ERR_NOT_FOUND when a snapshot on the way is gone.
   */
  static ofSnapshot(save: SaveVolume, base: Base, beneath: Beneath): Promise<Lineage> {
    return new Lineage(save, beneath, undefined).#open(() => base);
  }

  /** Opens what lies beneath a space; nothing, which reads as zeros, when it has no base. Close it. */
  static beneathSpace(save: SaveVolume, space: number, beneath: Beneath): Promise<Lineage> {
    return new Lineage(save, beneath, space).#open(() => findSpace(save, space).base);
  }

  /** Nobody reads it any more. */
  close(): void {
    openLineages(this.#save).delete(this);
  }

  /** G3: `space` has become independent of its base. */
  endAt(space: number): void {
    const index = this.#layers.findIndex((layer) => layer.space === space);
    if (index < 0 && this.#above !== space) return;
    this.#layers = this.#layers.slice(0, index + 1);
    this.#bottom = undefined;
    this.#root = undefined;
    this.#answers.clear();
  }

  async #open(baseOf: () => Base | null): Promise<this> {
    openLineages(this.#save).add(this);
    try {
      for (;;) {
        const { bases, end } = this.#look(baseOf());
        const layers: Layer[] = [];
        for (const { volume, snapshot } of bases) {
          const { size } = findSnapshot(this.#save, { volume, snapshot });
          layers.push(await openLayer(this.#save, volume, snapshot, size));
        }
        const now = this.#look(baseOf());
        // G3: a flatten may have ended while the layers were opened.
        if (now.bases.length !== bases.length || now.end?.snapshot !== end?.snapshot) continue;
        this.#bottom = end === null ? undefined : this.#beneath(end);
        this.#root = end?.snapshot;
        this.#layers = layers;
        return this;
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Snapshots of branches on the way down, nearest first, and the one of production at the end. */
  #look(base: Base | null): { readonly bases: readonly Base[]; readonly end: Base | null } {
    const bases: Base[] = [];
    let next = base;
    for (;;) {
      const space = next === null ? undefined : spaceOf(this.#save, next);
      if (next === null || space === undefined) return { bases, end: next };
      bases.push(next);
      next = space.base;
    }
  }

  /** The spaces on the way down, nearest first. */
  get layers(): readonly Layer[] {
    return this.#layers;
  }

  /** The production snapshot at the bottom; `undefined` when there is none. */
  get root(): number | undefined {
    return this.#root;
  }

  /** Bytes. */
  get blockSize(): number {
    return this.#save.blockSize;
  }

  /** Fills `target` from block `first` on; adds what is not done at once to `waits`. */
  read(first: number, target: Uint8Array, waits: Promise<void>[]): void {
    if (this.#layers.length === 0) {
      this.#readBottom(first, target, waits);
      return;
    }
    const completion = readThrough(this.#through, target, first * this.#save.blockSize);
    if (completion !== undefined) waits.push(completion);
  }

  /** Describes the blocks from `first` on and below `end`. */
  extents(first: number, end: number): Promise<Extent[]> {
    return this.#extentsFrom(0, first, end);
  }

  async #extentsFrom(depth: number, first: number, end: number): Promise<Extent[]> {
    const { blockSize } = this.#save;
    const layer = this.#layers[depth];
    const size = layer?.size ?? (this.#bottom?.size ?? 0) / blockSize;
    const last = Math.max(first, Math.min(end, size));
    const found: Extent[] = [];
    const beneath = async (from: number, to: number): Promise<void> => {
      if (from === to) return;
      found.push(...(await this.#extentsFrom(depth + 1, from, to)));
    };
    if (first === last) {
      // Past the end: zeros.
    } else if (layer === undefined) {
      const length = (last - first) * blockSize;
      found.push(...((await this.#bottom?.extents(first * blockSize, length)) ?? []));
    } else {
      let done = first;
      for await (const run of ownRuns(this.#save, layer, first, last)) {
        await beneath(done, run.first);
        const { zero } = run;
        found.push({ length: run.count * blockSize, zero, hole: zero });
        done = run.first + run.count;
      }
      await beneath(done, last);
    }
    if (end > last) found.push({ length: (end - last) * blockSize, zero: true, hole: true });
    return found;
  }

  /** Fills `target` when a layer answers for the block; false when it is the bottom's. */
  #read(block: number, target: Uint8Array): boolean | Promise<boolean> {
    const known = this.#known(block);
    if (known === BOTTOM) return false;
    if (known === ZEROS) {
      target.fill(0);
      return true;
    }
    const layers = this.#layers;
    // The answer will be kept here: the map need not remember each layer on the way that has not got it.
    const isSearched = known === NOT_KNOWN && layers.length > 1;
    for (let depth = Math.max(0, known - 1); depth < layers.length; depth += 1) {
      const layer = layers[depth] as Layer;
      const { space, version } = layer;
      const isPast = block >= layer.size;
      const isMissing =
        isPast || (isSearched && this.#save.map.lookUp(space, block, version) === undefined);
      const own = !isMissing && this.#save.readSaved(space, block, version, target);
      // One that has begun to fill the target is waited for: the target is its until it ends.
      if (typeof own !== 'boolean') return this.#readSlowly(layers, depth, own, block, target);
      if (!own && !isPast) {
        const end = layer.spans.none ? 0 : layer.spans.endOf(block);
        if (end === MISS) return this.#readSlowly(layers, depth, own, block, target);
        if (end === 0) continue;
      }
      if (!own) target.fill(0);
      this.#keep(layers, block, own ? answerOf(depth) : ZEROS);
      return true;
    }
    this.#keep(layers, block, BOTTOM);
    return false;
  }

  /** Goes on from the layer at `from`, of which `own` tells whether the block is its own. */
  async #readSlowly(
    layers: readonly Layer[],
    from: number,
    own: boolean | Promise<boolean>,
    block: number,
    target: Uint8Array,
  ): Promise<boolean> {
    for (let depth = from; depth < layers.length; depth += 1) {
      const { space, version, size, spans } = layers[depth] as Layer;
      const isPast = block >= size;
      let isOwn: boolean;
      if (depth === from) isOwn = await own;
      else isOwn = !isPast && (await this.#save.readSaved(space, block, version, target));
      const isZero = !isOwn && (isPast || (!spans.none && (await spans.findEndOf(block)) > 0));
      if (!isOwn && !isZero) continue;
      if (isZero) target.fill(0);
      this.#keep(layers, block, isOwn ? answerOf(depth) : ZEROS);
      return true;
    }
    this.#keep(layers, block, BOTTOM);
    return false;
  }

  async #orBottom(found: Promise<boolean>, block: number, target: Uint8Array): Promise<void> {
    const layers = this.#layers;
    if (await found) return;
    await together((waits) => {
      // G3: a flatten that ended meanwhile has put into a layer what the bottom had.
      if (layers !== this.#layers) this.read(block, target, waits);
      else this.#readBottom(block, target, waits);
    });
  }

  #readBottom(first: number, target: Uint8Array, waits: Promise<void>[]): void {
    const { blockSize } = this.#save;
    const position = first * blockSize;
    const size = this.#bottom?.size ?? 0;
    const length = Math.max(0, Math.min(target.length, size - position));
    if (length < target.length) target.fill(0, length);
    if (length === 0) return;
    const part = length === target.length ? target : target.subarray(0, length);
    const completion = this.#bottom?.readInto(part, position);
    if (completion !== undefined) waits.push(completion);
  }

  #known(block: number): number {
    if (this.#layers.length < 2) return NOT_KNOWN;
    return (
      this.#answers.get(Math.floor(block / REGION_BLOCKS))?.[block % REGION_BLOCKS] ?? NOT_KNOWN
    );
  }

  /** G2. */
  #keep(layers: readonly Layer[], block: number, answer: number): void {
    if (layers !== this.#layers) return; // found in what was there before a flatten ended
    if (this.#layers.length < 2 || answer === NOT_KNOWN) return;
    const index = Math.floor(block / REGION_BLOCKS);
    let region = this.#answers.get(index);
    if (region === undefined) {
      if (this.#answers.size >= REGIONS_MAX) {
        const oldest = this.#answers.keys().next();
        if (oldest.done !== true) this.#answers.delete(oldest.value);
      }
      region = new Uint8Array(REGION_BLOCKS);
      this.#answers.set(index, region);
    }
    region[block % REGION_BLOCKS] = answer;
  }
}

/** How the answer "this layer" is kept. */
function answerOf(depth: number): number {
  return depth < LAYERS_KEPT ? depth + 1 : NOT_KNOWN;
}

/** Opens one space as of a version; `size` in bytes. */
export async function openLayer(
  save: SaveVolume,
  space: number,
  version: number,
  size: number,
): Promise<Layer> {
  const spans = new ZeroSpans(save, space, version);
  await spans.load();
  return { space, version, size: size / save.blockSize, spans };
}

function spaceOf(save: SaveVolume, base: Base): StoredSpace | undefined {
  return storedObject<StoredSpace>(save, 'space', base.volume);
}
