/**
 * StoreIndex: what the engine has, looked up by name and by id.
 *
 *   I1  What was deleted and can still be had back is not shown: its name is free. Only a deleted
 *       volume keeps its name, since what depends on it is called by it.
 *   I2  A look-up, and what follows from one changed object, cost the same with ten thousand branches
 *       and snapshots as with ten (a step more). Only listings cost what they list.
 *   I3  A record stays as it was found; but its snapshots are those that there are when it is asked
 *       for them, and a list of them that was handed out never changes.
 */
import type { SnapshotRecord, VolumeRecord } from '@palimpsest/ro-snapshot';
import type { BranchRecord } from '@palimpsest/rw-snapshot';
import type { SaveVolume } from '@palimpsest/save-volume';
import { FollowedIndex } from './followed-index.js';

/** A snapshot and what it is of. */
export interface OwnedSnapshot {
  readonly volume: VolumeRecord;
  /** The branch that it is a snapshot of; of the volume without one. */
  readonly branch?: BranchRecord;
  readonly snapshot: SnapshotRecord;
}

/** A thing that was deleted and can still be had back. */
export type RemovedThing =
  | { readonly kind: 'volume'; readonly volume: VolumeRecord }
  | ({ readonly kind: 'snapshot' } & OwnedSnapshot)
  | { readonly kind: 'branch'; readonly volume: VolumeRecord; readonly branch: BranchRecord };

/** The volumes and branches of a store. */
export interface StoreIndex {
  /** By name; deleted ones that something depends on too. */
  volumes(): readonly VolumeRecord[];
  volumeNamed(name: string): VolumeRecord | undefined;
  volumeWithId(id: number): VolumeRecord | undefined;
  /** Of all volumes, without what was deleted. */
  branches(): readonly BranchRecord[];
  /** In the order they were made, without what was deleted. */
  branchesOf(volume: VolumeRecord): readonly BranchRecord[];
  branchNamed(volume: VolumeRecord, name: string): BranchRecord | undefined;
  branchWithId(id: number): BranchRecord | undefined;
  /** Branches that are based on a snapshot, without what was deleted. */
  branchesOn(snapshot: number): readonly BranchRecord[];
  /** A snapshot of a volume or branch, unless it was deleted. */
  snapshotNamed(owner: { readonly id: number }, name: string): SnapshotRecord | undefined;
  /** The youngest snapshot of a volume or branch that was not deleted. */
  youngestSnapshot(owner: { readonly id: number }): SnapshotRecord | undefined;
  /** A snapshot, deleted or not. */
  snapshotWithId(id: number): OwnedSnapshot | undefined;
  /** A volume or branch, deleted or not, with the snapshots that were deleted too. */
  anyVolume(id: number): VolumeRecord | undefined;
  anyBranch(id: number): BranchRecord | undefined;
  /** Everything that was deleted, oldest deletion first. */
  removed(): readonly RemovedThing[];
  /** Everything, deleted or not. */
  everything(): {
    readonly volumes: readonly VolumeRecord[];
    readonly branches: readonly BranchRecord[];
  };
}

/** Makes the index of a save volume. */
export function createStoreIndex(save: SaveVolume): StoreIndex {
  return new FollowedIndex(save);
}
