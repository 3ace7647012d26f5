/**
 * Read-only snapshots of a branch: taken at once, whether the branch is open or not, read through its
 * lineage, deleted in any order.
 *
 *   N3  A snapshot of a branch costs one object: until a block changes, its present answers for it.
 */
import {
  type BlockDevice,
  type BlockDriver,
  type Completion,
  checked,
  type Extent,
  StorageError,
  together,
} from '@palimpsest/block-device';
import {
  type Alongside,
  createSnapshots,
  type DeletionOptions,
  queueOf,
  type SnapshotRecord,
  type SnapshotTaker,
  type StoredSnapshot,
} from '@palimpsest/ro-snapshot';
import {
  type Attributes,
  type Batch,
  type SaveVolume,
  storedObject,
} from '@palimpsest/save-volume';
import { joinExtents } from './branch-device.js';
import { type Beneath, Lineage } from './lineage.js';
import { aloneOnSpace, openBranchOf } from './open-branches.js';
import { findBranch, findSpace, type StoredSpace } from './records.js';
import { settleRetired } from './retired-spaces.js';

/**
 * Takes a read-only snapshot of a branch, with every write that was answered. Durable when it
 * resolves; the cost does not depend on the branch's size.
 * @throws {StorageError} ERR_NOT_FOUND; ERR_NO_SPACE.
 */
export async function createBranchSnapshot(
  save: SaveVolume,
  id: number,
  attributes: Attributes = {},
  alongside?: Alongside,
): Promise<SnapshotRecord> {
  const [record] = await createSnapshots([{ taker: branchTaker(save, id), attributes }], alongside);
  return record as SnapshotRecord;
}

/**
 * A branch, open or not, as something to take a snapshot of, alone or in a group.
 * @throws {StorageError} ERR_NOT_FOUND.
 */
export function branchTaker(save: SaveVolume, id: number): SnapshotTaker {
  const { space } = findBranch(save, id);
  const assertSame = (batch: Batch): void => {
    if (findBranch(save, id, batch).space === space) return;
    throw new StorageError('ERR_BUSY', `branch ${id} was refreshed meanwhile; try again`);
  };
  return {
    id,
    save,
    stopped: (work) =>
      aloneOnSpace(save, id, space, () =>
        work({
          drain: async () => {}, // committed when it was stopped
          add: (batch, attributes) => {
            assertSame(batch);
            return queueOf(save, space).addTo(
              batch,
              findSpace(save, space, batch).size,
              attributes,
            );
          },
          added: () => void queueOf(save, space),
        }),
      ),
  };
}

/**
 * Deletes a snapshot of a branch, whichever. It is gone for good when this resolves, and what only it
 * needed is free.
 * @throws {StorageError} ERR_NOT_FOUND; ERR_IN_USE when something is based on it.
 */
export async function deleteBranchSnapshot(
  save: SaveVolume,
  id: number,
  options: DeletionOptions = {},
): Promise<void> {
  const { space, branch } = spaceOfSnapshot(save, id);
  await aloneOnSpace(save, branch, space, () => queueOf(save, space).hide(id, options.alongside));
  await queueOf(save, space).finish(id, {
    ...options,
    onFreed: (blocks) => openBranchOf(save, branch)?.parts.own.adopted(-blocks),
  });
  await settleRetired(save, space);
}

/**
 * Opens a snapshot of a branch as a read-only device. `beneath` as for `openBranch`.
 * @throws {StorageError} ERR_NOT_FOUND.
 */
export async function openBranchSnapshot(
  save: SaveVolume,
  id: number,
  beneath: Beneath,
): Promise<BlockDevice> {
  const { space, size } = spaceOfSnapshot(save, id);
  const lineage = await Lineage.ofSnapshot(save, { volume: space, snapshot: id }, beneath);
  return checked(new BranchSnapshot(save, id, size, lineage));
}

class BranchSnapshot implements BlockDriver {
  readonly blockSize: number;
  readonly size: number;
  readonly readOnly = true;
  readonly #save: SaveVolume;
  readonly #id: number;
  readonly #lineage: Lineage;

  constructor(save: SaveVolume, id: number, size: number, lineage: Lineage) {
    this.#save = save;
    this.#id = id;
    this.#lineage = lineage;
    this.blockSize = save.blockSize;
    this.size = size;
  }

  readInto(target: Uint8Array, position: number): Completion {
    this.#assertExists();
    const first = position / this.blockSize;
    const completion = together((waits) => this.#lineage.read(first, target, waits));
    return completion?.then(() => this.#assertExists());
  }

  write(): Completion {
    throw new StorageError('ERR_READ_ONLY', 'a snapshot is read-only');
  }

  flush(): Completion {
    return undefined;
  }

  async extents(position: number, length: number): Promise<readonly Extent[]> {
    const first = position / this.blockSize;
    return joinExtents(await this.#lineage.extents(first, first + length / this.blockSize));
  }

  async close(): Promise<void> {
    this.#lineage.close();
  }

  #assertExists(): void {
    const stored = storedObject<StoredSnapshot>(this.#save, 'snapshot', this.#id);
    if (stored !== undefined && stored.deleting !== true) return;
    throw new StorageError('ERR_NOT_FOUND', 'the snapshot was deleted while it was open');
  }
}

/** The space, branch and size of a branch's snapshot. @throws {StorageError} ERR_NOT_FOUND. */
export function spaceOfSnapshot(
  save: SaveVolume,
  id: number,
): { readonly space: number; readonly branch: number; readonly size: number } {
  const stored = storedObject<StoredSnapshot>(save, 'snapshot', id);
  const space = stored && storedObject<StoredSpace>(save, 'space', stored.volume);
  if (stored === undefined || space === undefined || stored.deleting === true) {
    throw new StorageError('ERR_NOT_FOUND', `the store has no snapshot ${id} of a branch`);
  }
  return { space: stored.volume, branch: space.branch, size: stored.size };
}
