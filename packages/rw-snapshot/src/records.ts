/**
 * What the save volume keeps about branches: two objects each. The branch is the name; the space is
 * what it has of its own now, and what that is based on. A refresh gives the branch another space;
 * the old one is *retired*: it lives on while it has snapshots.
 */
import { StorageError } from '@palimpsest/block-device';
import type { SnapshotRecord, StoredSnapshot } from '@palimpsest/ro-snapshot';
import {
  type Attributes,
  type Batch,
  type SaveVolume,
  type StoredObject,
  storedObject,
  storedObjects,
} from '@palimpsest/save-volume';

/** The read-only snapshot that a branch starts from. */
export interface Base {
  /** The space that the snapshot is of: a production volume, or the space of a branch. */
  readonly volume: number;
  /** Id of the snapshot. */
  readonly snapshot: number;
}

/** A branch as the store lists it. */
export interface BranchRecord {
  /** Unique in the store. */
  readonly id: number;
  /** The production volume at the root. */
  readonly volume: number;
  /** What the branch has of its own now. */
  readonly space: number;
  /** `null` once the branch is independent (`flattenBranch`). */
  readonly base: Base | null;
  /** Bytes. */
  readonly size: number;
  readonly attributes: Attributes;
  /** Spaces between the branch and the production volume, its own included. */
  readonly depth: number;
  /** Snapshots of the branch, those of its retired spaces too, oldest first. */
  readonly snapshots: readonly SnapshotRecord[];
  /** How far a flatten that was begun is. Blocks. */
  readonly flattening?: { readonly done: number; readonly total: number };
  /** Bytes that the branch may have of its own. */
  readonly quotaBytes?: number;
}

/** A branch object as stored. */
export interface StoredBranch extends StoredObject {
  readonly type: 'branch';
  readonly volume: number;
  readonly space: number;
  readonly quotaBytes?: number;
}

/** A space object as stored. */
export interface StoredSpace extends StoredObject {
  readonly type: 'space';
  readonly branch: number;
  readonly base: Base | null;
  /** Bytes. */
  readonly size: number;
  /** Set when it is no branch's present any more. */
  readonly retired?: boolean;
  /** The block that a flatten has got to. */
  readonly flattened?: number;
}

/** All branches of the store, in order of creation. */
export function listBranches(save: SaveVolume): readonly BranchRecord[] {
  const owners = new Map<number, number>();
  for (const { id, object } of storedObjects<StoredSpace>(save, 'space')) {
    owners.set(id, object.branch);
  }
  const snapshots = new Map<number, SnapshotRecord[]>();
  for (const { id, object } of storedObjects<StoredSnapshot>(save, 'snapshot')) {
    const owner = owners.get(object.volume);
    if (owner === undefined || object.deleting === true) continue;
    const { size, attributes } = object;
    const list = snapshots.get(owner) ?? [];
    list.push({ id, size, attributes });
    snapshots.set(owner, list);
  }
  return storedObjects<StoredBranch>(save, 'branch').map(({ id }) =>
    branchRecord(save, id, snapshots.get(id) ?? []),
  );
}

/** The spaces of a branch's lineage by id, from `space` down, nearest first; none for production. */
export function lineageOf(save: SaveVolume, space: number, batch?: Batch): readonly number[] {
  const ids: number[] = [];
  for (let id: number | undefined = space; id !== undefined; ) {
    const found: StoredSpace | undefined = storedObject<StoredSpace>(save, 'space', id, batch);
    if (found === undefined) break;
    ids.push(id);
    id = found.base?.volume;
  }
  return ids;
}

/** A branch as listed; its snapshots are the caller's to find. */
export function branchRecord(
  save: SaveVolume,
  id: number,
  snapshots: readonly SnapshotRecord[],
): BranchRecord {
  const object = findBranch(save, id);
  const space = findSpace(save, object.space);
  const total = Math.ceil(space.size / save.blockSize);
  return {
    id,
    volume: object.volume,
    space: object.space,
    base: space.base,
    size: space.size,
    attributes: object.attributes,
    depth: lineageOf(save, object.space).length,
    snapshots,
    ...(space.flattened === undefined || space.base === null
      ? {}
      : { flattening: { done: space.flattened, total } }),
    ...(object.quotaBytes === undefined ? {} : { quotaBytes: object.quotaBytes }),
  };
}

/**
 * The stored record of one branch.
 * @throws {StorageError} ERR_NOT_FOUND, also once it is being deleted.
 */
export function findBranch(save: SaveVolume, id: number, batch?: Batch): StoredBranch {
  const found = storedObject<StoredBranch>(save, 'branch', id, batch);
  if (found !== undefined) return found;
  throw new StorageError('ERR_NOT_FOUND', `the store has no branch ${id}`);
}

/** The stored record of a space, which its branch, or a snapshot of it, vouches for. */
export function findSpace(save: SaveVolume, id: number, batch?: Batch): StoredSpace {
  const found = storedObject<StoredSpace>(save, 'space', id, batch);
  if (found !== undefined) return found;
  throw new StorageError(
    'ERR_CORRUPT',
    `the store has no space ${id}, which a branch is said to have`,
  );
}

/**
 * A snapshot, of production or of a branch, that something can be based on.
 * @throws {StorageError} ERR_NOT_FOUND, also while it is being deleted.
 */
export function findSnapshot(save: SaveVolume, base: Base, batch?: Batch): StoredSnapshot {
  const found = storedObject<StoredSnapshot>(save, 'snapshot', base.snapshot, batch);
  if (found !== undefined && found.volume === base.volume && found.deleting !== true) return found;
  throw new StorageError('ERR_NOT_FOUND', `volume ${base.volume} has no snapshot ${base.snapshot}`);
}

/** The production volume at the root of a space's lineage; its own id when it is one. */
export function rootOf(save: SaveVolume, space: number, batch?: Batch): number {
  const found = storedObject<StoredSpace>(save, 'space', space, batch);
  if (found === undefined) return space;
  return findBranch(save, found.branch, batch).volume;
}
