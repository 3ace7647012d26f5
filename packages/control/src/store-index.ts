/**
 * StoreIndex: what the engine lists, looked up by name. It is read from the engine when it is first
 * asked for and again after a change, as `changed` tells; the engine's lists are the only truth.
 */

import { listProductionVolumes, type VolumeRecord } from '@palimpsest/ro-snapshot';
import { type BranchRecord, listBranches } from '@palimpsest/rw-snapshot';
import type { SaveVolume } from '@palimpsest/save-volume';
import { branchAttributes, volumeAttributes } from './records.js';

/** The volumes and branches of a store. */
export interface StoreIndex {
  /** By name. */
  volumes(): readonly VolumeRecord[];
  volumeNamed(name: string): VolumeRecord | undefined;
  /** Of all volumes. */
  branches(): readonly BranchRecord[];
  /** In the order they were made. */
  branchesOf(volume: VolumeRecord): readonly BranchRecord[];
  branchNamed(volume: VolumeRecord, name: string): BranchRecord | undefined;
  /** Called after each change of the engine's lists. */
  changed(): void;
}

interface Content {
  readonly volumes: readonly VolumeRecord[];
  readonly byName: ReadonlyMap<string, VolumeRecord>;
  readonly branches: readonly BranchRecord[];
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
    branches: () => read().branches,
    branchesOf: (volume) => [...branchesOf(volume).values()],
    branchNamed: (volume, name) => branchesOf(volume).get(name),
    changed() {
      content = undefined;
    },
  };
}

function readContent(save: SaveVolume): Content {
  const listed = listProductionVolumes(save);
  const byName = new Map(listed.map((volume) => [volumeAttributes(volume).name, volume]));
  const names = [...byName.keys()].sort();
  const branches = listBranches(save);
  const branchesOf = new Map<number, Map<string, BranchRecord>>();
  for (const branch of branches) {
    const names = branchesOf.get(branch.volume) ?? new Map<string, BranchRecord>();
    names.set(branchAttributes(branch).name, branch);
    branchesOf.set(branch.volume, names);
  }
  const volumes = names.flatMap((name) => byName.get(name) ?? []);
  return { volumes, byName, branches, branchesOf };
}
