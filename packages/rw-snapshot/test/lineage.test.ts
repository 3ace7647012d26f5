/**
 * Goal: branches of branches to any depth, their snapshots, refresh to any snapshot, flatten and
 * deletion in any order read as plain arrays say, and every block comes back in the end (I1, I4, R1,
 * R2, X1, F1, G1).
 * Method: seeded operations on a small store, large zeroings among them; everything is read after
 * each few steps, and the store audits itself; at the end all is deleted in random order.
 */
import { createMemoryDevice } from '@palimpsest/block-device';
import { createRandom, type Random } from '@palimpsest/block-device/testing';
import {
  createProductionVolume,
  openProductionVolume,
  type ProductionVolume,
} from '@palimpsest/ro-snapshot';
import { formatSaveVolume, openSaveVolume, type SaveVolume } from '@palimpsest/save-volume';
import { expect, test } from 'vitest';
import {
  type Base,
  type Branch,
  createBranch,
  createBranchSnapshot,
  deleteBranch,
  deleteBranches,
  deleteBranchSnapshot,
  flattenBranch,
  listBranches,
  openBranch,
  openBranchSnapshot,
  refreshBranch,
  resumeBranchDeletions,
} from '../src/index.js';

const BLOCK = 512;
const BLOCKS = 1600;
const BYTES = BLOCK * BLOCKS;

interface Thing {
  readonly id: number;
  readonly content: Uint8Array;
}

class World {
  save!: SaveVolume;
  volume!: ProductionVolume;
  readonly production = new Uint8Array(BYTES);
  readonly snapshots = new Map<number, Thing & { readonly space: number }>();
  readonly branches = new Map<number, Thing>();
  readonly open = new Map<number, Branch>();
  readonly #saveDevice = createMemoryDevice({ blockSize: BLOCK, size: 256 << 10 });
  readonly #clone = createMemoryDevice({ blockSize: BLOCK, size: BYTES });

  readonly beneath = (base: Base) => this.volume.openSnapshot(base.snapshot);

  async make(): Promise<void> {
    await formatSaveVolume(this.#saveDevice, { blockSize: BLOCK, journalBytes: 16_384 });
    await this.#openSave();
    this.volume = await createProductionVolume(this.save, this.#clone);
  }

  async reopen(): Promise<void> {
    for (const branch of this.open.values()) await branch.close();
    this.open.clear();
    await this.volume.close();
    await this.save.close();
    await this.#openSave();
    this.volume = await openProductionVolume(this.save, this.volume.id, this.#clone);
    await resumeBranchDeletions(this.save);
  }

  async branch(id: number): Promise<Branch> {
    const known = this.open.get(id);
    if (known !== undefined) return known;
    const branch = await openBranch(this.save, id, this.beneath);
    this.open.set(id, branch);
    return branch;
  }

  async close(id: number): Promise<void> {
    await this.open.get(id)?.close();
    this.open.delete(id);
  }

  async check(where: string): Promise<void> {
    const bytes = new Uint8Array(BYTES);
    const compare = (name: string, content: Uint8Array): void => {
      if (Buffer.compare(bytes, content) === 0) return;
      const at = bytes.findIndex((byte, index) => byte !== content[index]);
      throw new Error(`${where}: block ${Math.floor(at / BLOCK)} of ${name} is wrong`);
    };
    for (const { id, content, space } of this.snapshots.values()) {
      const device =
        space === this.volume.id
          ? this.volume.openSnapshot(id)
          : await openBranchSnapshot(this.save, id, this.beneath);
      await device.readInto(bytes, 0);
      compare(`snapshot ${id}`, content);
      let at = 0;
      for (const { length, zero } of await device.extents(0, BYTES)) {
        if (zero && content.subarray(at, at + length).some((byte) => byte !== 0)) {
          throw new Error(`${where}: extents of snapshot ${id} say zeros at ${at}`);
        }
        at += length;
      }
      expect(at).toBe(BYTES);
      await device.close();
    }
    for (const { id, content } of this.branches.values()) {
      await (await this.branch(id)).device.readInto(bytes, 0);
      compare(`branch ${id}`, content);
    }
    const { problems } = await this.save.verify({ data: true });
    expect(problems, where).toEqual([]);
  }

  async #openSave(): Promise<void> {
    const limits = { growBytes: 256 << 10, dirtyBytes: 64 << 10 };
    this.save = await openSaveVolume(this.#saveDevice, limits);
  }
}

async function step(world: World, random: Random): Promise<void> {
  const { save, branches, snapshots } = world;
  const pick = <T>(map: Map<number, T>): T | undefined =>
    map.size === 0 ? undefined : random.pick([...map.values()]);
  const someBranch = pick(branches);
  const someSnapshot = pick(snapshots);
  const kind = random.below(16);
  if (kind < 3) {
    const first = random.below(BLOCKS);
    const count = random.between(1, Math.min(20, BLOCKS - first));
    const data = new Uint8Array(count * BLOCK).fill(random.between(1, 251));
    await world.volume.device.write(data, first * BLOCK);
    world.production.set(data, first * BLOCK);
  } else if (kind < 8 && someBranch !== undefined) {
    const { device } = await world.branch(someBranch.id);
    const first = random.below(BLOCKS);
    if (kind === 7) {
      const count = random.between(1, BLOCKS - first);
      await device.discard(first * BLOCK, count * BLOCK);
      someBranch.content.fill(0, first * BLOCK, (first + count) * BLOCK);
    } else {
      const count = random.between(1, Math.min(20, BLOCKS - first));
      const data = new Uint8Array(count * BLOCK).fill(random.between(1, 251));
      await device.write(data, first * BLOCK);
      someBranch.content.set(data, first * BLOCK);
    }
  } else if (kind === 8 && snapshots.size < 12) {
    const { id } = await world.volume.createSnapshot();
    const content = world.production.slice();
    snapshots.set(id, { id, content, space: world.volume.id });
  } else if (kind === 9 && someBranch !== undefined && snapshots.size < 12) {
    const space = listBranches(save).find(({ id }) => id === someBranch.id)?.space as number;
    const { id } = await createBranchSnapshot(save, someBranch.id);
    snapshots.set(id, { id, content: someBranch.content.slice(), space });
  } else if (kind === 10 && someSnapshot !== undefined && branches.size < 6) {
    const base = { volume: someSnapshot.space, snapshot: someSnapshot.id };
    const { id } = await createBranch(save, base);
    branches.set(id, { id, content: someSnapshot.content.slice() });
  } else if (kind === 11 && someBranch !== undefined && someSnapshot !== undefined) {
    await world.close(someBranch.id);
    const before = listBranches(save).find(({ id }) => id === someBranch.id)?.space as number;
    const keep = random.chance(0.5) ? { keep: {} } : {};
    const to = { volume: someSnapshot.space, snapshot: someSnapshot.id };
    const { kept, settled } = await refreshBranch(save, someBranch.id, to, keep);
    if (kept !== undefined) {
      snapshots.set(kept.id, { id: kept.id, content: someBranch.content.slice(), space: before });
    }
    if (random.chance(0.5)) await settled;
    someBranch.content.set(someSnapshot.content);
  } else if (kind === 12 && someBranch !== undefined) {
    await flattenBranch(save, someBranch.id, world.beneath);
  } else if (kind === 13 && someSnapshot !== undefined) {
    await remove(world, someSnapshot);
  } else if (kind === 14 && someBranch !== undefined && random.chance(0.5)) {
    await removeBranch(world, someBranch);
  } else if (kind === 15) {
    if (random.chance(0.3)) await world.reopen();
    else await save.checkpoint();
  }
}

async function remove(world: World, { id, space }: { id: number; space: number }): Promise<void> {
  const deletion =
    space === world.volume.id
      ? world.volume.deleteSnapshot(id)
      : deleteBranchSnapshot(world.save, id);
  try {
    await deletion;
    world.snapshots.delete(id);
  } catch (error) {
    expect(error).toMatchObject({ code: 'ERR_IN_USE' });
  }
}

async function removeBranch(world: World, { id }: Thing): Promise<void> {
  await world.close(id);
  try {
    await deleteBranch(world.save, id);
    world.branches.delete(id);
  } catch (error) {
    expect(error).toMatchObject({ code: 'ERR_IN_USE' });
  }
}

function shuffled<T>(random: Random, map: ReadonlyMap<number, T>): T[] {
  return [...map.values()]
    .map((value) => ({ value, key: random.below(2 ** 30) }))
    .sort((a, b) => a.key - b.key)
    .map(({ value }) => value);
}

test.each(Array.from({ length: 12 }, (_, index) => index + 1))(
  'a history of branches agrees with plain arrays (seed %i)',
  async (seed) => {
    const random = createRandom(seed);
    const world = new World();
    await world.make();
    for (let number = 1; number <= 90; number += 1) {
      await step(world, random);
      if (number % 6 === 0) await world.check(`seed ${seed}, step ${number}`);
    }
    // Everything goes, in random order: what refuses now goes when its dependants are gone.
    for (let round = 0; world.snapshots.size + world.branches.size > 0; round += 1) {
      expect(round).toBeLessThan(100);
      for (const snapshot of shuffled(random, world.snapshots)) {
        await remove(world, snapshot);
      }
      for (const branch of shuffled(random, world.branches)) {
        await removeBranch(world, branch);
      }
      await world.check(`seed ${seed}, round ${round}`);
      if (round < 8) continue;
      // Branches that were refreshed with each other's snapshots can only go together.
      for (const id of world.branches.keys()) await world.close(id);
      await deleteBranches(world.save, [...world.branches.keys()], { withSnapshots: true });
      world.branches.clear();
      for (const { id, space } of world.snapshots.values()) {
        if (space !== world.volume.id) world.snapshots.delete(id);
      }
    }
    await world.reopen();
    await world.save.checkpoint();
    expect(world.save.map.byBlock.root.entries).toBe(0);
    expect(world.save.objects()).toHaveLength(1);
  },
);

test('64 branches of branches read as one', async () => {
  const world = new World();
  await world.make();
  let base: Base = { volume: world.volume.id, snapshot: (await world.volume.createSnapshot()).id };
  const content = world.production.slice();
  for (let depth = 1; depth <= 64; depth += 1) {
    const { id, space } = await createBranch(world.save, base);
    const branch = await openBranch(world.save, id, world.beneath);
    const data = new Uint8Array(BLOCK).fill(depth);
    await branch.device.write(data, depth * 7 * BLOCK);
    content.set(data, depth * 7 * BLOCK);
    const { id: snapshot } = await branch.createSnapshot();
    await branch.close();
    base = { volume: space, snapshot };
  }
  const { id } = await createBranch(world.save, base);
  expect(listBranches(world.save).at(-1)?.depth).toBe(65);
  const branch = await openBranch(world.save, id, world.beneath);
  const bytes = new Uint8Array(BYTES);
  for (const _twice of [1, 2]) {
    await branch.device.readInto(bytes.fill(1), 0);
    expect(Buffer.compare(bytes, content)).toBe(0);
  }
});

test('a quota refuses one branch and nobody else, and rewrites go on', async () => {
  const world = new World();
  await world.make();
  const { id: snapshot } = await world.volume.createSnapshot();
  const base = { volume: world.volume.id, snapshot };
  const limited = await createBranch(world.save, base, {}, { quotaBytes: 10 * BLOCK });
  const free = await createBranch(world.save, base);
  const branch = await world.branch(limited.id);
  const other = await world.branch(free.id);
  const data = (count: number, byte: number) => new Uint8Array(count * BLOCK).fill(byte);
  await branch.device.write(data(10, 1), 0);
  await expect(async () => branch.device.write(data(1, 2), 50 * BLOCK)).rejects.toThrow(
    /quota of 5120 bytes is used up: it has 5120 bytes/,
  );
  await other.device.write(data(40, 3), 0);
  await branch.device.write(data(10, 4), 0); // no block more than before
  await branch.device.flush();
  await branch.device.discard(0, 2 * BLOCK);
  await branch.device.write(data(2, 5), 50 * BLOCK);
  await branch.device.flush();
  await branch.createSnapshot();
  await expect(async () => branch.device.write(data(1, 6), 3 * BLOCK)).rejects.toMatchObject({
    code: 'ERR_NO_SPACE',
  });
  const bytes = new Uint8Array(BLOCK);
  await branch.device.readInto(bytes, 3 * BLOCK);
  expect(bytes[0]).toBe(4);
});
