/**
 * Goal: the difference of any two states of one lineage names every block that differs and none that
 * nothing changed (DF1, DF2), and deleting any set gives back exactly what was foretold (U1, U2).
 * Method: seeded histories of production, branches, branches of branches, their snapshots, refreshes,
 * large zeroings and deletions. Beside the bytes of each state a model keeps who wrote each block last:
 * two states may only be told to differ where that does.
 */
import { createMemoryDevice } from '@palimpsest/block-device';
import { createRandom, type Random } from '@palimpsest/block-device/testing';
import { createProductionVolume, type ProductionVolume } from '@palimpsest/ro-snapshot';
import {
  formatSaveVolume,
  LIVE,
  openSaveVolume,
  type SaveVolume,
  storedObjects,
} from '@palimpsest/save-volume';
import { expect, test } from 'vitest';
import {
  type Base,
  type BlockRange,
  type Branch,
  changedBlocks,
  createBranch,
  createBranchSnapshot,
  deleteBranches,
  deleteBranchSnapshot,
  flattenBranch,
  gainOfDeleting,
  listBranches,
  openBranch,
  refreshBranch,
  resizeBranch,
  type StateReference,
  usageOfSpace,
} from '../src/index.js';

const BLOCK = 512;
const BLOCKS = 1600;

interface State {
  readonly reference: StateReference;
  /** Of the queue, for snapshots. */
  readonly space: number;
  /** The number of the operation that wrote each block last, and what it wrote. */
  writers: Float64Array;
  bytes: Uint8Array;
}

class World {
  save!: SaveVolume;
  volume!: ProductionVolume;
  production!: State;
  readonly snapshots = new Map<number, State>();
  readonly branches = new Map<number, State>();
  readonly #open = new Map<number, Branch>();
  operation = 0;

  async make(): Promise<void> {
    const device = createMemoryDevice({ blockSize: BLOCK, size: 256 << 10 });
    await formatSaveVolume(device, { blockSize: BLOCK, journalBytes: 16_384 });
    this.save = await openSaveVolume(device, { growBytes: 256 << 10, dirtyBytes: 64 << 10 });
    const clone = createMemoryDevice({ blockSize: BLOCK, size: BLOCKS * BLOCK });
    this.volume = await createProductionVolume(this.save, clone);
    const { id } = this.volume;
    this.production = {
      reference: { kind: 'volume', id },
      space: id,
      writers: new Float64Array(BLOCKS),
      bytes: new Uint8Array(BLOCKS),
    };
  }

  get states(): State[] {
    return [this.production, ...this.branches.values(), ...this.snapshots.values()];
  }

  async branch(id: number): Promise<Branch> {
    const known = this.#open.get(id);
    if (known !== undefined) return known;
    const branch = await openBranch(this.save, id, this.beneath);
    this.#open.set(id, branch);
    return branch;
  }

  readonly beneath = (base: Base) => this.volume.openSnapshot(base.snapshot);

  async close(id: number): Promise<void> {
    await this.#open.get(id)?.close();
    this.#open.delete(id);
  }

  keep(kind: 'snapshot' | 'branch', id: number, space: number, of: State): void {
    const writers = of.writers.slice();
    const bytes = of.bytes.slice();
    const map = kind === 'snapshot' ? this.snapshots : this.branches;
    map.set(id, { reference: { kind, id }, space, writers, bytes });
  }

  wrote(state: State, first: number, count: number, byte: number): void {
    this.operation += 1;
    state.writers.fill(this.operation, first, first + count);
    state.bytes.fill(byte, first, first + count);
  }

  spaceOf(branch: number): number {
    return listBranches(this.save).find(({ id }) => id === branch)?.space as number;
  }
}

async function write(world: World, random: Random, state: State): Promise<void> {
  const { device } =
    state === world.production ? world.volume : await world.branch(state.reference.id);
  const size = state.writers.length;
  const first = random.below(size);
  if (random.chance(0.15)) {
    const count = random.between(1, size - first);
    await device.discard(first * BLOCK, count * BLOCK);
    // The image keeps or zeroes what is discarded; the bytes decide.
    const bytes = new Uint8Array(count * BLOCK);
    await device.readInto(bytes, first * BLOCK);
    world.wrote(state, first, count, 0);
    for (let at = 0; at < count; at += 1) state.bytes[first + at] = bytes[at * BLOCK] as number;
    return;
  }
  const count = random.between(1, Math.min(20, size - first));
  const byte = random.between(0, 3);
  await device.write(new Uint8Array(count * BLOCK).fill(byte), first * BLOCK);
  world.wrote(state, first, count, byte);
}

async function step(world: World, random: Random): Promise<void> {
  const { save, branches, snapshots } = world;
  const pick = (map: Map<number, State>): State | undefined =>
    map.size === 0 ? undefined : random.pick([...map.values()]);
  const branch = pick(branches);
  const snapshot = pick(snapshots);
  const kind = random.below(14);
  if (kind < 3) await write(world, random, world.production);
  else if (kind < 7 && branch !== undefined) await write(world, random, branch);
  else if (kind === 7 && snapshots.size < 12) {
    const { id } = await world.volume.createSnapshot();
    world.keep('snapshot', id, world.volume.id, world.production);
  } else if (kind === 8 && branch !== undefined && snapshots.size < 12) {
    const space = world.spaceOf(branch.reference.id);
    const { id } = await createBranchSnapshot(save, branch.reference.id);
    world.keep('snapshot', id, space, branch);
  } else if (kind === 9 && snapshot !== undefined && branches.size < 5) {
    const base = { volume: snapshot.space, snapshot: snapshot.reference.id };
    const { id } = await createBranch(save, base);
    world.keep('branch', id, 0, snapshot);
  } else if (kind === 10 && branch !== undefined && snapshot !== undefined) {
    await refresh(world, branch, snapshot, random.chance(0.5));
  } else if (kind === 11 && snapshot !== undefined) await remove(world, snapshot);
  else if (kind === 12) await save.checkpoint();
  else if (kind === 13 && branch !== undefined && random.chance(0.3)) {
    await grow(world, branch);
  }
}

async function grow(world: World, state: State): Promise<void> {
  const { id } = state.reference;
  const before = state.writers.length;
  await world.close(id);
  await resizeBranch(world.save, id, (before + 3) * BLOCK);
  const [writers, bytes] = [new Float64Array(before + 3), new Uint8Array(before + 3)];
  writers.set(state.writers);
  bytes.set(state.bytes);
  state.writers = writers;
  state.bytes = bytes;
  world.wrote(state, before, 3, 0);
}

async function refresh(world: World, branch: State, to: State, keep: boolean): Promise<void> {
  const { id } = branch.reference;
  await world.close(id);
  const before = world.spaceOf(id);
  const base = { volume: to.space, snapshot: to.reference.id };
  const { kept, settled } = await refreshBranch(world.save, id, base, keep ? { keep: {} } : {});
  if (kept !== undefined) world.keep('snapshot', kept.id, before, branch);
  await settled;
  branch.writers = to.writers.slice();
  branch.bytes = to.bytes.slice();
}

async function remove(world: World, { reference: { id }, space }: State): Promise<boolean> {
  try {
    if (space === world.volume.id) await world.volume.deleteSnapshot(id);
    else await deleteBranchSnapshot(world.save, id);
    return world.snapshots.delete(id);
  } catch (error) {
    expect(error).toMatchObject({ code: 'ERR_IN_USE' });
    return false;
  }
}

async function collect(ranges: AsyncIterable<BlockRange>): Promise<Set<number>> {
  const blocks = new Set<number>();
  let end = -1;
  for await (const { first, count } of ranges) {
    expect(first).toBeGreaterThan(end); // ascending, and ranges that touch are one
    expect(count).toBeGreaterThan(0);
    end = first + count;
    for (let block = first; block < end; block += 1) blocks.add(block);
  }
  return blocks;
}

async function compare(world: World, a: State, b: State, where: string): Promise<void> {
  const told = await collect(changedBlocks(world.save, a.reference, b.reference));
  const size = Math.max(a.writers.length, b.writers.length);
  for (let block = 0; block < size; block += 1) {
    const what = `${where}: block ${block} of ${JSON.stringify([a.reference, b.reference])}`;
    const differs = a.bytes[block] !== b.bytes[block];
    if (differs && !told.has(block)) throw new Error(`${what} differs and is not told`);
    const changed = a.writers[block] !== b.writers[block];
    if (!changed && told.has(block)) throw new Error(`${what} is told and nothing changed it`);
  }
  for (const block of told) expect(block).toBeLessThan(size);
}

test.each(Array.from({ length: 10 }, (_, index) => index + 1))(
  'differences are those of plain arrays (seed %i)',
  async (seed) => {
    const random = createRandom(seed);
    const world = new World();
    await world.make();
    for (let number = 1; number <= 120; number += 1) {
      await step(world, random);
      if (number % 4 !== 0) continue;
      await world.save.commit();
      for (let pair = 0; pair < 5; pair += 1) {
        const [a, b] = [random.pick(world.states), random.pick(world.states)];
        await compare(world, a, b, `seed ${seed}, step ${number}`);
      }
    }
  },
);

test('a branch made independent differs from production in all that may differ', async () => {
  const random = createRandom(5);
  const world = new World();
  await world.make();
  for (let count = 0; count < 20; count += 1) await write(world, random, world.production);
  const { id: snapshot } = await world.volume.createSnapshot();
  const { id } = await createBranch(world.save, { volume: world.volume.id, snapshot });
  world.keep('branch', id, 0, world.production);
  await flattenBranch(world.save, id, world.beneath);
  const branch = world.branches.get(id) as State;
  for (let count = 0; count < 5; count += 1) await write(world, random, branch);
  await world.save.commit();
  const told = await collect(
    changedBlocks(world.save, branch.reference, world.production.reference),
  );
  for (let block = 0; block < BLOCKS; block += 1) {
    if (branch.bytes[block] !== world.production.bytes[block]) expect(told.has(block)).toBe(true);
  }
});

test('what a running restore has still to write is told', async () => {
  const world = new World();
  await world.make();
  const { volume, save } = world;
  const fill = (first: number, count: number, byte: number) =>
    volume.device.write(new Uint8Array(count * BLOCK).fill(byte), first * BLOCK);
  await fill(0, 50, 1);
  const { id: before } = await volume.createSnapshot();
  await fill(10, 10, 2);
  const { undo } = await volume.startRestore(before, { undo: {} });
  const told = (id: number) =>
    collect(changedBlocks(save, world.production.reference, { kind: 'snapshot', id }));
  await save.commit();
  const expected = new Set([10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
  expect(await told(undo.id)).toEqual(expected);
  await fill(30, 1, 3);
  await save.commit();
  expect(await told(undo.id)).toEqual(new Set([...expected, 30]));
  expect(await told(before)).toContain(30);
  await volume.copyBack();
  expect(await told(undo.id)).toEqual(new Set([...expected, 30]));
});

test('states of different volumes are not compared', async () => {
  const world = new World();
  await world.make();
  const clone = createMemoryDevice({ blockSize: BLOCK, size: BLOCKS * BLOCK });
  const { id } = await createProductionVolume(world.save, clone);
  const differences = changedBlocks(world.save, world.production.reference, { kind: 'volume', id });
  await expect(collect(differences)).rejects.toMatchObject({ code: 'ERR_INVALID' });
});

test('a snapshot that is deleted in the midst of a comparison leaves no block out', async () => {
  const world = new World();
  await world.make();
  const take = async () => (await world.volume.createSnapshot()).id;
  const touch = async (from: number, stride: number) => {
    for (let block = from; block < BLOCKS; block += stride) {
      await world.volume.device.write(new Uint8Array(BLOCK).fill(7), block * BLOCK);
    }
    await world.save.commit();
  };
  const first = await take();
  await touch(0, 3);
  const middle = await take();
  await touch(1, 3);
  const last = await take();
  for (const checkpoint of [false, true]) {
    if (checkpoint) await world.save.checkpoint();
    const told = changedBlocks(
      world.save,
      { kind: 'snapshot', id: first },
      { kind: 'snapshot', id: last },
    );
    const deletion = checkpoint ? world.volume.deleteSnapshot(middle) : undefined;
    const blocks = await collect(told);
    await deletion;
    for (let block = 0; block < BLOCKS; block += 1) expect(blocks.has(block)).toBe(block % 3 < 2);
  }
});

test('entries that a deletion moves in the midst of a step are not missed (DF3)', async () => {
  const world = new World();
  await world.make();
  const { volume, save } = world;
  const touch = (count: number) =>
    volume.device.write(new Uint8Array(count * BLOCK).fill(count & 255), 0);
  const { id: first } = await volume.createSnapshot();
  const { id: middle } = await volume.createSnapshot();
  await touch(100);
  const { id: last } = await volume.createSnapshot();
  await touch(BLOCKS);
  await save.commit();
  await save.checkpoint();
  const { byVersion } = save.map;
  const scan = byVersion.scan.bind(byVersion);
  let deletion: Promise<void> | undefined;
  byVersion.scan = async (from, to, visit) => {
    if (from[1] === middle && deletion === undefined) {
      deletion = volume.deleteSnapshot(middle);
      await deletion;
    }
    await scan(from, to, visit);
  };
  const states = [first, last].map((id) => ({ kind: 'snapshot', id }) as const);
  const [a, b] = states as [StateReference, StateReference];
  expect((await collect(changedBlocks(save, a, b))).size).toBe(100);
  expect(deletion).toBeDefined();
});

/** Saved blocks: all that is used but the map's pages, lists and the journal. */
async function savedBytes(save: SaveVolume): Promise<number> {
  const addresses = new Set<number>();
  for (const { id } of save.objects()) {
    for (let from = 0; ; ) {
      const entries = await save.map.listEntries(id, from, 2 ** 48 - 1, 4096);
      for (const { entry } of entries) if (entry.address !== 0) addresses.add(entry.address);
      const last = entries.at(-1);
      if (last === undefined) break;
      from = last.block + 1;
    }
  }
  return addresses.size * BLOCK;
}

/** What the allocator says, less what the map's pages and the lists take. */
function allocatedBytes(save: SaveVolume): number {
  const { usedBytes, mapBytes } = save.space();
  return usedBytes - mapBytes - save.chainAddresses.length * BLOCK;
}

test.each(Array.from({ length: 10 }, (_, index) => index + 1))(
  'deleting a set gives back what was foretold (seed %i)',
  async (seed) => {
    const random = createRandom(1000 + seed);
    const world = new World();
    await world.make();
    for (let number = 0; number < 140; number += 1) await step(world, random);
    const { save } = world;
    for (let round = 0; world.snapshots.size + world.branches.size > 0; round += 1) {
      expect(round).toBeLessThan(60);
      await save.commit();
      await save.checkpoint();
      const [saved, allocated] = [await savedBytes(save), allocatedBytes(save)];
      const needed = new Set(
        storedObjects(save, undefined).map(({ object }) => object.base?.snapshot),
      );
      const snapshots = [...world.snapshots.values()].filter(
        ({ reference }) => !needed.has(reference.id) && random.chance(0.4),
      );
      const branch = random.pick([...world.branches.keys(), 0]);
      const goes =
        branch !== 0 && listBranches(save).find(({ id }) => id === branch)?.snapshots.length === 0;
      const ids = [...snapshots.map(({ reference }) => reference.id), ...(goes ? [branch] : [])];
      const gain = await gainOfDeleting(save, ids);
      for (const snapshot of snapshots) expect(await remove(world, snapshot)).toBe(true);
      if (goes) {
        await world.close(branch);
        await deleteBranches(save, [branch]);
        world.branches.delete(branch);
      }
      await save.checkpoint();
      const what = `seed ${seed}, round ${round}, ${ids.join()}`;
      expect(saved - (await savedBytes(save)), what).toBe(gain);
      expect(allocated - allocatedBytes(save), what).toBe(gain);
      if (round < 50) continue;
      // Branches that were refreshed with each other's snapshots can only go together.
      for (const id of world.branches.keys()) await world.close(id);
      await deleteBranches(save, [...world.branches.keys()], { withSnapshots: true });
      break;
    }
  },
);

test.each([1, 2, 3])(
  'the usage of a space is what deleting each gives back (seed %i)',
  async (seed) => {
    const random = createRandom(2000 + seed);
    const world = new World();
    await world.make();
    for (let number = 0; number < 150; number += 1) await step(world, random);
    await world.save.commit();
    const spaces = [world.volume.id, ...listBranches(world.save).map(({ space }) => space)];
    for (const space of spaces) {
      const owner = listBranches(world.save).find((branch) => branch.space === space)?.id;
      for (const { version, exclusiveBytes, sharedBytes } of await usageOfSpace(
        world.save,
        space,
      )) {
        const id = version === LIVE ? (owner as number) : version;
        expect(exclusiveBytes).toBe(await gainOfDeleting(world.save, [id]));
        expect(sharedBytes).toBeGreaterThanOrEqual(0);
      }
    }
  },
);
