/**
 * What the save volume keeps about branches.
 */
import { StorageError } from '@palimpsest/block-device';
import {
  type Attributes,
  type SaveVolume,
  type StoredObject,
  storedObjects,
} from '@palimpsest/save-volume';

/** The read-only snapshot that a branch starts from. */
export interface Base {
  /** Id of the production volume. */
  readonly volume: number;
  /** Id of its snapshot. */
  readonly snapshot: number;
}

/** A branch as the store lists it. */
export interface BranchRecord {
  /** Unique in the store. */
  readonly id: number;
  readonly base: Base;
  /** Bytes. */
  readonly size: number;
  readonly attributes: Attributes;
}

/** A branch object as stored. */
export interface StoredBranch extends StoredObject {
  readonly type: 'branch';
  readonly base: Base;
  readonly size: number;
}

/** All branches of the store, in order of creation; those being deleted are not shown. */
export function listBranches(save: SaveVolume): readonly BranchRecord[] {
  return storedObjects<StoredBranch>(save, 'branch')
    .filter(({ object }) => object.deleting !== true)
    .map(({ id, object: { base, size, attributes } }) => ({ id, base, size, attributes }));
}

/**
 * The stored record of one branch.
 * @throws {StorageError} ERR_NOT_FOUND, also while it is being deleted.
 */
export function findBranch(save: SaveVolume, id: number): StoredBranch {
  const found = storedObjects<StoredBranch>(save, 'branch').find((branch) => branch.id === id);
  if (found === undefined || found.object.deleting === true) {
    throw new StorageError('ERR_NOT_FOUND', `the store has no branch ${id}`);
  }
  return found.object;
}
