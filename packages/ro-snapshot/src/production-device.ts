/**
 * ProductionDevice: what users of a production volume read and write. It decides for each block
 * whether a write may go to the clone volume at once or must be held until the old bytes are saved.
 *
 *   P1  A write to a block goes to the clone volume directly only when the block is saved (or there
 *       is no snapshot) and none of its bytes are held. Else it is held.
 *   P2  Reads see held bytes first, the clone volume otherwise.
 *       While a restore runs, a block that is not done is read from its source and always held.
 *   P3  `flush` commits what is held, which overwrites it in the clone volume, then flushes that: two
 *       device flushes one after the other, or one when nothing is held. What a restore has to mark
 *       as done takes one more commit, after that (RS2).
 *   P4  A discarded block that no snapshot needs reads as zeros afterwards, also where the clone
 *       volume ignored the discard; one that a snapshot needs is saved and zeroed while there is space
 *       to save it, and left as it is when there is none, or the discard is a large one (D9).
 *
 * The path of a write that may go on directly, and of a read with nothing held, makes no promise and
 * no garbage (benchmarks/: production read and write).
 */
import {
  type BlockDevice,
  type BlockDriver,
  type Completion,
  type Extent,
  isStorageError,
  SharedFlush,
  StorageError,
  together,
  type ZeroOptions,
} from '@palimpsest/block-device';
import type { SaveVolume } from '@palimpsest/save-volume';
import type { CopyOut } from './copy-out.js';
import { discardToZeros } from './ensure-zeros.js';
import type { Exclusion } from './exclusion.js';
import type { RestoreLayers } from './restore-layers.js';
import type { RestoreSpace } from './restore-space.js';
import type { SavedBlocks } from './saved-blocks.js';
import type { SavedStates } from './saved-states.js';

/** The parts of a production volume that its device works with. */
export interface ProductionParts {
  readonly save: SaveVolume;
  readonly clone: BlockDevice;
  readonly copyOut: CopyOut;
  readonly saved: SavedBlocks;
  readonly exclusion: Exclusion;
  readonly layers: RestoreLayers;
  readonly states: SavedStates;
  /** Space set aside for restores. */
  readonly space: RestoreSpace;
  /** Bytes, as recorded: the clone volume may be longer while it grows. */
  readonly size: () => number;
}

/** What a write must do with a block. */
type Way = 'direct' | 'hold' | 'load';

/** What became of a write so far. */
interface Placed {
  /** Reserved blocks that are held now, counted one by one: a failure may come between two. */
  used: number;
}

/** Blocks of one request that are decided on, and held, together. */
const SLICE_BLOCKS = 256;

/** The same of a discard: space for so few is found, or given up on, together. */
const DISCARD_BLOCKS = 32;

/**
 * Blocks of a discard of which those that a snapshot needs are saved. In a larger one, a whole disk that is
 * formatted say, they are left as they are: to move all of them would give back nothing.
 */
const DISCARD_SAVED_MAX = 8192;

/** See the file header. */
export class ProductionDevice implements BlockDriver {
  readonly blockSize: number;
  readonly readOnly = false;
  readonly #parts: ProductionParts;
  readonly #cloneFlush: SharedFlush;

  constructor(parts: ProductionParts) {
    this.#parts = parts;
    this.blockSize = parts.save.blockSize;
    this.#cloneFlush = new SharedFlush(parts.clone);
  }

  get size(): number {
    return this.#parts.size();
  }

  readInto(target: Uint8Array, position: number): Completion {
    const { clone, copyOut, layers } = this.#parts;
    if (copyOut.held.size === 0 && layers.none) return clone.readInto(target, position);
    return together((waits) => this.#readAround(target, position, waits)); // P2
  }

  write(source: Uint8Array, position: number): Completion {
    const first = position / this.blockSize;
    if (this.#isDirect(first, source.length / this.blockSize)) {
      return this.#direct(this.#parts.clone.write(source, position));
    }
    return this.#writeHeld(first, source.length / this.blockSize, source);
  }

  zero(position: number, length: number, options: ZeroOptions): Completion {
    const first = position / this.blockSize;
    if (this.#isDirect(first, length / this.blockSize)) {
      return this.#direct(this.#parts.clone.zero(position, length, options));
    }
    if (options.fast === true) {
      throw new StorageError(
        'ERR_UNSUPPORTED',
        'these blocks must be saved before they are zeroed',
      );
    }
    return this.#writeHeld(first, length / this.blockSize, null);
  }

  /** P4. */
  discard(position: number, length: number): Completion {
    return this.#discard(position / this.blockSize, length / this.blockSize);
  }

  flush(): Completion {
    const { copyOut, layers } = this.#parts;
    this.#assertSound();
    if (copyOut.held.size === 0 && layers.unmarked.size === 0) return this.#cloneFlush.flush();
    return this.#commitAndFlush();
  }

  async extents(position: number, length: number): Promise<readonly Extent[]> {
    const { clone, copyOut, layers } = this.#parts;
    if (copyOut.held.size > 0 || !layers.none) return [{ length, zero: false, hole: false }];
    return clone.extents(position, length);
  }

  async close(): Promise<void> {
    // The volume closes its device; the clone volume is its owner's.
  }

  /** P1 for a whole request, when it can be told at once. */
  #isDirect(first: number, count: number): boolean {
    const { exclusion, copyOut } = this.#parts;
    if (exclusion.closed !== undefined || copyOut.failure !== undefined) return false;
    if (copyOut.closed) return false;
    if (this.#isAllDirect) return true;
    for (let block = first; block < first + count; block += 1) {
      if (this.#wayOf(block) !== 'direct') return false;
    }
    return true;
  }

  /** No block is to be saved, held, or restored. */
  get #isAllDirect(): boolean {
    const { copyOut, layers } = this.#parts;
    return copyOut.youngest === 0 && copyOut.held.size === 0 && layers.none;
  }

  #wayOf(block: number): Way {
    const { copyOut, layers, saved } = this.#parts;
    if (copyOut.held.get(block) !== undefined) return 'hold';
    if (!layers.none) {
      const pending = layers.isPending(block);
      if (pending !== false) return pending ? 'hold' : 'load';
    }
    if (copyOut.youngest === 0) return 'direct';
    const isSaved = saved.has(block);
    if (isSaved === undefined) return 'load';
    return isSaved ? 'direct' : 'hold';
  }

  /** A change of state waits for writes that are under way in the clone volume. */
  #direct(completion: Completion): Completion {
    if (completion === undefined) return undefined;
    const { exclusion } = this.#parts;
    exclusion.enter();
    return completion.finally(() => exclusion.leave());
  }

  /** `source` null writes zeros. */
  async #writeHeld(first: number, count: number, source: Uint8Array | null): Promise<void> {
    const { blockSize } = this;
    for (let done = 0; done < count; done += SLICE_BLOCKS) {
      const blocks = Math.min(SLICE_BLOCKS, count - done);
      const part = source?.subarray(done * blockSize, (done + blocks) * blockSize) ?? null;
      await this.#writeSlice(first + done, blocks, part);
    }
  }

  async #writeSlice(first: number, count: number, source: Uint8Array | null): Promise<void> {
    const { layers, save, space, states } = this.#parts;
    const each = states.mostBlocks;
    // Deciding, reserving and placing happen in one turn: nothing can change between them.
    for (;;) {
      const obstacle = this.#obstacle(first, count);
      if (obstacle !== undefined) {
        await obstacle;
        continue;
      }
      const costly = this.#costly(first, count);
      const undone = costly.filter((block) => layers.isPending(block) === true);
      if (space.secure(count, costly, each, undone)) break;
      const needed = space.needed(count, costly.length, each);
      await save.reserveSlowly(needed);
      save.settled(needed);
    }
    const placed = { used: 0 };
    let completion: Completion;
    try {
      completion = together((waits) => this.#place(first, count, source, placed, waits));
    } finally {
      save.settled(count - placed.used);
    }
    await completion;
  }

  /** The blocks that may need more than one block of space: not restored yet, or in unused spans. */
  #costly(first: number, count: number): number[] {
    const { layers, states } = this.#parts;
    const blocks: number[] = [];
    if (layers.none && !states.hasUnused) return blocks;
    for (let block = first; block < first + count; block += 1) {
      if (layers.isPending(block) === true || (states.hasUnused && this.#wayOf(block) === 'hold')) {
        blocks.push(block);
      }
    }
    return blocks;
  }

  /** What a write must wait for before it can be placed, and then look again. */
  #obstacle(first: number, count: number): Promise<void> | undefined {
    const { copyOut, exclusion, layers, save, saved } = this.#parts;
    this.#assertSound();
    const wait = exclusion.closed ?? save.throttle(copyOut);
    if (wait !== undefined) return wait;
    for (let block = first; block < first + count; block += 1) {
      if (this.#wayOf(block) !== 'load') continue;
      return layers.isPending(block) === undefined ? layers.load(block) : saved.load(block);
    }
    return undefined;
  }

  /** Holds or starts to write each block. */
  #place(
    first: number,
    count: number,
    source: Uint8Array | null,
    placed: Placed,
    waits: Promise<void>[],
  ): void {
    const { copyOut, clone } = this.#parts;
    const { blockSize } = this;
    for (let index = 0; index < count; ) {
      const block = first + index;
      if (this.#wayOf(block) === 'hold') {
        const bytes = source?.subarray(index * blockSize, (index + 1) * blockSize) ?? null;
        placed.used += copyOut.held.costOf(block, bytes);
        copyOut.held.hold(block, bytes);
        index += 1;
        continue;
      }
      let run = 1;
      while (index + run < count && this.#wayOf(block + run) === 'direct') run += 1;
      const part = source?.subarray(index * blockSize, (index + run) * blockSize);
      const completion =
        part === undefined
          ? clone.zero(block * blockSize, run * blockSize)
          : clone.write(part, block * blockSize);
      const tracked = this.#direct(completion);
      if (tracked !== undefined) waits.push(tracked);
      index += run;
    }
  }

  async #discard(first: number, count: number): Promise<void> {
    for (let done = 0; done < count; ) {
      for (let wait = this.#obstacle(first + done, 1); wait !== undefined; ) {
        await wait;
        wait = this.#obstacle(first + done, 1);
      }
      const way = this.#wayOf(first + done);
      // Whole volumes are discarded when they are formatted: not block by block.
      let run = this.#isAllDirect ? count - done : 1;
      const isLarge = count > DISCARD_SAVED_MAX;
      const most = way === 'hold' && !isLarge ? DISCARD_BLOCKS : Number.POSITIVE_INFINITY;
      while (run < Math.min(most, count - done) && this.#wayOf(first + done + run) === way)
        run += 1;
      if (way === 'hold') {
        if (!isLarge) await this.#zeroHeld(first + done, run);
      } else await this.#direct(this.#discardClone(first + done, run));
      done += run;
    }
  }

  async #discardClone(first: number, count: number): Promise<void> {
    const { clone } = this.#parts;
    const { blockSize } = this;
    await discardToZeros(clone, first * blockSize, count * blockSize);
  }

  /** Zeros blocks that must be saved first, as far as there is space for that (P4). */
  async #zeroHeld(first: number, count: number): Promise<void> {
    try {
      await this.#writeSlice(first, count, null);
    } catch (error) {
      if (!isStorageError(error, 'ERR_NO_SPACE')) throw error;
    }
  }

  #readAround(target: Uint8Array, position: number, waits: Promise<void>[]): void {
    const { clone, copyOut, layers } = this.#parts;
    const { blockSize } = this;
    const count = target.length / blockSize;
    const first = position / blockSize;
    for (let index = 0; index < count; ) {
      const held = copyOut.held.get(first + index);
      const part = (run: number) => target.subarray(index * blockSize, (index + run) * blockSize);
      if (held !== undefined) {
        if (held === null) part(1).fill(0);
        else part(1).set(held);
        index += 1;
        continue;
      }
      const pending = layers.none ? false : layers.isPending(first + index);
      let run = 1;
      while (
        index + run < count &&
        copyOut.held.get(first + index + run) === undefined &&
        (layers.none || layers.isPending(first + index + run) === pending)
      ) {
        run += 1;
      }
      const at = (first + index) * blockSize;
      let completion: Completion;
      if (pending === undefined) completion = this.#readLater(part(run), at);
      else if (pending) completion = layers.readSource(layers.all.length, part(run), at);
      else completion = clone.readInto(part(run), at);
      if (completion !== undefined) waits.push(completion);
      index += run;
    }
  }

  /** Reads blocks that a restore may not have done yet, once that is known. */
  async #readLater(target: Uint8Array, position: number): Promise<void> {
    await this.#parts.layers.load(position / this.blockSize);
    await this.readInto(target, position);
  }

  async #commitAndFlush(): Promise<void> {
    const { save, copyOut, layers } = this.#parts;
    if (copyOut.held.size > 0) await save.commit(copyOut);
    this.#assertSound();
    if (copyOut.refusal !== undefined) throw copyOut.refusal;
    const done = [...layers.unmarked];
    await copyOut.flushed(() => this.#cloneFlush.flush());
    while (done.some((block) => layers.unmarked.has(block))) {
      await save.commit(copyOut); // RS2
      this.#assertSound();
    }
  }

  /** R15: a write that was answered and then failed on disk fails every later write and flush. */
  #assertSound(): void {
    const { failure, closed } = this.#parts.copyOut;
    if (closed) throw new StorageError('ERR_CLOSED', 'the volume was closed meanwhile');
    if (failure === undefined) return;
    throw new StorageError(
      'ERR_FAILED',
      'the production volume failed under a write that was answered: reopen it',
      {
        cause: failure,
      },
    );
  }
}
