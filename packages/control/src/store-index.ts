/**
 * StoreIndex: what the engine lists, looked up by name. It is read from the engine when it is first
 * asked for and again after a change, as `changed` tells; the engine's lists are the only truth.
 *
 *   I1  What was deleted and can still be had back is not shown: its name is free. Only a deleted
 *       volume keeps its name, since what depends on it is called by it.
 */
import {
  listProductionVolumes,
  type SnapshotRecord,
  type VolumeRecord,
} from '@palimpsest/ro-snapshot';
import { type BranchRecord, listBranches } from '@palimpsest/rw-snapshot';
import type { SaveVolume } from '@palimpsest/save-volume';
import { branchAttributes, isRemoved, volumeAttributes } from './records.js';

/** A thing that was deleted and can still be had back. */
export type RemovedThing =
  | { readonly kind: 'volume'; readonly volume: VolumeRecord }
  | {
      readonly kind: 'snapshot';
      readonly volume: VolumeRecord;
      readonly branch?: BranchRecord;
      readonly snapshot: SnapshotRecord;
    }
  | { readonly kind: 'branch'; readonly volume: VolumeRecord; readonly branch: BranchRecord };

/** The volumes and branches of a store, without what was deleted. */
export interface StoreIndex {
  /** By name; deleted ones that something depends on too. */
  volumes(): readonly VolumeRecord[];
  volumeNamed(name: string): VolumeRecord | undefined;
  volumeWithId(id: number): VolumeRecord | undefined;
  /** Of all volumes. */
  branches(): readonly BranchRecord[];
  /** In the order they were made. */
  branchesOf(volume: VolumeRecord): readonly BranchRecord[];
  branchNamed(volume: VolumeRecord, name: string): BranchRecord | undefined;
  branchWithId(id: number): BranchRecord | undefined;
  /** Everything that was deleted, oldest deletion first. */
  removed(): readonly RemovedThing[];
  /** Everything, deleted or not. */
  everything(): {
    readonly volumes: readonly VolumeRecord[];
    readonly branches: readonly BranchRecord[];
  };
  /** Called after each change of the engine's lists. */
  changed(): void;
}

interface Content {
  readonly all: {
    readonly volumes: readonly VolumeRecord[];
    readonly branches: readonly BranchRecord[];
  };
  readonly volumes: readonly VolumeRecord[];
  readonly byName: ReadonlyMap<string, VolumeRecord>;
  readonly byId: ReadonlyMap<number, VolumeRecord>;
  readonly branches: readonly BranchRecord[];
  readonly branchesById: ReadonlyMap<number, BranchRecord>;
  /** By volume's id, then by name, in the order they were made. */
  readonly branchesOf: ReadonlyMap<number, ReadonlyMap<string, BranchRecord>>;
}

/** Makes the index of a save volume. */
export function createStoreIndex(save: SaveVolume): StoreIndex {
  let content: Content | undefined;
  const read = (): Content => {
    content ??= readContent(save);
    return content;
  };
  const branchesOf = (volume: VolumeRecord): ReadonlyMap<string, BranchRecord> =>
    read().branchesOf.get(volume.id) ?? new Map();
  return {
    volumes: () => read().volumes,
    volumeNamed: (name) => read().byName.get(name),
    volumeWithId: (id) => read().byId.get(id),
    branches: () => read().branches,
    branchesOf: (volume) => [...branchesOf(volume).values()],
    branchNamed: (volume, name) => branchesOf(volume).get(name),
    branchWithId: (id) => read().branchesById.get(id),
    removed: () => removedThings(read().all),
    everything: () => read().all,
    changed() {
      content = undefined;
    },
  };
}

function readContent(save: SaveVolume): Content {
  const all = { volumes: listProductionVolumes(save), branches: listBranches(save) };
  const shown = all.volumes.map(withoutRemoved);
  const byName = new Map(shown.map((volume) => [volumeAttributes(volume).name, volume]));
  const names = [...byName.keys()].sort();
  const branches = all.branches.filter((branch) => !isRemoved(branch)).map(withoutRemoved);
  const branchesOf = new Map<number, Map<string, BranchRecord>>();
  for (const branch of branches) {
    const known = branchesOf.get(branch.volume) ?? new Map<string, BranchRecord>();
    known.set(branchAttributes(branch).name, branch);
    branchesOf.set(branch.volume, known);
  }
  return {
    all,
    volumes: names.flatMap((name) => byName.get(name) ?? []),
    byName,
    byId: new Map(shown.map((volume) => [volume.id, volume])),
    branches,
    branchesById: new Map(branches.map((branch) => [branch.id, branch])),
    branchesOf,
  };
}

function withoutRemoved<Record extends { readonly snapshots: readonly SnapshotRecord[] }>(
  record: Record,
): Record {
  if (!record.snapshots.some(isRemoved)) return record;
  return { ...record, snapshots: record.snapshots.filter((snapshot) => !isRemoved(snapshot)) };
}

function removedThings({ volumes, branches }: Content['all']): RemovedThing[] {
  const found: { at: number; thing: RemovedThing }[] = [];
  const note = (attributes: unknown, thing: RemovedThing): void => {
    const { removed } = attributes as { removed?: { at: number } };
    if (removed !== undefined) found.push({ at: removed.at, thing });
  };
  const byId = new Map(volumes.map((volume) => [volume.id, volume]));
  for (const volume of volumes) {
    note(volume.attributes, { kind: 'volume', volume });
    for (const snapshot of volume.snapshots) {
      note(snapshot.attributes, { kind: 'snapshot', volume, snapshot });
    }
  }
  for (const branch of branches) {
    const volume = byId.get(branch.volume);
    if (volume === undefined) continue;
    note(branch.attributes, { kind: 'branch', volume, branch });
    for (const snapshot of branch.snapshots) {
      note(snapshot.attributes, { kind: 'snapshot', volume, branch, snapshot });
    }
  }
  return found.sort((a, b) => a.at - b.at).map(({ thing }) => thing);
}
