/**
 * Goal: whatever is done to branches, a crash at any point of it leaves it done or not done (I6, R1,
 * R2, X2, F2): the branch stands on its old or its new base with exactly that content, snapshots never
 * change, flushed writes are there, and in the end every block comes back.
 * Method: one history on disks that forget; then every crash of it: reopened, compared with the states
 * before and after the operation that was under way, audited, resumed, and taken apart to nothing.
 */
import { type CrashWorld, createCrashWorld, createRandom } from '@palimpsest/block-device/testing';
import {
  createProductionVolume,
  openProductionVolume,
  type ProductionVolume,
} from '@palimpsest/ro-snapshot';
import { formatSaveVolume, openSaveVolume, type SaveVolume } from '@palimpsest/save-volume';
import { expect, test } from 'vitest';
import {
  type Base,
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
const BLOCKS = 600; // a span of 512, and more
const SIZE = BLOCK * BLOCKS;
const LIMITS = { dirtyBytes: 32 << 10 };

/** What there is: by branch its base and content, by snapshot its content. */
interface State {
  readonly branches: Map<number, { base: string; content: Uint8Array }>;
  readonly snapshots: Map<number, Uint8Array>;
}

interface Step {
  readonly name: string;
  /** Events of the disks when it ended. */
  readonly end: number;
  readonly after: State;
}

class World {
  save!: SaveVolume;
  volume!: ProductionVolume;
  readonly state: State = { branches: new Map(), snapshots: new Map() };
  readonly steps: Step[] = [];
  readonly #disks: CrashWorld;

  constructor(disks: CrashWorld) {
    this.#disks = disks;
  }

  readonly beneath = (base: Base) => this.volume.openSnapshot(base.snapshot);

  async make(): Promise<void> {
    const disk = this.#disks.device('save', { blockSize: BLOCK, size: 1 << 20 });
    const image = this.#disks.device('image', { blockSize: BLOCK, size: SIZE });
    await formatSaveVolume(disk, { blockSize: BLOCK, journalBytes: 16_384 });
    this.save = await openSaveVolume(disk, LIMITS);
    this.volume = await createProductionVolume(this.save, image);
  }

  async reopen(volume: number): Promise<void> {
    this.save = await openSaveVolume(this.#disks.device('save'), LIMITS);
    this.volume = await openProductionVolume(this.save, volume, this.#disks.device('image'));
    await resumeBranchDeletions(this.save);
  }

  async do(name: string, work: () => Promise<void>): Promise<void> {
    await work();
    const { branches, snapshots } = this.state;
    for (const { id, base } of listBranches(this.save)) {
      (branches.get(id) as { base: string }).base = JSON.stringify(base);
    }
    const copy = [...branches].map(([id, { base, content }]) => {
      return [id, { base, content: content.slice() }] as const;
    });
    const after = { branches: new Map(copy), snapshots: new Map(snapshots) };
    this.steps.push({ name, end: this.#disks.point, after });
  }

  async branch(base: Base): Promise<number> {
    const { id } = await createBranch(this.save, base);
    const content = (this.state.snapshots.get(base.snapshot) as Uint8Array).slice();
    this.state.branches.set(id, { base: '', content });
    return id;
  }

  async write(id: number, first: number, count: number, byte: number): Promise<void> {
    const branch = await openBranch(this.save, id, this.beneath);
    const { content } = this.state.branches.get(id) as { content: Uint8Array };
    const [at, length] = [first * BLOCK, count * BLOCK];
    if (byte === 0) await branch.device.discard(at, length);
    else await branch.device.write(new Uint8Array(length).fill(byte), at);
    await branch.device.flush();
    await branch.close();
    content.fill(byte, at, at + length);
  }

  async snapshot(id: number): Promise<Base> {
    const volume = this.spaceOf(id);
    const { id: snapshot } = await createBranchSnapshot(this.save, id);
    const { content } = this.state.branches.get(id) as { content: Uint8Array };
    this.state.snapshots.set(snapshot, content.slice());
    return { volume, snapshot };
  }

  async refresh(id: number, to: Base, keep: boolean): Promise<void> {
    const branch = this.state.branches.get(id) as { content: Uint8Array };
    const options = keep ? { keep: {} } : {};
    const { kept, settled } = await refreshBranch(this.save, id, to, options);
    await settled;
    if (kept !== undefined) this.state.snapshots.set(kept.id, branch.content.slice());
    branch.content.set(this.state.snapshots.get(to.snapshot) as Uint8Array);
  }

  spaceOf(id: number): number {
    return listBranches(this.save).find((branch) => branch.id === id)?.space as number;
  }
}

/** The history: everything once, on top of each other. */
async function live(world: World): Promise<void> {
  let production!: Base;
  let a = 0;
  let b = 0;
  let first!: Base;
  let second!: Base;
  await world.do('write production', async () => {
    await world.volume.device.write(new Uint8Array(SIZE / 2).fill(9), 0);
    const { id } = await world.volume.createSnapshot();
    production = { volume: world.volume.id, snapshot: id };
    const content = new Uint8Array(SIZE).fill(9, 0, SIZE / 2);
    world.state.snapshots.set(id, content);
  });
  await world.do('overwrite production', async () => {
    await world.volume.device.write(new Uint8Array(20 * BLOCK).fill(8), 0);
    await world.volume.device.flush();
  });
  await world.do('branch', async () => {
    a = await world.branch(production);
  });
  await world.do('write', () => world.write(a, 5, 30, 1));
  await world.do('snapshot', async () => {
    first = await world.snapshot(a);
  });
  await world.do('write', () => world.write(a, 20, 30, 2));
  await world.do('branch of a branch', async () => {
    b = await world.branch(first);
  });
  await world.do('write', () => world.write(b, 0, 10, 3));
  await world.do('discard', () => world.write(a, 0, 560, 0));
  await world.do('snapshot', async () => {
    second = await world.snapshot(a);
  });
  await world.do('write', () => world.write(a, 30, 4, 4));
  await world.do('refresh, kept', () => world.refresh(a, first, true));
  await world.do('write', () => world.write(a, 100, 10, 5));
  await world.do('refresh, not kept', () => world.refresh(a, production, false));
  await world.do('write', () => world.write(a, 100, 10, 6));
  await world.do('refresh with a snapshot of its own', () => world.refresh(a, second, true));
  await world.do('flatten', () => flattenBranch(world.save, b, world.beneath));
  await world.do('delete a snapshot', async () => {
    await deleteBranchSnapshot(world.save, first.snapshot);
    world.state.snapshots.delete(first.snapshot);
  });
  await world.do('write', () => world.write(b, 4, 10, 7));
  await world.do('delete a branch', async () => {
    await deleteBranch(world.save, b);
    world.state.branches.delete(b);
  });
}

/** What a reopened store is, when it is one of two states; what is wrong otherwise. */
async function compare(world: World, before: State, after: State): Promise<void> {
  const bytes = new Uint8Array(SIZE);
  const branches = listBranches(world.save);
  const same = (state: State): boolean =>
    JSON.stringify(branches.map(({ id, base }) => [id, JSON.stringify(base)])) ===
    JSON.stringify([...state.branches].map(([id, { base }]) => [id, base]));
  const states = [before, after].filter(same);
  expect(states.length, 'branches with their bases, as before or after').toBeGreaterThan(0);
  const snapshots = [...world.volume.snapshots, ...branches.flatMap((each) => each.snapshots)]
    .map(({ id }) => id)
    .sort((x, y) => x - y);
  const expected = states.map((state) => [...state.snapshots.keys()].sort((x, y) => x - y));
  expect(expected, 'snapshots, as before or after').toContainEqual(snapshots);
  for (const id of snapshots) {
    const device = world.volume.snapshots.some((each) => each.id === id)
      ? world.volume.openSnapshot(id)
      : await openBranchSnapshot(world.save, id, world.beneath);
    await device.readInto(bytes, 0);
    const content = after.snapshots.get(id) ?? before.snapshots.get(id);
    if (Buffer.compare(bytes, content as Uint8Array) !== 0) throw new Error(`snapshot ${id}`);
    await device.close();
  }
  for (const { id } of branches) {
    const branch = await openBranch(world.save, id, world.beneath);
    await branch.device.readInto(bytes, 0);
    await branch.close();
    for (let at = 0; at < SIZE; at += BLOCK) {
      const block = bytes.subarray(at, at + BLOCK);
      const isKnown = states.some(
        ({ branches: all }) =>
          Buffer.compare(block, all.get(id)?.content.subarray(at, at + BLOCK) as Uint8Array) === 0,
      );
      if (!isKnown) throw new Error(`branch ${id}, block ${at / BLOCK}`);
    }
  }
  expect((await world.save.verify({ data: true })).problems).toEqual([]);
}

async function takeApart(world: World): Promise<void> {
  const { save, volume } = world;
  await deleteBranches(
    save,
    listBranches(save).map(({ id }) => id),
    { withSnapshots: true },
  );
  for (const { id } of [...volume.snapshots]) await volume.deleteSnapshot(id);
  await save.checkpoint();
  expect(save.map.byBlock.root.entries).toBe(0);
  expect(save.objects()).toHaveLength(1);
  expect((await save.verify({ data: true })).problems).toEqual([]);
}

test('a crash at any point leaves every operation on branches done or not done', async () => {
  const random = createRandom(Number(process.env.SEED ?? 1));
  const disks = createCrashWorld({ seed: 1 });
  const world = new World(disks);
  await world.make();
  await world.do('start', async () => {});
  await live(world);
  for (const [index, { name, end, after }] of world.steps.entries()) {
    const last = world.steps[index - 1];
    if (last === undefined) continue;
    for (let point = last.end; point <= end; point += 1) {
      const policies = disks.policies(point);
      const policy = random.pick(policies);
      const next = new World(disks.crash(point, policy, random.fork(point)));
      try {
        await next.reopen(world.volume.id);
        await compare(next, last.after, after);
        await takeApart(next);
      } catch (cause) {
        const where = `${name}, crash at ${point} of ${last.end}..${end}, ${JSON.stringify(policy)}`;
        throw new Error(`${where}: ${cause}`, { cause });
      }
    }
  }
}, 300_000);
