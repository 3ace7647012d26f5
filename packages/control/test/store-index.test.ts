/**
 * Goal: the index that follows commit after commit says what the engine's lists say, by name and by
 * id, and lists of snapshots that were handed out stay as they were (I3).
 * Method: seeded histories of volumes, snapshots, branches of either, refreshes, renames, deletions that
 * can be had back and ones that cannot; after each step the index is held against a look at everything.
 */
import { createMemoryDevice } from '@palimpsest/block-device';
import { createRandom, type Random } from '@palimpsest/block-device/testing';
import {
  createProductionVolume,
  listProductionVolumes,
  type ProductionVolume,
} from '@palimpsest/ro-snapshot';
import {
  createBranch,
  createBranchSnapshot,
  deleteBranches,
  deleteBranchSnapshot,
  listBranches,
  refreshBranch,
  resizeBranch,
} from '@palimpsest/rw-snapshot';
import {
  formatSaveVolume,
  openSaveVolume,
  type SaveVolume,
  storedDependants,
} from '@palimpsest/save-volume';
import { expect, test } from 'vitest';
import { baseOf } from '../src/catalog.js';
import { changeAttributes, isRemoved } from '../src/records.js';
import { createStoreIndex, type StoreIndex } from '../src/store-index.js';

const BLOCK = 4096;

test.each([1, 2, 3, 4, 5, 6])('says what the engine lists (seed %i)', async (seed) => {
  const random = createRandom(seed);
  const device = createMemoryDevice({ size: 64 << 20 });
  await formatSaveVolume(device);
  const save = await openSaveVolume(device);
  const index = createStoreIndex(save);
  const volumes = new Map<number, ProductionVolume>();
  let names = 0;
  const name = () => {
    names += 1;
    return { name: `n${names}`, createdAt: names };
  };
  for (const origin of ['created', 'adopted']) {
    const clone = createMemoryDevice({ size: 16 * BLOCK });
    const attributes = { ...name(), path: `${names}.img`, origin };
    const volume = await createProductionVolume(save, clone, attributes);
    volumes.set(volume.id, volume);
  }
  for (let step = 0; step < 120; step += 1) {
    const before = listProductionVolumes(save).map(({ id }) => index.volumeWithId(id)?.snapshots);
    const copies = before.map((each) => [...(each ?? [])]);
    const found = index.branches()[0];
    await change(save, random, volumes, name);
    assertSame(index, save, names);
    if (step % 20 === 0) assertSame(createStoreIndex(save), save, names);
    expect(before).toEqual(copies);
    const now = found && index.branchWithId(found.id);
    if (now !== undefined) expect(found?.snapshots).toEqual(now.snapshots); // I3
  }
  expect(index.removed().length + index.branches().length).toBeGreaterThan(0);
});

/** One change of the store; none when what it would be of is not there, or is needed. */
async function change(
  save: SaveVolume,
  random: Random,
  volumes: ReadonlyMap<number, ProductionVolume>,
  name: () => { name: string; createdAt: number },
): Promise<void> {
  const branches = listBranches(save);
  const ofVolumes = listProductionVolumes(save).flatMap(({ snapshots }) => snapshots);
  const ofBranches = branches.flatMap(({ snapshots }) => snapshots);
  const all = [...ofVolumes, ...ofBranches];
  const volume = random.pick([...volumes.values()]);
  if (all.length === 0) {
    await volume.createSnapshot(name());
    return;
  }
  const snapshot = random.pick(all);
  const branch = branches.length === 0 ? undefined : random.pick(branches);
  const kind = random.below(10);
  if (kind === 0) await volume.createSnapshot(name());
  else if (kind <= 2 || branch === undefined) {
    await createBranch(save, baseOf(save, snapshot.id), name());
  } else if (kind === 3) await createBranchSnapshot(save, branch.id, name());
  else if (kind === 4) {
    const of = random.pick([...ofVolumes, ...branch.snapshots]);
    const isOfIt = branch.volume === baseOf(save, of.id).volume || branch.snapshots.includes(of);
    if (!isOfIt) return;
    const kept = random.chance(0.5) ? { keep: name() } : {};
    await (await refreshBranch(save, branch.id, baseOf(save, of.id), kept)).settled;
  } else if (kind <= 6) {
    const thing = random.pick<{ id: number; attributes: object }>([...all, ...branches, volume]);
    const isBack = kind === 6 && isRemoved(thing as typeof snapshot);
    const removed = isBack ? undefined : { at: 5 + random.below(3), until: 9, by: 'me' };
    const changes = kind === 6 ? { ...name(), removed: undefined } : { removed };
    await save.transact((batch) => changeAttributes(save, batch, thing.id, changes));
  } else if (kind === 7) {
    if (storedDependants(save, snapshot.id).length > 0) return;
    if (ofBranches.includes(snapshot)) await deleteBranchSnapshot(save, snapshot.id);
    else await volumes.get(baseOf(save, snapshot.id).volume)?.deleteSnapshot(snapshot.id);
  } else if (kind === 9) {
    await resizeBranch(save, branch.id, branch.size + BLOCK); // changes its space only
  } else {
    const needs = branch.snapshots.flatMap(({ id }) => storedDependants(save, id));
    if (needs.length > 0) return;
    await deleteBranches(save, [branch.id], { withSnapshots: true });
  }
}

/** Everything the index can be asked for, against the engine's lists; names are n1, n2, ... */
function assertSame(index: StoreIndex, save: SaveVolume, names: number): void {
  const volumes = listProductionVolumes(save);
  const branches = listBranches(save);
  expect(index.everything()).toEqual({ volumes, branches });
  const shown = <Kept extends { readonly snapshots: readonly { readonly attributes: object }[] }>(
    record: Kept,
  ) => ({ ...record, snapshots: record.snapshots.filter((each) => !isRemoved(each as never)) });
  const byName = volumes.map(shown).sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  expect(index.volumes()).toEqual(byName);
  const shownBranches = branches.filter((each) => !isRemoved(each)).map(shown);
  expect(index.branches()).toEqual(shownBranches);
  for (const volume of volumes) {
    expect(index.volumeNamed(nameOf(volume))).toEqual(shown(volume));
    expect(index.volumeWithId(volume.id)).toEqual(shown(volume));
    expect(index.anyVolume(volume.id)).toEqual(volume);
    const own = shownBranches.filter((each) => each.volume === volume.id);
    expect(index.branchesOf(volume)).toEqual(own);
    for (let name = 1; name <= names; name += 1) {
      const expected = own.find((each) => nameOf(each) === `n${name}`);
      expect(index.branchNamed(volume, `n${name}`)).toEqual(expected);
    }
  }
  for (const branch of branches) {
    expect(index.anyBranch(branch.id)).toEqual(branch);
    expect(index.branchWithId(branch.id)).toEqual(isRemoved(branch) ? undefined : shown(branch));
  }
  let removed = [...volumes, ...branches].filter(isRemoved).length;
  for (const owner of [...volumes, ...branches]) {
    const left = owner.snapshots.filter((each) => !isRemoved(each));
    removed += owner.snapshots.length - left.length;
    expect(index.youngestSnapshot(owner)).toEqual(left.at(-1));
    for (const snapshot of owner.snapshots) {
      const found = index.snapshotWithId(snapshot.id);
      expect(found?.snapshot).toEqual(snapshot);
      expect((found?.branch ?? found?.volume)?.id).toBe(owner.id);
      const on = shownBranches.filter(({ base }) => base?.snapshot === snapshot.id);
      expect(index.branchesOn(snapshot.id)).toEqual(on);
      const named = index.snapshotNamed(owner, nameOf(snapshot));
      expect(named).toEqual(isRemoved(snapshot) ? undefined : snapshot);
    }
  }
  const things = index.removed();
  expect(things.length).toBe(removed);
  const times = things.map((thing) => {
    if (thing.kind === 'volume') return thing.volume.attributes.removed;
    return thing.kind === 'branch'
      ? thing.branch.attributes.removed
      : thing.snapshot.attributes.removed;
  }) as { at: number }[];
  expect(times.map(({ at }) => at)).toEqual(times.map(({ at }) => at).sort());
}

function nameOf({ attributes }: { readonly attributes: object }): string {
  return (attributes as { readonly name: string }).name;
}
