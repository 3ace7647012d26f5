/**
 * ReadOnlySnapshot: the production volume as it was when the snapshot was taken, as a BlockDevice.
 *
 *   read(7) on snapshot 2, with entries of block 7 saved for snapshots 1, 4 and 5:
 *     (7,1)        (7,4)   (7,5)        clone volume
 *            2 ----->|  the first entry at or after 2 answers; with none, the clone
 *
 *   N1  A block that is found in no entry is read from the clone volume and then looked up again: a
 *       writer that overwrote it meanwhile saved it first (I3), so a second look settles the matter.
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
    const completion = this.#view.clone.readInto(target, first * this.blockSize);
    // Read at once: nobody can have written between the look-up and here.
    if (completion !== undefined) waits.push(this.#lookAgain(completion, first, target));
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
    await this.#view.clone.readInto(target, block * this.blockSize);
    await this.#readSaved(block, target); // N1
  }

  #assertExists(): void {
    if (this.#view.exists()) return;
    throw new StorageError('ERR_NOT_FOUND', 'the snapshot was deleted while it was open');
  }
}
