/** Listing: the store's records told as users see them. Reads memory only. */
import type { SnapshotRecord, VolumeRecord } from '@palimpsest/ro-snapshot';
import type { BranchRecord } from '@palimpsest/rw-snapshot';

import type { Found } from './catalog.js';
import type { StoreContext } from './context.js';
import { branchAttributes, snapshotAttributes, volumeAttributes } from './records.js';
import { branchReference, snapshotReference } from './references.js';
import type { Availability, BranchInfo, ExportInfo, SnapshotInfo, VolumeInfo } from './store.js';

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
    ...availability(context, record),
  };
}

/** The snapshots of some volumes, told; oldest first within a volume. */
export function snapshotInfos(
  context: StoreContext,
  volumes: readonly VolumeRecord[],
): SnapshotInfo[] {
  const based = new Map<string, string[]>();
  for (const branch of context.index.branches()) {
    if (branch.base === null) continue;
    const key = baseKey(branch.base.volume, branch.base.snapshot);
    const names = based.get(key);
    if (names === undefined) based.set(key, [branchAttributes(branch).name]);
    else names.push(branchAttributes(branch).name);
  }
  return volumes.flatMap((volume) => {
    const { name } = volumeAttributes(volume);
    return volume.snapshots.map((snapshot) => {
      const branches = based.get(baseKey(volume.id, snapshot.id)) ?? [];
      const attributes = snapshotAttributes(snapshot);
      return {
        reference: snapshotReference(name, attributes.name),
        volume: name,
        name: attributes.name,
        ...(attributes.message === undefined ? {} : { message: attributes.message }),
        createdAt: rfc3339(attributes.createdAt),
        size: snapshot.size,
        branches: branches.map((branch) => branchReference(name, branch)),
        ...availability(context, volume),
      };
    });
  });
}

/** The branches of some volumes, told; in the order they were made within a volume. */
export function branchInfos(context: StoreContext, volumes: readonly VolumeRecord[]): BranchInfo[] {
  return volumes.flatMap((volume) => {
    const { name } = volumeAttributes(volume);
    return context.index.branchesOf(volume).map((branch) => {
      const attributes = branchAttributes(branch);
      return {
        reference: branchReference(name, attributes.name),
        volume: name,
        name: attributes.name,
        base: baseReference(name, branch, volume.snapshots),
        createdAt: rfc3339(attributes.createdAt),
        size: branch.size,
        ...availability(context, volume),
      };
    });
  });
}

function baseReference(
  volume: string,
  branch: BranchRecord,
  snapshots: readonly SnapshotRecord[],
): string {
  const { base: origin } = branch;
  if (origin === null) return '';
  const base = snapshots.find((snapshot) => snapshot.id === origin.snapshot);
  // The engine keeps a branch's base; a record without one would be its damage, shown by number.
  const name = base === undefined ? `#${origin.snapshot}` : snapshotAttributes(base).name;
  return snapshotReference(volume, name);
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
    return [own, ...snapshots, ...branches];
  });
}

/** One line for people about what was found; the same as its listing says. */
export function describe(found: Found): string {
  if (found.kind === 'volume') return VOLUME_DESCRIPTION;
  if (found.kind === 'snapshot') {
    const { createdAt, message } = snapshotAttributes(found.snapshot);
    return describeSnapshot(rfc3339(createdAt), message);
  }
  const { name } = volumeAttributes(found.volume);
  return describeBranch(baseReference(name, found.branch, found.volume.snapshots));
}

function describeSnapshot(createdAt: string, message: string | undefined): string {
  return `snapshot of ${createdAt}${message === undefined ? '' : `: ${message}`}`;
}

function describeBranch(base: string): string {
  return `branch of ${base}`;
}

function availability(context: StoreContext, volume: VolumeRecord): Availability {
  const reason = context.attached.reason(volume);
  return reason === undefined ? { state: 'available' } : { state: 'unavailable', reason };
}

function rfc3339(ms: number): string {
  return new Date(ms).toISOString();
}

function baseKey(volume: number, snapshot: number): string {
  return `${volume}@${snapshot}`;
}
