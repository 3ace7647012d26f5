/**
 * Making, changing and deleting branches. Each is a single commit of a few objects, whatever the
 * size; blocks that nobody needs any more are given back behind it, in as many commits as it takes.
 *
 *   R1  A refresh gives the branch a new, empty space on the chosen snapshot. The old space is
 *       retired; the state it had is kept as a snapshot of it, when asked for, by the same commit.
 *   R2  Snapshots of the branch survive its refresh: they are of the retired space.
 */
import { StorageError } from '@palimpsest/block-device';
import {
  type Alongside,
  queueOf,
  type SnapshotRecord,
  type StoredSnapshot,
} from '@palimpsest/ro-snapshot';
import {
  type Attributes,
  type Batch,
  encodeObject,
  type SaveVolume,
  storedDependants,
  storedObjectsOf,
} from '@palimpsest/save-volume';
import { dropBranch, openBranchOf, takeBranch } from './open-branches.js';
import {
  type Base,
  type BranchRecord,
  branchRecord,
  findBranch,
  findSnapshot,
  findSpace,
  rootOf,
  type StoredBranch,
  type StoredSpace,
} from './records.js';
import { type GivingBackOptions, settleRetired } from './retired-spaces.js';

/** A deletion may use what is kept for it when the store is full. */
const GIVES_BACK = { givesBack: true };

/** How to delete a branch. */
export interface BranchDeletionOptions extends GivingBackOptions {
  /** Deletes its snapshots too. @default false: it is refused while there are any */
  readonly withSnapshots?: boolean;
  readonly alongside?: Alongside;
}

/** How to refresh a branch. */
export interface RefreshOptions {
  /** Keeps the state it had as a snapshot with these attributes. */
  readonly keep?: Attributes;
  /** Hears the id of the kept state, if there is one. */
  readonly alongside?: (batch: Batch, kept?: number) => void;
}

/** What a refresh did. */
export interface Refreshed {
  /** The state the branch had, when it was to be kept. */
  readonly kept?: SnapshotRecord;
  /** Resolves when the blocks of a state that is not kept are free. */
  readonly settled: Promise<void>;
}

/**
 * Makes a branch of a read-only snapshot, of production or of a branch. Durable when it resolves.
 * @throws {StorageError} ERR_NOT_FOUND when there is no such snapshot.
 */
export async function createBranch(
  save: SaveVolume,
  base: Base,
  attributes: Attributes = {},
  { alongside, quotaBytes }: { readonly alongside?: Alongside; readonly quotaBytes?: number } = {},
): Promise<BranchRecord> {
  const id = save.newObjectId();
  const space = save.newObjectId();
  await save.transact((batch) => {
    // Looked up here, where nothing can come between it and the commit.
    const { size } = findSnapshot(save, base, batch);
    const volume = rootOf(save, base.volume, batch);
    const quota = quotaBytes === undefined ? {} : { quotaBytes };
    const branch: StoredBranch = { type: 'branch', volume, space, attributes, ...quota };
    putSpace(batch, space, { type: 'space', branch: id, base, size, attributes: {} });
    batch.object(id, encodeObject(branch));
    alongside?.(batch);
  });
  return branchRecord(save, id, []);
}

/**
 * Makes a branch a chosen snapshot again, older or newer than its base, under the same identity
 * (US 2005/0065985). Durable when it resolves; one commit at any size (R1).
 * @throws {StorageError} ERR_NOT_FOUND; ERR_IN_USE while it is open; ERR_INVALID for a snapshot of
 * another volume's lineage.
 */
export async function refreshBranch(
  save: SaveVolume,
  id: number,
  to: Base,
  { keep, alongside }: RefreshOptions = {},
): Promise<Refreshed> {
  takeBranch(save, id, 'ERR_IN_USE');
  try {
    const space = save.newObjectId();
    const keptId = keep === undefined ? undefined : save.newObjectId();
    let old = 0;
    // What is not kept comes back, so there is always room for that.
    const options = keep === undefined ? GIVES_BACK : {};
    await save.transact((batch) => {
      const branch = findBranch(save, id, batch);
      const { size } = findSnapshot(save, to, batch);
      if (rootOf(save, to.volume, batch) !== branch.volume) {
        throw new StorageError(
          'ERR_INVALID',
          `snapshot ${to.snapshot} is not of volume ${branch.volume} or a branch of it`,
        );
      }
      old = branch.space;
      const before = findSpace(save, old, batch);
      putSpace(batch, space, { type: 'space', branch: id, base: to, size, attributes: {} });
      putSpace(batch, old, { ...before, retired: true });
      batch.object(id, encodeObject({ ...branch, space }));
      if (keptId !== undefined) {
        const kept: StoredSnapshot = {
          type: 'snapshot',
          volume: old,
          size: before.size,
          attributes: keep ?? {},
        };
        batch.object(keptId, encodeObject(kept));
      }
      alongside?.(batch, keptId);
    }, options);
    const settled = settleRetired(save, old);
    settled.catch(() => undefined); // told to who awaits it, and resumed at the next opening
    const kept = keptId === undefined ? undefined : queueOf(save, old).find(keptId);
    return { settled, ...(kept === undefined ? {} : { kept }) };
  } finally {
    dropBranch(save, id);
  }
}

/**
 * Deletes branches, all in one commit. They are gone for good when this resolves, and their blocks
 * are free.
 * @throws {StorageError} ERR_NOT_FOUND; ERR_IN_USE while one is open, or has snapshots that are not to
 * go with it, or that something outside the set is based on.
 */
export async function deleteBranches(
  save: SaveVolume,
  ids: readonly number[],
  options: BranchDeletionOptions = {},
): Promise<void> {
  for (const id of ids) findBranch(save, id);
  const taken: number[] = [];
  try {
    for (const id of ids) {
      takeBranch(save, id, 'ERR_IN_USE');
      taken.push(id);
    }
    let spaces: readonly number[] = [];
    await save.transact((batch) => {
      spaces = spacesOf(save, ids, batch);
      const snapshots = spaces.flatMap((space) =>
        storedObjectsOf<StoredSnapshot>(save, 'snapshot', space, batch),
      );
      const shown = snapshots.filter(({ object }) => object.deleting !== true);
      if (options.withSnapshots !== true && shown.length > 0) {
        throw new StorageError(
          'ERR_IN_USE',
          `branch ${ids.join(', ')} has ${shown.length} snapshots: delete them first`,
        );
      }
      const gone = new Set(snapshots.map(({ id }) => id));
      assertNeededByNobody(save, gone, new Set(spaces), batch);
      for (const space of spaces) {
        putSpace(batch, space, { ...findSpace(save, space, batch), base: null, retired: true });
      }
      for (const id of [...gone, ...ids]) batch.object(id, undefined);
      options.alongside?.(batch);
    }, GIVES_BACK);
    for (const space of spaces) await settleRetired(save, space, options);
  } finally {
    for (const id of taken) dropBranch(save, id);
  }
}

/** The same for one branch. */
export function deleteBranch(
  save: SaveVolume,
  id: number,
  options: BranchDeletionOptions = {},
): Promise<void> {
  return deleteBranches(save, [id], options);
}

/**
 * Makes a branch larger; what is new reads as zeros, and its snapshots keep their size. Durable when
 * it resolves; clients see it when they open it again.
 * @throws {StorageError} ERR_NOT_FOUND; ERR_INVALID for a size that is smaller or not whole blocks.
 */
export async function resizeBranch(
  save: SaveVolume,
  id: number,
  size: number,
  alongside?: Alongside,
): Promise<void> {
  await save.transact((batch) => {
    const { space } = findBranch(save, id, batch);
    const before = findSpace(save, space, batch);
    if (!Number.isSafeInteger(size) || size < before.size || size % save.blockSize !== 0) {
      throw new StorageError(
        'ERR_INVALID',
        `a branch of ${before.size} bytes can only grow, by whole blocks of ${save.blockSize} ` +
          `bytes: ${size} is not possible`,
      );
    }
    putSpace(batch, space, { ...before, size });
    alongside?.(batch);
  });
  const open = openBranchOf(save, id);
  if (open !== undefined) open.parts.size = size;
}

/**
 * Limits what a branch may have of its own, in bytes; `undefined` takes the limit away. What it has
 * already stays. Durable when it resolves.
 * @throws {StorageError} ERR_NOT_FOUND.
 */
export async function setBranchQuota(
  save: SaveVolume,
  id: number,
  bytes: number | undefined,
  alongside?: Alongside,
): Promise<void> {
  await save.transact((batch) => {
    const { quotaBytes: _before, ...branch } = findBranch(save, id, batch);
    const quota = bytes === undefined ? {} : { quotaBytes: bytes };
    batch.object(id, encodeObject({ ...branch, ...quota }));
    alongside?.(batch);
  });
  await openBranchOf(save, id)?.parts.own.limit(bytes);
}

function putSpace(batch: Batch, id: number, space: StoredSpace): void {
  batch.object(id, encodeObject(space));
}

/** Every space, retired ones too, of some branches. */
function spacesOf(save: SaveVolume, branches: readonly number[], batch: Batch): number[] {
  return branches.flatMap((branch) =>
    storedObjectsOf<StoredSpace>(save, 'space', branch, batch).map(({ id }) => id),
  );
}

function assertNeededByNobody(
  save: SaveVolume,
  snapshots: ReadonlySet<number>,
  except: ReadonlySet<number>,
  batch: Batch,
): void {
  const dependants = new Set<number>();
  for (const snapshot of snapshots) {
    for (const { id } of storedDependants(save, snapshot, batch)) {
      if (!except.has(id)) dependants.add(id);
    }
  }
  if (dependants.size === 0) return;
  throw new StorageError(
    'ERR_IN_USE',
    `${dependants.size} branches or restores need its snapshots: delete or end them first`,
  );
}
