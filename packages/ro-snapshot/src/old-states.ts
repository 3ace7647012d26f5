/**
 * OldStates: what must be recorded of the blocks that a round commits, looked up and read before its
 * commit cycle, which waits for no image (C10).
 *
 *   W1  Old bytes are read when a round gathers them. Nothing can have changed them since the snapshot,
 *       and nothing does until they are durable: every write to a block that is not saved is held.
 *   W3  A block whose bit is set is never saved again (I2); its held bytes are only written.
 */
import type { BlockDevice, Completion } from '@palimpsest/block-device';
import type { SaveVolume } from '@palimpsest/save-volume';
import { type Arena, type BlockBytes, transferAll } from './arena.js';
import type { RestoreLayers } from './restore-layers.js';
import type { SavedBlocks } from './saved-blocks.js';
import { type MissingState, type SavedStates, ZEROS } from './saved-states.js';

/** What old states are found with. */
export interface OldStatesParts {
  readonly save: SaveVolume;
  readonly clone: BlockDevice;
  readonly saved: SavedBlocks;
  readonly layers: RestoreLayers;
  readonly states: SavedStates;
}

/** A state to be recorded. */
export interface OldState extends BlockBytes {
  readonly version: number;
  /** Where in the arena its bytes are; nowhere for ZEROS. */
  slot: number;
}

/** A block with the states to be recorded before it changes. */
export interface GatheredBlock {
  readonly block: number;
  readonly states: readonly OldState[];
  /** A restore has not done it yet. */
  readonly isPending: boolean;
  /** It is to count as done when it is settled. */
  readonly isUndone: boolean;
}

const NO_STATES: readonly OldState[] = [];

/** See the file header. */
export class OldStates {
  /** What was gathered, in order of block. */
  blocks: GatheredBlock[] = [];
  readonly #parts: OldStatesParts;
  readonly #arena: Arena;

  constructor(parts: OldStatesParts, arena: Arena) {
    this.#parts = parts;
    this.#arena = arena;
  }

  /**
   * Gathers what `youngest` and the snapshots before it need of the blocks, which are in order: at once
   * as far as what tells of them, and the image, are in memory.
   * @throws {StorageError} what the image or a source of a restore says, also as a rejection.
   */
  gather(blocks: readonly number[], youngest: number): Completion {
    this.blocks = [];
    for (const [index, block] of blocks.entries()) {
      const states = this.#statesNow(block, youngest);
      if (states === undefined) return this.#gatherSlowly(blocks, index, youngest);
      this.blocks.push({ block, states, isPending: false, isUndone: false });
    }
    return this.#read();
  }

  /** The bytes of a state. */
  bytesOf({ slot }: OldState): Uint8Array {
    return this.#arena.slot(slot, this.#parts.save.blockSize);
  }

  async #gatherSlowly(blocks: readonly number[], from: number, youngest: number): Promise<void> {
    const { top } = this.#parts.layers;
    for (const block of blocks.slice(from)) {
      const missing = await this.#missing(block, youngest);
      const states = missing.map(({ version, level }) => ({ block, version, level, slot: 0 }));
      // What is recorded below the undo snapshot makes a block one that may differ (RS5): it counts as
      // done when it is settled, like those that a restore found to differ.
      const isBelow = top !== undefined && states.some(({ version }) => version < top.undo);
      const isPending = top !== undefined && (await this.#isPending(block));
      this.blocks.push({ block, states, isPending, isUndone: isBelow || isPending });
    }
    await this.#read();
  }

  /** As nearly always: nothing is restored, and one state at most. `undefined` where it takes a look. */
  #statesNow(block: number, youngest: number): readonly OldState[] | undefined {
    const { layers, saved, states } = this.#parts;
    if (!layers.none) return undefined;
    if (youngest === 0) return NO_STATES;
    const isSaved = saved.has(block);
    if (isSaved === true) return NO_STATES; // W3
    if (isSaved === undefined || !states.simple) return undefined;
    return [{ block, version: youngest, level: 0, slot: 0 }];
  }

  async #missing(block: number, youngest: number): Promise<readonly MissingState[]> {
    const { layers, saved, states } = this.#parts;
    if (youngest === 0) return [];
    if (layers.none || !(await this.#isPending(block))) {
      // Again if need be: a region may be dropped between its loading and here. A block taken for
      // unsaved would be saved with what overwrote it.
      while (saved.has(block) === undefined) await saved.load(block);
      if (saved.has(block) === true) return []; // W3
      if (states.simple) return [{ version: youngest, level: 0 }];
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

  #read(): Completion {
    const { clone, layers, save } = this.#parts;
    const old: OldState[] = [];
    for (const { states } of this.blocks) {
      for (const state of states) if (state.level !== ZEROS) old.push(state);
    }
    old.sort((a, b) => a.level - b.level || a.block - b.block);
    for (const [slot, state] of old.entries()) state.slot = slot;
    const runs = this.#arena.runsToRead(old);
    return transferAll(runs, save.turn, ({ level, bytes, position }) =>
      level === 0
        ? clone.readInto(bytes as Uint8Array, position)
        : layers.readSource(level, bytes as Uint8Array, position),
    );
  }
}
