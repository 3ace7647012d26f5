/**
 * ReadOnlySnapshot: the production volume as it was when the snapshot was taken, as a BlockDevice.
 *
 *   read(7) on snapshot 2, with entries of block 7 saved for snapshots 1, 4 and 5:
 *     (7,1)        (7,4)   (7,5)        clone volume
 *            2 ----->|  the first entry at or after 2 answers; with none, the clone
 *
 *   N1  A block that is found in no entry is read from the clone volume and then looked up again: a
 *       writer that overwrote it meanwhile saved it first (I3), so a second look settles the matter.
 *       So does what lies beneath while a restore runs: a source never changes, and a block stops
 *       being read from one only after what the snapshot needs of it is saved.
 *   N2  A deleted snapshot answers ERR_NOT_FOUND, never the bytes of another.
 */
import {
  type BlockDevice,
  type BlockDriver,
  type Completion,
  checked,
  StorageError,
} from '@palimpsest/block-device';
import { type Layers, readThrough, type SaveVolume } from '@palimpsest/save-volume';
import { type RestoreLayers, readLevels } from './restore-layers.js';
import { ZEROS } from './saved-states.js';
import type { UnusedSpans } from './unused-spans.js';

/** What a snapshot's device needs to know. */
export interface SnapshotView {
  readonly save: SaveVolume;
  readonly clone: BlockDevice;
  /** The volume's id: its space in the block map. */
  readonly volume: number;
  /** The snapshot's id: its version in the block map. */
  readonly snapshot: number;
  /** Bytes. */
  readonly size: number;
  readonly layers: RestoreLayers;
  readonly unused: UnusedSpans;
  /** False once the snapshot is deleted (N2). */
  readonly exists: () => boolean;
}

/** Opens a snapshot as a read-only device. Any number may be open; closing one is its own affair. */
export function openReadOnlySnapshot(view: SnapshotView): BlockDevice {
  return checked(new ReadOnlySnapshot(view));
}

class ReadOnlySnapshot implements BlockDriver {
  readonly blockSize: number;
  readonly size: number;
  readonly readOnly = true;
  readonly #view: SnapshotView;
  readonly #layers: Layers;

  constructor(view: SnapshotView) {
    this.#view = view;
    this.blockSize = view.save.blockSize;
    this.size = view.size;
    this.#layers = {
      blockSize: this.blockSize,
      readOwn: (block, target) => this.#readSaved(block, target),
      readLater: (found, block, target) => this.#orClone(found, block, target),
      readBeneath: (first, target, waits) => this.#readClone(first, target, waits),
    };
  }

  readInto(target: Uint8Array, position: number): Completion {
    this.#assertExists();
    const completion = readThrough(this.#layers, target, position);
    return completion?.then(() => this.#assertExists());
  }

  write(): Completion {
    throw new StorageError('ERR_READ_ONLY', 'a snapshot is read-only');
  }

  flush(): Completion {
    return undefined;
  }

  async close(): Promise<void> {
    // The volume, the store and the clone volume are their owners' to close.
  }

  #readSaved(block: number, target: Uint8Array): boolean | Promise<boolean> {
    const { save, volume, snapshot } = this.#view;
    return save.readSaved(volume, block, snapshot, target);
  }

  /** Reads a run of blocks that no entry was found for. */
  #readClone(first: number, target: Uint8Array, waits: Promise<void>[]): void {
    if (!this.#isPlain) {
      waits.push(this.#readLevels(first, target));
      return;
    }
    const completion = this.#view.clone.readInto(target, first * this.blockSize);
    // Read at once: nobody can have written between the look-up and here.
    if (completion !== undefined) waits.push(this.#lookAgain(completion, first, target));
  }

  /** True when the clone volume is all that lies beneath. */
  get #isPlain(): boolean {
    const { layers, unused, snapshot } = this.#view;
    return layers.none && !unused.isIn(snapshot);
  }

  /** The same where a restore or unused spans lie between (RS1, U3). */
  async #readLevels(first: number, target: Uint8Array): Promise<void> {
    const { blockSize } = this;
    const { clone, layers, unused, snapshot } = this.#view;
    const count = target.length / blockSize;
    const zeros = new Set<number>();
    if (unused.isIn(snapshot)) {
      for (let block = first; block < first + count; block += 1) {
        if (await unused.isZero(snapshot, block)) zeros.add(block);
      }
    }
    const levelAt = (block: number): number | undefined => {
      if (zeros.has(block)) return ZEROS;
      const level = layers.levelOf(snapshot);
      const pending = layers.pendingAt(level, block);
      return pending === undefined ? undefined : pending ? level : 0;
    };
    for (let block = first; block < first + count; ) {
      if (levelAt(block) === undefined) {
        await layers.load(block);
        block = first; // Loading takes a while: all are known in one turn, or looked at again.
      } else block += 1;
    }
    const reading = readLevels(
      target,
      first,
      blockSize,
      (block) => levelAt(block) as number,
      (level, part, position) => {
        if (level > 0) return layers.readSource(level, part, position);
        if (level === 0) return clone.readInto(part, position);
        part.fill(0);
        return undefined;
      },
    );
    await this.#lookAgain(reading ?? Promise.resolve(), first, target);
  }

  async #lookAgain(reading: Promise<void>, first: number, target: Uint8Array): Promise<void> {
    await reading;
    const { blockSize } = this;
    for (let at = 0; at < target.length; at += blockSize) {
      await this.#readSaved(first + at / blockSize, target.subarray(at, at + blockSize)); // N1
    }
  }

  async #orClone(found: Promise<boolean>, block: number, target: Uint8Array): Promise<void> {
    if (await found) return;
    if (!this.#isPlain) return this.#readLevels(block, target);
    await this.#view.clone.readInto(target, block * this.blockSize);
    await this.#readSaved(block, target); // N1
  }

  #assertExists(): void {
    if (this.#view.exists()) return;
    throw new StorageError('ERR_NOT_FOUND', 'the snapshot was deleted while it was open');
  }
}
