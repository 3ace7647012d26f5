/**
 * SavedStates: what must be recorded of a block before it changes in the clone volume, so that every
 * snapshot goes on reading what it reads now.
 *
 * Without a restore and without unused spans that is one state, for the youngest snapshot. With them
 * snapshots that have no state of a block of their own need not agree on what lies beneath:
 *
 *   snapshots     1      2 (unused)    3 = U      4          production
 *   block 7      clone     zeros      clone     source        source
 *   recorded              2: zeros  3: clone   4: source
 *            1: clone
 *
 *   W4  States are recorded from the youngest snapshot down, one wherever what is read changes, and
 *       no further than the first snapshot that has one: what that had recorded had all below it
 *       recorded in the same commit (RS3). So a block is saved once per interval in which its content
 *       is the same, also when a crash came between recording and overwriting (I2).
 */
import type { SaveVolume } from '@palimpsest/save-volume';
import type { RestoreLayers } from './restore-layers.js';
import type { SnapshotQueue } from './snapshot-queue.js';
import type { UnusedSpans } from './unused-spans.js';

/** Zeros, as a level. */
export const ZEROS = -1;

/** Blocks reserved for what unused spans add: any number can be needed, more than this hardly ever. */
const PIECES = 2;

/** A state to be recorded. */
export interface MissingState {
  readonly version: number;
  /** Where its bytes are: ZEROS, 0 for the clone volume, or the source of that layer. */
  readonly level: number;
}

/** See the file header. */
export class SavedStates {
  readonly #save: SaveVolume;
  readonly #space: number;
  readonly #layers: RestoreLayers;
  readonly #unused: UnusedSpans;
  /** Snapshots at which what lies beneath may change, youngest first. */
  #stops: readonly number[] = [];
  #hasUnused = false;

  constructor(save: SaveVolume, space: number, layers: RestoreLayers, unused: UnusedSpans) {
    this.#save = save;
    this.#space = space;
    this.#layers = layers;
    this.#unused = unused;
  }

  /** True when every snapshot reads the clone volume where it has no state of its own. */
  get simple(): boolean {
    const [youngest, older] = this.#stops;
    return older === undefined && (youngest === undefined || !this.#unused.isIn(youngest));
  }

  /**
   * Blocks of space that the states of one block can take: one a layer, one for the snapshots younger
   * than all layers, and two more where unused spans cut the queue in pieces.
   */
  get mostBlocks(): number {
    const { top, all } = this.#layers;
    const younger = (this.#stops[0] ?? 0) > (top?.undo ?? 0) ? 1 : 0;
    return all.length + younger + (this.hasUnused ? PIECES : 0);
  }

  /** True when snapshots with unused spans may make any block take more than one. */
  get hasUnused(): boolean {
    return this.#hasUnused;
  }

  /** Follows the queue and the layers as they are now. */
  follow(queue: SnapshotQueue): void {
    const stops = new Set([queue.youngest, ...this.#layers.all.map(({ undo }) => undo)]);
    this.#hasUnused = queue.unused.size > 0;
    for (const id of queue.unused) stops.add(id).add(queue.olderThan(id));
    this.#stops = [...stops].filter((id) => id > 0).sort((a, b) => b - a);
  }

  /** The states of the block that must be recorded before it changes, youngest first (W4). */
  async missing(block: number): Promise<MissingState[]> {
    const missing: MissingState[] = [];
    let above: number | undefined;
    for (const version of this.#stops) {
      if ((await this.#save.find(this.#space, block, version)) !== undefined) break;
      const level = await this.#levelAt(version, block);
      if (level !== above) missing.push({ version, level });
      above = level;
    }
    return missing;
  }

  async #levelAt(snapshot: number, block: number): Promise<number> {
    if (await this.#unused.isZero(snapshot, block)) return ZEROS;
    const level = this.#layers.levelOf(snapshot);
    let pending = this.#layers.pendingAt(level, block);
    while (pending === undefined) {
      await this.#layers.load(block);
      pending = this.#layers.pendingAt(level, block);
    }
    return pending ? level : 0;
  }
}
