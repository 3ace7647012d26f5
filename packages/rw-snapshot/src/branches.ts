/**
 * Making, opening and deleting branches. Creating one is a single commit of one object, whatever
 * the size; deleting one hides it in one commit and gives its blocks back in as many as it takes.
 */
import { type BlockDevice, StorageError } from '@palimpsest/block-device';
import {
  type Attributes,
  type Batch,
  encodeObject,
  type SaveVolume,
  type StoredObject,
  storedObjects,
} from '@palimpsest/save-volume';
import { assertBase, type Branch, makeBranch } from './branch.js';
import { type Base, type BranchRecord, findBranch, type StoredBranch } from './records.js';

/** Entries that one commit of a deletion gives back at most. */
const DELETE_STEP = 4096;
/** A deletion may use what is kept for it when the store is full. */
const GIVES_BACK = { givesBack: true };
/** Past the last block that the map can name. */
const EVERY_BLOCK = 2 ** 48 - 1;

/** How to delete a branch. */
export interface BranchDeletionOptions {
  /** Hears how many blocks were given back, and about how many there are. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Branches that are open, by store: one writer each. */
const OPEN = new WeakMap<SaveVolume, Set<number>>();

/**
 * Makes a branch of a read-only snapshot. Durable when it resolves.
 * @throws {StorageError} ERR_NOT_FOUND when there is no such snapshot.
 */
export async function createBranch(
  save: SaveVolume,
  base: Base,
  attributes: Attributes = {},
): Promise<BranchRecord> {
  const id = save.newObjectId();
  let record: BranchRecord | undefined;
  await save.transact((batch) => {
    // Looked up here, where nothing can come between it and the commit.
    const { size } = findSnapshot(save, base, batch);
    const branch: StoredBranch = { type: 'branch', base, size, attributes };
    batch.object(id, encodeObject(branch));
    record = { id, base, size, attributes };
  });
  return record as BranchRecord;
}

/**
 * Opens a branch on its base, the device of the snapshot it was made from.
 * @throws {StorageError} ERR_NOT_FOUND; ERR_BUSY when it is open already; ERR_INVALID when the base
 * has another size.
 */
export async function openBranch(save: SaveVolume, id: number, base: BlockDevice): Promise<Branch> {
  const { size } = findBranch(save, id);
  assertBase(base, size);
  const open = openOf(save);
  if (open.has(id)) throw new StorageError('ERR_BUSY', `branch ${id} is open already`);
  open.add(id);
  try {
    return await makeBranch({ save, id, base, size }, () => open.delete(id));
  } catch (error) {
    open.delete(id);
    throw error;
  }
}

/**
 * Deletes a branch. It is gone for good when this resolves, and its blocks are free.
 * @throws {StorageError} ERR_NOT_FOUND; ERR_IN_USE while it is open.
 */
export async function deleteBranch(
  save: SaveVolume,
  id: number,
  options: BranchDeletionOptions = {},
): Promise<void> {
  const open = openOf(save);
  if (open.has(id))
    throw new StorageError('ERR_IN_USE', `branch ${id} is open, or being deleted: close it first`);
  const branch = findBranch(save, id);
  // Nobody else may open it or give its blocks back while this does: they would be somebody's by then.
  open.add(id);
  try {
    const hidden = encodeObject({ ...branch, deleting: true });
    await save.transact((batch) => batch.object(id, hidden), GIVES_BACK);
    await freeBranch(save, id, options);
  } finally {
    open.delete(id);
  }
}

/** Resumes deletions that a crash or a close interrupted. Call it once after opening the store. */
export async function resumeBranchDeletions(save: SaveVolume): Promise<void> {
  for (const { id, object } of storedObjects<StoredBranch>(save, 'branch')) {
    if (object.deleting === true) await freeBranch(save, id);
  }
}

async function freeBranch(
  save: SaveVolume,
  id: number,
  { onProgress }: BranchDeletionOptions = {},
): Promise<void> {
  const total = onProgress === undefined ? 0 : await save.map.count(id);
  let done = 0;
  for (let from = 0; ; ) {
    const entries = await save.map.listEntries(id, from, EVERY_BLOCK, deletionStep(save));
    const last = entries.at(-1);
    if (last === undefined) break;
    await save.transact((batch) => {
      for (const { block, entry } of entries) {
        batch.remove(id, block, entry.version);
        if (entry.address !== 0) batch.free(entry.address);
      }
    }, GIVES_BACK);
    from = last.block + 1;
    done += entries.length;
    onProgress?.(done, Math.max(done, total));
  }
  await save.transact((batch) => batch.object(id, undefined), GIVES_BACK);
}

/** A block may have an entry and a span; each takes two operations. */
function deletionStep(save: SaveVolume): number {
  return Math.min(DELETE_STEP, Math.floor(save.operationsMax / 2) - 4);
}

function findSnapshot(save: SaveVolume, base: Base, batch: Batch): { size: number } {
  const snapshot = storedObjects<StoredObject & { volume: number; size: number }>(
    save,
    'snapshot',
    batch,
  ).find(({ id, object }) => id === base.snapshot && object.volume === base.volume);
  if (snapshot === undefined || snapshot.object.deleting === true) {
    throw new StorageError(
      'ERR_NOT_FOUND',
      `volume ${base.volume} has no snapshot ${base.snapshot}`,
    );
  }
  return snapshot.object;
}

function openOf(save: SaveVolume): Set<number> {
  let open = OPEN.get(save);
  if (open === undefined) {
    open = new Set();
    OPEN.set(save, open);
  }
  return open;
}
