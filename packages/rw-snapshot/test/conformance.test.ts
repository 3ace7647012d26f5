/**
 * Everything that the engine shows to users is a BlockDevice: production with and without snapshots,
 * snapshots, branches, all over one suite, with the devices beneath completing at once and late.
 */
import { type BlockDevice, createMemoryDevice } from '@palimpsest/block-device';
import {
  blockDeviceCases,
  type ConformanceCase,
  createRandom,
  type DeviceFixture,
  type FailingDevice,
  failing,
  jitter,
  readOnlyDeviceCases,
} from '@palimpsest/block-device/testing';
import {
  createProductionVolume,
  openProductionVolume,
  type ProductionVolume,
} from '@palimpsest/ro-snapshot';
import { formatSaveVolume, openSaveVolume, type SaveVolume } from '@palimpsest/save-volume';
import { describe, test } from 'vitest';
import { type Branch, createBranch, openBranch } from '../src/index.js';

const SIZE = 256 << 10;

interface World {
  readonly saveFaults: FailingDevice;
  readonly cloneFaults: FailingDevice;
  save: SaveVolume;
  volume: ProductionVolume;
  branch?: Branch;
}

const WORLDS = new WeakMap<BlockDevice, World>();

async function makeWorld(late: boolean, snapshots: number): Promise<World> {
  const beneath = (size: number): FailingDevice => {
    const memory = createMemoryDevice({ blockSize: 512, size });
    return failing(late ? jitter(memory, { random: createRandom(size) }) : memory);
  };
  const saveFaults = beneath(2 << 20);
  const cloneFaults = beneath(SIZE);
  await formatSaveVolume(saveFaults.device, { blockSize: 4096, journalBytes: 64 << 10 });
  const save = await openSaveVolume(saveFaults.device, { dirtyBytes: 64 << 10 });
  const volume = await createProductionVolume(save, cloneFaults.device);
  for (let snapshot = 0; snapshot < snapshots; snapshot += 1) await volume.createSnapshot();
  return { saveFaults, cloneFaults, save, volume };
}

function production(late: boolean, snapshots: number): DeviceFixture {
  return {
    async create() {
      const world = await makeWorld(late, snapshots);
      WORLDS.set(world.volume.device, world);
      return world.volume.device;
    },
    async reopen(device) {
      const world = WORLDS.get(device) as World;
      await world.volume.close();
      await world.save.close();
      world.saveFaults.heal();
      world.cloneFaults.heal();
      world.save = await openSaveVolume(world.saveFaults.device);
      world.volume = await openProductionVolume(
        world.save,
        world.volume.id,
        world.cloneFaults.device,
      );
      WORLDS.set(world.volume.device, world);
      return world.volume.device;
    },
    failFlush(device) {
      WORLDS.get(device)?.cloneFaults.fail({ call: 'flush', nth: 1 });
    },
  };
}

function branch(late: boolean): DeviceFixture {
  const open = async (world: World, id: number): Promise<BlockDevice> => {
    const [snapshot] = world.volume.snapshots;
    const base = world.volume.openSnapshot(snapshot?.id as number);
    world.branch = await openBranch(world.save, id, () => base);
    WORLDS.set(world.branch.device, world);
    return world.branch.device;
  };
  return {
    async create() {
      const world = await makeWorld(late, 1);
      const snapshot = world.volume.snapshots[0]?.id as number;
      const { id } = await createBranch(world.save, { volume: world.volume.id, snapshot });
      return open(world, id);
    },
    async reopen(device) {
      const world = WORLDS.get(device) as World;
      const id = world.branch?.id as number;
      await world.branch?.close();
      await world.volume.close();
      await world.save.close();
      world.saveFaults.heal();
      world.save = await openSaveVolume(world.saveFaults.device);
      world.volume = await openProductionVolume(
        world.save,
        world.volume.id,
        world.cloneFaults.device,
      );
      return open(world, id);
    },
    failFlush(device) {
      WORLDS.get(device)?.saveFaults.fail({ call: 'flush', nth: 1 });
    },
  };
}

function run<F>(name: string, cases: readonly ConformanceCase<F>[], fixture: F): void {
  describe(name, () => {
    for (const { name: title, run: runCase, skip } of cases) {
      const reason = skip?.(fixture);
      test.skipIf(reason !== undefined)(reason ? `${title} (${reason})` : title, () =>
        runCase(fixture),
      );
    }
  });
}

for (const late of [false, true]) {
  const beneath = late ? 'late devices' : 'prompt devices';
  for (const snapshots of [0, 1, 3]) {
    run(
      `production with ${snapshots} snapshots, ${beneath}`,
      blockDeviceCases,
      production(late, snapshots),
    );
  }
  run(`branch, ${beneath}`, blockDeviceCases, branch(late));
  run(`snapshot, ${beneath}`, readOnlyDeviceCases, {
    async open() {
      const { volume } = await makeWorld(late, 0);
      const content = createRandom(7).fill(new Uint8Array(SIZE));
      await volume.device.write(content, 0);
      const { id } = await volume.createSnapshot();
      await volume.device.write(new Uint8Array(64 << 10).fill(9), 32 << 10);
      await volume.device.flush();
      return { device: volume.openSnapshot(id), content };
    },
  });
}
