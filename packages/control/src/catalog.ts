/**
 * Catalog: finds volumes, snapshots and branches by reference, and says what to do when there is
 * none.
 */
import { StorageError } from '@palimpsest/block-device';
import type { SnapshotRecord, VolumeRecord } from '@palimpsest/ro-snapshot';
import type { BranchRecord } from '@palimpsest/rw-snapshot';
import { assertName, quote } from './names.js';
import { snapshotAttributes, volumeAttributes } from './records.js';
import {
  branchReference,
  parseBranchReference,
  parseReference,
  parseSnapshotReference,
  type SnapshotSelector,
  snapshotReference,
} from './references.js';
import type { StoreIndex } from './store-index.js';

/** A reference, found. `reference` is written out: never "latest" or an age. */
export type Found =
  | { readonly kind: 'volume'; readonly reference: string; readonly volume: VolumeRecord }
  | {
      readonly kind: 'snapshot';
      readonly reference: string;
      readonly volume: VolumeRecord;
      readonly snapshot: SnapshotRecord;
    }
  | {
      readonly kind: 'branch';
      readonly reference: string;
      readonly volume: VolumeRecord;
      readonly branch: BranchRecord;
    };

/** A snapshot, found. */
export type FoundSnapshot = Extract<Found, { kind: 'snapshot' }>;
/** A branch, found. */
export type FoundBranch = Extract<Found, { kind: 'branch' }>;

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
 * @throws {StorageError} ERR_INVALID, ERR_UNSUPPORTED when it is not a reference; ERR_NOT_FOUND.
 */
export function find(index: StoreIndex, text: string, nowMs: number): Found {
  const reference = parseReference(text);
  if (reference.kind === 'snapshot') return findSnapshot(index, text, nowMs);
  if (reference.kind === 'branch') return findBranch(index, text);
  const volume = findVolume(index, reference.volume);
  return { kind: 'volume', reference: reference.volume, volume };
}

/** @throws {StorageError} ERR_INVALID when it is another kind of reference; ERR_NOT_FOUND. */
export function findSnapshot(index: StoreIndex, text: string, nowMs: number): FoundSnapshot {
  const { volume: name, snapshot: selector } = parseSnapshotReference(text);
  const volume = findVolume(index, name);
  const snapshot = selectSnapshot(volume, selector, nowMs);
  const reference = snapshotReference(name, snapshotAttributes(snapshot).name);
  return { kind: 'snapshot', reference, volume, snapshot };
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

function selectSnapshot(
  volume: VolumeRecord,
  selector: SnapshotSelector,
  nowMs: number,
): SnapshotRecord {
  const { name } = volumeAttributes(volume);
  const youngest = volume.snapshots.at(-1);
  if (youngest === undefined) {
    throw new StorageError(
      'ERR_NOT_FOUND',
      `${name} has no snapshots; take one: pal snapshot create ${name}`,
    );
  }
  if (selector.by === 'latest') return youngest;
  if (selector.by === 'age') {
    const { ageMs } = selector;
    const old = volume.snapshots.findLast(
      (each) => snapshotAttributes(each).createdAt <= nowMs - ageMs,
    );
    if (old !== undefined) return old;
    throw new StorageError(
      'ERR_NOT_FOUND',
      `${name} has no snapshot that is ${selector.text} old; see how old they are: ` +
        `pal snapshot list ${name}`,
    );
  }
  const snapshot = volume.snapshots.find((each) => snapshotAttributes(each).name === selector.name);
  if (snapshot !== undefined) return snapshot;
  throw new StorageError(
    'ERR_NOT_FOUND',
    `${name} has no snapshot ${quote(selector.name)}; see which there are: ` +
      `pal snapshot list ${name}`,
  );
}
