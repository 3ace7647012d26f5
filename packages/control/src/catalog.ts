/**
 * Catalog: finds volumes, snapshots and branches by reference, and says what to do when there is
 * none.
 */
import { StorageError } from '@palimpsest/block-device';
import type { SnapshotRecord, VolumeRecord } from '@palimpsest/ro-snapshot';
import type { Base, BranchRecord } from '@palimpsest/rw-snapshot';
import { type SaveVolume, type StoredObject, storedObject } from '@palimpsest/save-volume';
import { assertName, quote } from './names.js';
import { snapshotAttributes, volumeAttributes } from './records.js';
import {
  branchReference,
  parseBranchReference,
  parseReference,
  parseSnapshotReference,
  parseTarget,
  type SnapshotSelector,
  snapshotReference,
  targetReference,
} from './references.js';
import type { StoreIndex } from './store-index.js';

/** A volume, found. `reference` is written out: never "latest" or an age. */
export interface FoundVolume {
  readonly kind: 'volume';
  readonly reference: string;
  readonly volume: VolumeRecord;
}

/** A snapshot, found. */
export interface FoundSnapshot {
  readonly kind: 'snapshot';
  readonly reference: string;
  readonly volume: VolumeRecord;
  /** The branch that it is a snapshot of; of the volume without one. */
  readonly branch?: BranchRecord;
  readonly snapshot: SnapshotRecord;
}

/** A branch, found. */
export interface FoundBranch {
  readonly kind: 'branch';
  readonly reference: string;
  readonly volume: VolumeRecord;
  readonly branch: BranchRecord;
}

/** A volume or branch, found. */
export type FoundTarget = FoundVolume | FoundBranch;
/** A reference, found. */
export type Found = FoundTarget | FoundSnapshot;

/** @throws {StorageError} ERR_INVALID when it is not a name; ERR_NOT_FOUND. */
export function findVolume(index: StoreIndex, name: string): VolumeRecord {
  assertName('volume', name);
  const volume = index.volumeNamed(name);
  if (volume !== undefined) return volume;
  throw new StorageError(
    'ERR_NOT_FOUND',
    `there is no volume ${quote(name)}; see which there are: pal volume list`,
  );
}

/**
 * Finds what a reference means.
 * @throws {StorageError} ERR_INVALID when it is not a reference; ERR_NOT_FOUND.
 */
export function find(index: StoreIndex, text: string, nowMs: number): Found {
  const reference = parseReference(text);
  if (reference.kind === 'snapshot') return findSnapshot(index, text, nowMs);
  return findTarget(index, text);
}

/** @throws {StorageError} ERR_INVALID when it is a snapshot's reference; ERR_NOT_FOUND. */
export function findTarget(index: StoreIndex, text: string): FoundTarget {
  const target = parseTarget(text);
  if (target.kind === 'branch') return findBranch(index, text);
  const volume = findVolume(index, target.volume);
  return { kind: 'volume', reference: target.volume, volume };
}

/** @throws {StorageError} ERR_INVALID when it is another kind of reference; ERR_NOT_FOUND. */
export function findSnapshot(index: StoreIndex, text: string, nowMs: number): FoundSnapshot {
  const parsed = parseSnapshotReference(text);
  const volume = findVolume(index, parsed.volume);
  const target = targetReference(parsed);
  const branch = parsed.branch === undefined ? undefined : findBranch(index, target).branch;
  const snapshot = selectSnapshot(index, target, branch ?? volume, parsed.snapshot, nowMs);
  const reference = snapshotReference(target, snapshotAttributes(snapshot).name);
  return {
    kind: 'snapshot',
    reference,
    volume,
    ...(branch === undefined ? {} : { branch }),
    snapshot,
  };
}

/** @throws {StorageError} ERR_INVALID when it is another kind of reference; ERR_NOT_FOUND. */
export function findBranch(index: StoreIndex, text: string): FoundBranch {
  const { volume: volumeName, branch: name } = parseBranchReference(text);
  const volume = findVolume(index, volumeName);
  const branch = index.branchNamed(volume, name);
  if (branch === undefined) {
    throw new StorageError(
      'ERR_NOT_FOUND',
      `${volumeName} has no branch ${quote(name)}; see which there are: ` +
        `pal branch list ${volumeName}`,
    );
  }
  return { kind: 'branch', reference: branchReference(volumeName, name), volume, branch };
}

/** What snapshots are of. */
export function ownerOf(found: FoundTarget): VolumeRecord | BranchRecord {
  return found.kind === 'branch' ? found.branch : found.volume;
}

/** The snapshots of a volume or branch, oldest first. */
export function snapshotsOf(found: FoundTarget): readonly SnapshotRecord[] {
  return ownerOf(found).snapshots;
}

/** What the engine bases a branch, or a restore, on. */
export function baseOf(save: SaveVolume, snapshot: number): Base {
  const stored = storedObject<StoredObject & { readonly volume: number }>(
    save,
    'snapshot',
    snapshot,
  );
  if (stored === undefined) throw new StorageError('ERR_NOT_FOUND', `snapshot ${snapshot} is gone`);
  return { volume: stored.volume, snapshot };
}

function selectSnapshot(
  index: StoreIndex,
  name: string,
  owner: VolumeRecord | BranchRecord,
  selector: SnapshotSelector,
  nowMs: number,
): SnapshotRecord {
  const named = selector.by === 'name' ? index.snapshotNamed(owner, selector.name) : undefined;
  if (named !== undefined) return named;
  const youngest = index.youngestSnapshot(owner);
  if (youngest === undefined) {
    throw new StorageError(
      'ERR_NOT_FOUND',
      `${name} has no snapshots; take one: pal snapshot create ${name}`,
    );
  }
  if (selector.by === 'latest') return youngest;
  if (selector.by === 'age') {
    const { ageMs } = selector;
    const old = owner.snapshots.findLast(
      (each) => snapshotAttributes(each).createdAt <= nowMs - ageMs,
    );
    if (old !== undefined) return old;
    throw new StorageError(
      'ERR_NOT_FOUND',
      `${name} has no snapshot that is ${selector.text} old; see how old they are: ` +
        `pal snapshot list ${name}`,
    );
  }
  throw new StorageError(
    'ERR_NOT_FOUND',
    `${name} has no snapshot ${quote(selector.name)}; see which there are: ` +
      `pal snapshot list ${name}`,
  );
}

/** The name of a volume that a record is of. */
export function volumeName(volume: VolumeRecord): string {
  return volumeAttributes(volume).name;
}
