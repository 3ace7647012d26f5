/**
 * CopyOut: the part of a production volume that takes part in commits. It holds writes to blocks
 * that must be saved first, saves the old blocks, and only then overwrites them (US 6,934,822).
 *
 *   W1, W3  What is saved: old-states.ts.
 *   W2  `settle` runs only when old bytes and map entries are durable; only there is a held block
 *       written to the clone volume (I3).
 *   W5  A block that a restore has not done yet is held whatever its bit says, and counts as done
 *       only when its new bytes are in the clone volume. Marks and the cursor of the copy-back go
 *       into a batch only when a flush of the clone volume covers what they speak of (RS2).
 */
import { type BlockDevice, type Completion, isStorageError } from '@palimpsest/block-device';
import {
  type Batch,
  encodeObject,
  HeldBlocks,
  type Participant,
  PUTS_A_TURN,
  type SaveVolume,
} from '@palimpsest/save-volume';
import { Arena, isZero, transferAll } from './arena.js';
import { type GatheredBlock, OldStates } from './old-states.js';
import type { RestoreLayers } from './restore-layers.js';
import { DONE, type RestoreLayer, storedRestores } from './restore-records.js';
import { needingRoom } from './restore-room.js';
import type { RestoreSpace } from './restore-space.js';
import type { SavedBlocks } from './saved-blocks.js';
import { SavedCounts } from './saved-counts.js';
import { type SavedStates, ZEROS } from './saved-states.js';

/**
 * Bytes of blocks gathered at a time, in memory that is used again: twice as much as a commit starts at
 * by default. Fresh memory for each block would cost more than reading it.
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

/** See the file header. */
export class CopyOut implements Participant {
  readonly held: HeldBlocks;
  /** The snapshot that old blocks are saved for; 0 when there is none. */
  youngest = 0;
  /** Set for good when the clone volume failed under a write that was answered already (R15). */
  failure: unknown;
  /** Set when the volume is left: nothing more is held, since nobody would commit it. */
  closed = false;
  /** Why the last round could not write to the clone volume; it is tried again by the next. */
  refusal: unknown;
  /** Up to where the top restore's blocks are done and flushed; goes with the next batch. */
  nextCursor: { readonly layer: RestoreLayer; readonly block: number } | undefined;
  /** What the commits of this volume saved since it was opened. */
  readonly counts: SavedCounts = new SavedCounts();
  readonly #parts: CopyOutParts;
  readonly #arena: Arena;
  readonly #old: OldStates;
  /** Blocks of the round that are not gathered yet. */
  #left = 0;
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
    this.#old = new OldStates(parts, this.#arena);
  }

  /** False when the clone volume has failed: what is held then is nobody's to commit. */
  get hasWork(): boolean {
    if (this.failure !== undefined) return false;
    return this.held.size > 0 || this.nextCursor !== undefined || this.#parts.layers.hasMarkable;
  }

  begin(): void {
    if (this.failure === undefined) this.held.begin();
  }

  gather(): Completion {
    if (this.failure !== undefined) return undefined;
    const unfilled = this.held.unfilled();
    const blocks = unfilled.slice(0, ARENA_BYTES / this.#parts.save.blockSize);
    this.#left = unfilled.length - blocks.length;
    try {
      const completion = this.#old.gather(blocks, this.youngest);
      return completion?.catch((error) => this.#cannotSave(error));
    } catch (error) {
      this.#cannotSave(error);
      return undefined;
    }
  }

  async fill(batch: Batch): Promise<boolean> {
    if (this.failure !== undefined) return false;
    const more = this.#putMarks(batch);
    for (const [index, gathered] of this.#old.blocks.entries()) {
      if ((index + 1) % PUTS_A_TURN === 0) await this.#parts.save.turn();
      if (!batch.hasRoom(gathered.states.length)) return true;
      this.#put(batch, gathered);
    }
    return more || this.#left > 0;
  }

  settle(): Completion {
    const { clone, save, saved } = this.#parts;
    this.#settleMarks();
    this.counts.settle();
    const { filled } = this.held;
    if (filled.length === 0) return undefined;
    for (const block of filled) saved.add(block);
    try {
      const runs = this.#arena.runsOfHeld(filled, (block) => this.held.committing(block));
      const completion = transferAll(runs, save.turn, ({ bytes, position, length }) =>
        bytes === null ? clone.zero(position, length) : clone.write(bytes, position),
      );
      if (completion === undefined) return this.#overwritten();
      return completion.then(() => this.#overwritten()).catch((error) => this.#notWritten(error));
    } catch (error) {
      this.#notWritten(error);
      return undefined;
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

  #put(batch: Batch, { block, states, isPending, isUndone }: GatheredBlock): void {
    const { volume } = this.#parts;
    let stored = 0;
    for (const state of states) {
      const bytes = state.level === ZEROS ? undefined : this.#old.bytesOf(state);
      // Zeros are recorded, not copied: a volume that was never written costs no space.
      if (bytes === undefined || isZero(bytes)) batch.putZero(volume, block, state.version);
      else {
        batch.put(volume, block, state.version, bytes);
        stored += 1;
      }
    }
    this.counts.add(states.length, stored);
    if (isUndone) this.#undone.push(block);
    if (isPending) this.#stored.set(block, stored);
    this.held.fill(block);
  }

  /** The held bytes of the batch are in the clone volume. */
  #overwritten(): Completion {
    const { clone, layers, space, states } = this.#parts;
    this.refusal = undefined;
    for (const block of this.#undone) layers.settled(block); // W5
    this.#undone = [];
    let unused = 0;
    for (const block of this.held.filled) {
      const taken = 1 + space.settled(block);
      const stored = this.#stored.get(block);
      if (stored !== undefined) unused += Math.max(0, taken - stored);
    }
    this.#stored.clear();
    this.held.settle();
    if (unused > 0) space.regain(unused, needingRoom(layers) * states.mostBlocks);
    if (layers.unmarked.size <= UNMARKED_MAX) return undefined;
    return this.flushed(() => clone.flush()).catch((error) => this.#notWritten(error));
  }

  /** They are tried again by the next round where only space was missing. */
  #notWritten(error: unknown): void {
    if (isStorageError(error, 'ERR_NO_SPACE')) this.refusal = error;
    else this.#fail(error);
    this.#undone = [];
    this.held.abandon();
  }

  /** What cannot be saved must not be overwritten: the writes that wait for it cannot be kept. */
  #cannotSave(error: unknown): void {
    this.#old.blocks = [];
    this.#fail(error);
  }

  /** What is held can be read from now on, and that is all: others must not wait for it. */
  #fail(error: unknown): void {
    this.failure = error;
    this.held.forfeit();
    this.#parts.space.forfeit();
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
