/** Listing: the store's records told as users see them. Reads memory only. */
import type { VolumeRecord } from '@palimpsest/ro-snapshot';
import type { BranchRecord } from '@palimpsest/rw-snapshot';

import type { Found } from './catalog.js';
import type { StoreContext } from './context.js';
import {
  branchAttributes,
  isRemoved,
  type NamedAttributes,
  snapshotAttributes,
  volumeAttributes,
} from './records.js';
import { branchReference, snapshotReference } from './references.js';
import type { OwnedSnapshot } from './store-index.js';
import type {
  Availability,
  BranchInfo,
  ExportInfo,
  SnapshotInfo,
  VolumeInfo,
} from './store-types.js';
import { importAvailability } from './unfinished-imports.js';

const VOLUME_DESCRIPTION = 'production volume';

/** A volume, told. */
export function volumeInfo(context: StoreContext, record: VolumeRecord, path: string): VolumeInfo {
  const attributes = volumeAttributes(record);
  return {
    reference: attributes.name,
    name: attributes.name,
    size: record.size,
    path,
    origin: attributes.origin,
    createdAt: rfc3339(attributes.createdAt),
    snapshots: record.snapshots.length,
    branches: context.index.branchesOf(record).length,
    ...labelsOf(attributes),
    ...(isRemoved(record) ? { deleted: true } : {}),
    ...restoringOf(context, record),
    ...availability(context, record),
  };
}

function restoringOf(context: StoreContext, record: VolumeRecord): Pick<VolumeInfo, 'restoring'> {
  const top = context.attached.get(record)?.production.restores.at(-1);
  return top === undefined ? {} : { restoring: String(top.attributes.from ?? '') };
}

function labelsOf({ labels }: NamedAttributes): Pick<VolumeInfo, 'labels'> {
  return labels === undefined ? {} : { labels };
}

/** The snapshots of some volumes and of their branches, told; oldest first within each. */
export function snapshotInfos(
  context: StoreContext,
  volumes: readonly VolumeRecord[],
): SnapshotInfo[] {
  const { index } = context;
  return volumes.flatMap((volume) => [
    ...volume.snapshots.map((snapshot) => snapshotInfo(context, { volume, snapshot })),
    ...index
      .branchesOf(volume)
      .flatMap((branch) =>
        branch.snapshots.map((snapshot) => snapshotInfo(context, { volume, branch, snapshot })),
      ),
  ]);
}

/** A snapshot, told. */
export function snapshotInfo(context: StoreContext, owned: OwnedSnapshot): SnapshotInfo {
  const { volume, branch, snapshot } = owned;
  const attributes = snapshotAttributes(snapshot);
  const { message, holds, expiresAt } = attributes;
  const heldBy = Object.entries(holds ?? {}).map(([tag, { since, ...hold }]) => ({
    tag,
    ...hold,
    since: rfc3339(since),
  }));
  return {
    reference: snapshotReference(ownerReference(owned), attributes.name),
    volume: volumeAttributes(volume).name,
    ...(branch === undefined ? {} : { branch: branchAttributes(branch).name }),
    name: attributes.name,
    ...(message === undefined ? {} : { message }),
    ...labelsOf(attributes),
    ...(heldBy.length === 0 ? {} : { holds: heldBy }),
    ...(expiresAt === undefined ? {} : { expiresAt: rfc3339(expiresAt) }),
    createdAt: rfc3339(attributes.createdAt),
    size: snapshot.size,
    consistency: attributes.consistency ?? 'crash-consistent',
    branches: context.index
      .branchesOn(snapshot.id)
      .map((each) => branchReference(volumeAttributes(volume).name, branchAttributes(each).name)),
    ...availability(context, volume),
  };
}

/** The branches of some volumes, told; in the order they were made within a volume. */
export function branchInfos(context: StoreContext, volumes: readonly VolumeRecord[]): BranchInfo[] {
  return volumes.flatMap((volume) =>
    context.index.branchesOf(volume).map((branch) => branchInfo(context, volume, branch)),
  );
}

/** A branch, told. */
export function branchInfo(
  context: StoreContext,
  volume: VolumeRecord,
  branch: BranchRecord,
): BranchInfo {
  const { name } = volumeAttributes(volume);
  const attributes = branchAttributes(branch);
  const { message } = attributes;
  const { quotaBytes } = branch;
  return {
    reference: branchReference(name, attributes.name),
    volume: name,
    name: attributes.name,
    base: baseReference(context, branch),
    createdAt: rfc3339(attributes.createdAt),
    size: branch.size,
    snapshots: branch.snapshots.length,
    depth: branch.depth,
    ...(message === undefined ? {} : { message }),
    ...labelsOf(attributes),
    ...(quotaBytes === undefined ? {} : { quotaBytes }),
    ...availability(context, volume),
  };
}

/** The snapshot that a branch is based on; "(deleted)" after one that is hidden behind it. */
function baseReference(context: StoreContext, branch: BranchRecord): string {
  const { base } = branch;
  if (base === null) return '';
  const found = context.index.snapshotWithId(base.snapshot);
  // The engine keeps a branch's base; a record without one would be its damage, shown by number.
  if (found === undefined) {
    const volume = context.index.volumeWithId(branch.volume);
    const name = volume === undefined ? '' : volumeAttributes(volume).name;
    return snapshotReference(name, `#${base.snapshot}`);
  }
  const reference = snapshotReference(
    ownerReference(found),
    snapshotAttributes(found.snapshot).name,
  );
  return isRemoved(found.snapshot) ? `${reference} (deleted)` : reference;
}

/** What a snapshot is of, by reference. */
export function ownerReference({ volume, branch }: Omit<OwnedSnapshot, 'snapshot'>): string {
  const { name } = volumeAttributes(volume);
  return branch === undefined ? name : branchReference(name, branchAttributes(branch).name);
}

/** Everything that can be opened: each volume, then its snapshots, then its branches. */
export function exportInfos(context: StoreContext): ExportInfo[] {
  return context.index.volumes().flatMap((volume) => {
    const { name } = volumeAttributes(volume);
    const state = availability(context, volume);
    const opened = (reference: string): number => context.shared.openers(reference);
    const own: ExportInfo = {
      name,
      kind: 'volume',
      size: volume.size,
      readOnly: false,
      description: VOLUME_DESCRIPTION,
      openers: opened(name),
      ...state,
      ...importAvailability(volume),
    };
    const snapshots = snapshotInfos(context, [volume]).map(
      (each): ExportInfo => ({
        name: each.reference,
        kind: 'snapshot',
        size: each.size,
        readOnly: true,
        description: describeSnapshot(each.createdAt, each.message),
        openers: opened(each.reference),
        ...state,
      }),
    );
    const branches = branchInfos(context, [volume]).map(
      (each): ExportInfo => ({
        name: each.reference,
        kind: 'branch',
        size: each.size,
        readOnly: false,
        description: describeBranch(each.base),
        openers: opened(each.reference),
        ...state,
      }),
    );
    // A deleted volume is served no more; what depends on it is.
    return [...(isRemoved(volume) ? [] : [own]), ...snapshots, ...branches];
  });
}

/** One line for people about what was found; the same as its listing says. */
export function describe(context: StoreContext, found: Found): string {
  if (found.kind === 'volume') return VOLUME_DESCRIPTION;
  if (found.kind === 'snapshot') {
    const { createdAt, message } = snapshotAttributes(found.snapshot);
    return describeSnapshot(rfc3339(createdAt), message);
  }
  return describeBranch(baseReference(context, found.branch));
}

function describeSnapshot(createdAt: string, message: string | undefined): string {
  return `snapshot of ${createdAt}${message === undefined ? '' : `: ${message}`}`;
}

function describeBranch(base: string): string {
  return base === '' ? 'independent branch' : `branch of ${base}`;
}

function availability(context: StoreContext, volume: VolumeRecord): Availability {
  const reason = context.attached.reason(volume);
  return reason === undefined ? { state: 'available' } : { state: 'unavailable', reason };
}

function rfc3339(ms: number): string {
  return new Date(ms).toISOString();
}
