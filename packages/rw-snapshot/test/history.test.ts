/**
 * Goal: production, every snapshot and every branch always read as plain arrays say, whatever the
 * order of writes, zeros, discards, flushes, commits, creations, deletions and reopenings.
 * Method: seeded histories over tiny devices (512-byte blocks, a journal of a few dozen blocks, so
 * that checkpoints, page splits and merges happen all the time), compared after every step.
 */
import { type BlockDevice, createMemoryDevice } from '@palimpsest/block-device';
import { createRandom, jitter } from '@palimpsest/block-device/testing';
import {
  createProductionVolume,
  openProductionVolume,
  type ProductionVolume,
} from '@palimpsest/ro-snapshot';
import { formatSaveVolume, openSaveVolume, type SaveVolume } from '@palimpsest/save-volume';
import { expect, test } from 'vitest';
import {
  type Branch,
  createBranch,
  deleteBranch,
  openBranch,
  resumeBranchDeletions,
} from '../src/index.js';

const BLOCK = 512;
const BLOCKS = 48;
const SIZE = BLOCK * BLOCKS;
const SEEDS = Array.from({ length: Number(process.env.SEEDS ?? 30) }, (_, index) => index + 1);
const STEPS = 120;

/** What a device should read as. `undefined` in `loose`: old bytes or zeros, per block (D9). */
interface Model {
  readonly bytes: Uint8Array;
  readonly loose: Set<number>;
}

class World {
  readonly random;
  readonly saveDevice: BlockDevice;
  readonly clone: BlockDevice;
  save!: SaveVolume;
  volume!: ProductionVolume;
  volumeId = 0;
  readonly production: Model = { bytes: new Uint8Array(SIZE), loose: new Set() };
  readonly snapshots = new Map<number, Model>();
  readonly branches = new Map<number, { base: number; model: Model; open: Branch }>();

  constructor(seed: number) {
    this.random = createRandom(seed);
    const shake = (device: BlockDevice) =>
      seed % 2 === 0 ? device : jitter(device, { random: createRandom(seed + 1000) });
    this.saveDevice = shake(createMemoryDevice({ blockSize: BLOCK, size: 64 << 10 }));
    this.clone = shake(createMemoryDevice({ blockSize: BLOCK, size: SIZE }));
  }

  async start(): Promise<void> {
    await formatSaveVolume(this.saveDevice, { blockSize: BLOCK, journalBytes: 16_384 });
    await this.open();
    this.volume = await createProductionVolume(this.save, this.clone);
    this.volumeId = this.volume.id;
  }

  async open(): Promise<void> {
    this.save = await openSaveVolume(this.saveDevice, {
      growBytes: 32 << 10,
      dirtyBytes: BLOCK * 24,
      cacheBytes: 1,
    });
    await resumeBranchDeletions(this.save);
  }

  async reopen(): Promise<void> {
    for (const { open } of this.branches.values()) await open.close();
    await this.volume.close();
    await this.save.close();
    await this.open();
    this.volume = await openProductionVolume(this.save, this.volumeId, this.clone);
    for (const [id, branch] of this.branches) branch.open = await this.openBranch(id, branch.base);
  }

  openBranch(id: number, base: number): Promise<Branch> {
    return openBranch(this.save, id, () => this.volume.openSnapshot(base));
  }

  async step(): Promise<string> {
    const { random } = this;
    const branches = [...this.branches];
    const target =
      branches.length > 0 && random.chance(0.5)
        ? branches[random.between(0, branches.length - 1)]
        : undefined;
    const model = target?.[1].model ?? this.production;
    const device = target?.[1].open.device ?? this.volume.device;
    const first = random.between(0, BLOCKS - 1);
    const count = random.between(1, Math.min(8, BLOCKS - first));
    const kind = random.between(0, 99);
    if (kind < 50) {
      const bytes = new Uint8Array(count * BLOCK).fill(random.between(1, 251));
      await device.write(bytes, first * BLOCK);
      set(model, first, bytes);
      return `write ${target?.[0] ?? 'production'} ${first}+${count}`;
    }
    if (kind < 58) {
      await device.zero(first * BLOCK, count * BLOCK);
      set(model, first, new Uint8Array(count * BLOCK));
      return 'zero';
    }
    if (kind < 64) {
      await device.discard(first * BLOCK, count * BLOCK);
      for (let block = first; block < first + count; block += 1) model.loose.add(block);
      await this.tighten(device, model);
      return 'discard';
    }
    if (kind < 70) {
      await device.flush();
      return 'flush';
    }
    if (kind < 73) {
      await this.save.checkpoint();
      return 'checkpoint';
    }
    if (kind < 81 && this.snapshots.size < 6) {
      const { id } = await this.volume.createSnapshot();
      this.snapshots.set(id, copy(this.production));
      return `snapshot ${id}`;
    }
    if (kind < 87 && this.snapshots.size > 0) {
      const ids = [...this.snapshots.keys()];
      const id = ids[random.between(0, ids.length - 1)] as number;
      if (branches.some(([, { base }]) => base === id)) {
        await expect(this.volume.deleteSnapshot(id)).rejects.toMatchObject({ code: 'ERR_IN_USE' });
      } else {
        await this.volume.deleteSnapshot(id);
        this.snapshots.delete(id);
      }
      return `delete snapshot ${id}`;
    }
    if (kind < 92 && this.snapshots.size > 0 && branches.length < 4) {
      const ids = [...this.snapshots.keys()];
      const base = ids[random.between(0, ids.length - 1)] as number;
      const { id } = await createBranch(this.save, { volume: this.volumeId, snapshot: base });
      const open = await this.openBranch(id, base);
      this.branches.set(id, { base, model: copy(this.snapshots.get(base) as Model), open });
      return `branch ${id}`;
    }
    if (kind < 95 && target !== undefined) {
      await target[1].open.close();
      await deleteBranch(this.save, target[0]);
      this.branches.delete(target[0]);
      return `delete branch ${target[0]}`;
    }
    if (kind < 97) {
      await this.reopen();
      return 'reopen';
    }
    return 'nothing';
  }

  /** What a discard left is read once, must be old or zero, and holds from then on (D9). */
  async tighten(device: BlockDevice, model: Model): Promise<void> {
    const bytes = new Uint8Array(SIZE);
    await device.readInto(bytes, 0);
    for (const block of model.loose) {
      const now = bytes.subarray(block * BLOCK, (block + 1) * BLOCK);
      if (now.every((byte) => byte === 0)) model.bytes.fill(0, block * BLOCK, (block + 1) * BLOCK);
    }
    model.loose.clear();
  }

  async check(context: string): Promise<void> {
    const bytes = new Uint8Array(SIZE);
    const compare = async (name: string, device: BlockDevice, model: Model) => {
      await device.readInto(bytes, 0);
      if (Buffer.compare(bytes, model.bytes) === 0) return;
      const at = bytes.findIndex((byte, index) => byte !== model.bytes[index]);
      throw new Error(
        `${context}: ${name}, block ${Math.floor(at / BLOCK)}: ${bytes[at]}, not ${model.bytes[at]}`,
      );
    };
    await compare('production', this.volume.device, this.production);
    for (const [id, model] of this.snapshots) {
      await compare(`snapshot ${id}`, this.volume.openSnapshot(id), model);
    }
    for (const [id, { open, model }] of this.branches)
      await compare(`branch ${id}`, open.device, model);
  }

  async audit(context: string): Promise<void> {
    const { problems } = await this.save.verify({ data: true });
    if (problems.length > 0) throw new Error(`${context}: ${problems.join('; ')}`);
  }
}

function set(model: Model, first: number, bytes: Uint8Array): void {
  model.bytes.set(bytes, first * BLOCK);
}

function copy(model: Model): Model {
  return { bytes: model.bytes.slice(), loose: new Set() };
}

test.each(SEEDS)('a history agrees with plain arrays (seed %i)', async (seed) => {
  const world = new World(seed);
  await world.start();
  const steps: string[] = [];
  for (let step = 0; step < STEPS; step += 1) {
    try {
      steps.push(await world.step());
    } catch (cause) {
      throw new Error(`seed ${seed}, step ${step}, after ${steps.slice(-10).join(', ')}`, {
        cause,
      });
    }
    const context = `seed ${seed}, after ${steps.slice(-12).join(', ')}`;
    await world.check(context);
    if (step % 10 === 9) await world.audit(context);
  }
  // Everything goes, and nothing is left behind.
  for (const [id, { open }] of world.branches) {
    await open.close();
    await deleteBranch(world.save, id);
  }
  for (const id of world.snapshots.keys()) await world.volume.deleteSnapshot(id);
  await world.save.checkpoint();
  await world.audit(`seed ${seed}, at the end`);
  expect(world.save.map.byBlock.root.entries).toBe(0);
});
