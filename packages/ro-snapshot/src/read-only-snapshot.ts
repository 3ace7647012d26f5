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
  together,
} from '@palimpsest/block-device';
import type { SaveVolume } from '@palimpsest/save-volume';

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

  constructor(view: SnapshotView) {
    this.#view = view;
    this.blockSize = view.save.blockSize;
    this.size = view.size;
  }

  readInto(target: Uint8Array, position: number): Completion {
    this.#assertExists();
    const completion = together((waits) => this.#read(target, position, waits));
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

  #read(target: Uint8Array, position: number, waits: Promise<void>[]): void {
    const { blockSize } = this;
    const first = position / blockSize;
    const count = target.length / blockSize;
    let absent = 0;
    for (let index = 0; index < count; index += 1) {
      const part =
        count === 1 ? target : target.subarray(index * blockSize, (index + 1) * blockSize);
      const found = this.#readSaved(first + index, part);
      if (found === false) {
        absent += 1;
        continue;
      }
      if (found !== true) waits.push(this.#orClone(found, first + index, part));
      this.#readClone(target, first, index - absent, absent, waits);
      absent = 0;
    }
    this.#readClone(target, first, count - absent, absent, waits);
  }

  #readSaved(block: number, target: Uint8Array): boolean | Promise<boolean> {
    const { save, volume, snapshot } = this.#view;
    return save.readSaved(volume, block, snapshot, target);
  }

  /** Reads a run of blocks that no entry was found for. */
  #readClone(
    target: Uint8Array,
    first: number,
    index: number,
    count: number,
    waits: Promise<void>[],
  ): void {
    if (count === 0) return;
    const { blockSize } = this;
    const part = target.subarray(index * blockSize, (index + count) * blockSize);
    const completion = this.#view.clone.readInto(part, (first + index) * blockSize);
    // Read at once: nobody can have written between the look-up and here.
    if (completion !== undefined) waits.push(this.#lookAgain(completion, first + index, part));
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
