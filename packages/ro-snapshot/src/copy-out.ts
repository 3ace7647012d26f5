/**
 * CopyOut: the part of a production volume that takes part in commits. It holds writes to blocks
 * that must be saved first, saves the old blocks, and only then overwrites them (US 6,934,822).
 *
 *   W1  Old bytes are read when a commit gathers them. Nothing can have changed them since the
 *       snapshot: every write to a block that is not saved is held here.
 *   W2  `settle` runs only when old bytes and map entries are durable; only there is a held block
 *       written to the clone volume (I3).
 *   W3  A block whose bit is set is never saved again (I2); its held bytes are only written.
 *   W5  A block that a restore has not done yet is held whatever its bit says, and counts as done
 *       only when its new bytes are in the clone volume. Marks and the cursor of the copy-back go
 *       into a batch only when a flush of the clone volume covers what they speak of (RS2).
 */
import { type BlockDevice, isStorageError } from '@palimpsest/block-device';
import {
  type Batch,
  encodeObject,
  HeldBlocks,
  type Participant,
  type SaveVolume,
} from '@palimpsest/save-volume';
import { Arena, type BlockBytes, isZero, transferAll } from './arena.js';
import type { RestoreLayers } from './restore-layers.js';
import { DONE, type RestoreLayer, storedRestores } from './restore-records.js';
import type { RestoreSpace } from './restore-space.js';
import type { SavedBlocks } from './saved-blocks.js';
import { SavedCounts } from './saved-counts.js';
import { type SavedStates, ZEROS } from './saved-states.js';

/**
 * Bytes of blocks gathered at a time, in memory that is used again: as much as a commit starts at by
 * default. Fresh memory for each block would cost more than reading it.
 */
const ARENA_BYTES = 8 << 20;
/** Marks put into one batch at most. */
const MARKS_MAX = 4096;
/** Blocks that are done and not marked at which the clone volume is flushed, so that they can be. */
const UNMARKED_MAX = 16_384;
/** Operations that the object of a restore takes in a batch, with room to spare. */
const OBJECT_ROOM = 128;

/** What a production volume's commits work with. */
export interface CopyOutParts {
  readonly save: SaveVolume;
  readonly clone: BlockDevice;
  /** The volume's id: its space in the block map. */
  readonly volume: number;
  readonly saved: SavedBlocks;
  readonly layers: RestoreLayers;
  readonly states: SavedStates;
  /** Space set aside for restores. */
  readonly space: RestoreSpace;
}

/** A block's state to be recorded, and the version it is recorded at. */
interface MissingBlock extends BlockBytes {
  readonly version: number;
}

/** See the file header. */
export class CopyOut implements Participant {
  readonly held: HeldBlocks;
  /** The snapshot that old blocks are saved for; 0 when there is none. */
  youngest = 0;
  /** Set for good when the clone volume failed under a write that was answered already (R15). */
  failure: unknown;
  /** Set when the volume is left: nothing more is held, since nobody would commit it. */
  closed = false;
  /** Why the last cycle could not write to the clone volume; it is tried again by the next. */
  refusal: unknown;
  /** Up to where the top restore's blocks are done and flushed; goes with the next batch. */
  nextCursor: { readonly layer: RestoreLayer; readonly block: number } | undefined;
  /** What the commits of this volume saved since it was opened. */
  readonly counts: SavedCounts = new SavedCounts();
  readonly #parts: CopyOutParts;
  readonly #arena: Arena;
  /** Blocks in the batch that a restore has not done yet. */
  #undone: number[] = [];
  /** Those of them that may use what is set aside, and how many blocks of space each takes. */
  readonly #stored = new Map<number, number>();
  #marking: number[] = [];
  #moving: CopyOut['nextCursor'];

  constructor(parts: CopyOutParts) {
    this.held = new HeldBlocks(parts.save);
    this.#parts = parts;
    this.#arena = new Arena(parts.save.blockSize);
  }

  begin(): void {
    if (this.failure === undefined) this.held.begin();
  }

  async fill(batch: Batch): Promise<boolean> {
    if (this.failure !== undefined) return false;
    let more = this.#putMarks(batch);
    const unfilled = this.held.unfilled();
    const old: MissingBlock[] = [];
    const zeros: MissingBlock[] = [];
    const undone: number[] = [];
    let taken = 0;
    try {
      for (const block of unfilled) {
        if (taken >= ARENA_BYTES / this.#parts.save.blockSize) break;
        const states = await this.#missing(block);
        if (!batch.hasRoom(old.length + zeros.length + states.length)) break;
        // What is recorded below the undo snapshot makes a block one that may differ (RS5): it counts
        // as done when it is settled, like those that a restore found to differ.
        const { top } = this.#parts.layers;
        const isBelow = top !== undefined && states.some(({ version }) => version < top.undo);
        const isPending = top !== undefined && (await this.#isPending(block));
        if (isBelow || isPending) undone.push(block);
        if (isPending) this.#stored.set(block, 0);
        for (const state of states) {
          (state.level === ZEROS ? zeros : old).push({ block, ...state });
        }
        this.counts.block(states.length);
        taken += 1;
      }
      await this.#putOld(batch, old);
      for (const { block, version } of zeros) {
        batch.putZero(this.#parts.volume, block, version);
      }
      this.counts.zeros(zeros.length);
    } catch (error) {
      this.counts.forget();
      // What cannot be saved must not be overwritten: the writes that wait for it cannot be kept.
      this.#fail(error);
      return false;
    }
    this.#undone = undone;
    for (const block of unfilled.slice(0, taken)) this.held.fill(block);
    if (taken < unfilled.length) more = true;
    return more;
  }

  async settle(): Promise<void> {
    const { clone, layers, saved, space, states } = this.#parts;
    this.#settleMarks();
    this.counts.settle();
    const { filled } = this.held;
    const undone = this.#undone;
    this.#undone = [];
    if (filled.length === 0) return;
    for (const block of filled) saved.add(block);
    try {
      const runs = this.#arena.runsOfHeld(filled, (block) => this.held.committing(block));
      await transferAll(runs, ({ bytes, position, length }) =>
        bytes === null ? clone.zero(position, length) : clone.write(bytes, position),
      );
      this.refusal = undefined;
      for (const block of undone) layers.settled(block); // W5
      let unused = 0;
      for (const block of filled) {
        const taken = 1 + space.settled(block);
        const stored = this.#stored.get(block);
        if (stored !== undefined) unused += Math.max(0, taken - stored);
      }
      this.#stored.clear();
      this.held.settle();
      if (unused > 0) space.regain(unused, layers.remaining * states.mostBlocks);
      if (layers.unmarked.size > UNMARKED_MAX) await this.flushed(() => clone.flush());
    } catch (error) {
      if (isStorageError(error, 'ERR_NO_SPACE')) this.refusal = error;
      else this.#fail(error);
      this.held.abandon();
    }
  }

  abandon(): void {
    this.held.abandon();
    this.counts.forget();
    this.#undone = [];
    this.#stored.clear();
    this.#marking = [];
    this.#moving = undefined;
  }

  /** Flushes the clone volume by `flush`; what it covers may be marked as done from then on (RS2). */
  async flushed(flush: () => Promise<void> | undefined): Promise<void> {
    const { layers } = this.#parts;
    const blocks = layers.none ? [] : layers.unmarkedNow();
    await flush();
    layers.cover(blocks);
  }

  /** What is held can be read from now on, and that is all: others must not wait for it. */
  #fail(error: unknown): void {
    this.failure = error;
    this.held.forfeit();
    this.#parts.space.forfeit();
  }

  /** The states of the block to be recorded before it changes. */
  async #missing(block: number): Promise<readonly { version: number; level: number }[]> {
    const { layers, saved, states } = this.#parts;
    if (this.youngest === 0) return [];
    if (layers.none || !(await this.#isPending(block))) {
      // Again if need be: a region may be dropped between its loading and here. A block taken for
      // unsaved would be saved with what overwrote it.
      while (saved.has(block) === undefined) await saved.load(block);
      if (saved.has(block) === true) return []; // W3
      if (states.simple) return [{ version: this.youngest, level: 0 }];
    }
    return states.missing(block);
  }

  async #isPending(block: number): Promise<boolean> {
    const { layers } = this.#parts;
    for (;;) {
      const pending = layers.isPending(block);
      if (pending !== undefined) return pending;
      await layers.load(block);
    }
  }

  async #putOld(batch: Batch, old: MissingBlock[]): Promise<void> {
    const { save, clone, layers, volume } = this.#parts;
    const { blockSize } = save;
    old.sort((a, b) => a.level - b.level || a.block - b.block);
    await transferAll(this.#arena.runsToRead(old), ({ level, bytes, position }) =>
      level === 0
        ? clone.readInto(bytes as Uint8Array, position)
        : layers.readSource(level, bytes as Uint8Array, position),
    );
    for (const [index, { block, version }] of old.entries()) {
      const bytes = this.#arena.slot(index, blockSize);
      // Zeros are recorded, not copied: a volume that was never written costs no space.
      if (isZero(bytes)) {
        batch.putZero(volume, block, version);
        this.counts.zeros(1);
      } else {
        batch.put(volume, block, version, bytes);
        this.counts.bytes();
        const stored = this.#stored.get(block);
        if (stored !== undefined) this.#stored.set(block, stored + 1);
      }
    }
  }

  /** Puts marks and the cursor into the batch; tells whether more marks are left. */
  #putMarks(batch: Batch): boolean {
    const { layers, save, volume } = this.#parts;
    const { top } = layers;
    if (top === undefined) return false;
    const { nextCursor } = this;
    if (nextCursor !== undefined && nextCursor.layer === top && batch.hasRoom(OBJECT_ROOM)) {
      const stored = storedRestores(save, volume).find(({ id }) => id === top.id);
      if (stored !== undefined) {
        const { layer, block } = nextCursor;
        batch.object(top.id, encodeObject({ ...stored.object, cursor: block, done: layer.done }));
        this.#moving = nextCursor;
      }
    }
    const beyond = this.#moving?.block ?? top.cursor;
    for (const block of layers.markable(MARKS_MAX)) {
      if (block < beyond) continue;
      if (!batch.hasRoom(OBJECT_ROOM)) return true;
      batch.putZero(top.id, block, DONE);
      this.#marking.push(block);
    }
    return this.#marking.length >= MARKS_MAX;
  }

  #settleMarks(): void {
    const { layers } = this.#parts;
    layers.marked(this.#marking);
    this.#marking = [];
    const moved = this.#moving;
    if (moved === undefined) return;
    this.#moving = undefined;
    if (this.nextCursor === moved) this.nextCursor = undefined;
    moved.layer.cursor = moved.block;
    layers.marked([...layers.unmarked].filter((block) => block < moved.block));
  }
}
