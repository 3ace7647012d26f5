/**
 * Goal: I9. Whatever single damage the save volume suffers at rest, nobody is given wrong bytes and
 * nobody's program hangs. Method: a store with snapshots, a branch and saved blocks is closed; then,
 * for every sector of its save volume, a bit flips, the sector is zeroed, or another sector's bytes
 * stand in its place (a misdirected write, or a stale one); the store is opened and everything in
 * it is read. Each object must read as it was, or fail as damaged.
 */
import { type BlockDevice, isStorageError } from '@palimpsest/block-device';
import {
  type CrashWorld,
  createCrashWorld,
  createRandom,
  failing,
} from '@palimpsest/block-device/testing';
import {
  createProductionVolume,
  listProductionVolumes,
  openProductionVolume,
} from '@palimpsest/ro-snapshot';
import { createBranch, listBranches, openBranch } from '@palimpsest/rw-snapshot';
import { formatSaveVolume, openSaveVolume } from '@palimpsest/save-volume';
import { beforeAll, describe, expect, test } from 'vitest';
import { fillPayload, identify, SECTOR } from '../src/payload.js';

const BLOCKS = 64;
const SAVE_BLOCKS = 400;

interface Store {
  readonly world: CrashWorld;
  /** What everything holds, by name. */
  readonly truth: ReadonlyMap<string, Int32Array>;
}

async function build(closed: boolean): Promise<Store> {
  const world = createCrashWorld({ seed: 1 });
  const save = world.device('save', { size: SAVE_BLOCKS * SECTOR });
  const clone = world.device('clone', { size: BLOCKS * SECTOR });
  const truth = new Map<string, Int32Array>();
  let id = 1;
  const write = async (device: BlockDevice, first: number, count: number): Promise<void> => {
    const bytes = new Uint8Array(count * SECTOR);
    fillPayload(bytes, id++, first);
    await device.write(bytes, first * SECTOR);
  };
  await write(clone, 0, BLOCKS);
  await clone.flush();
  await formatSaveVolume(save, { blockSize: SECTOR, storeId: new Uint8Array(16).fill(7) });
  const store = await openSaveVolume(save);
  const volume = await createProductionVolume(store, clone, { name: 'prod' });
  for (let round = 0; round < 3; round++) {
    const snapshot = await volume.createSnapshot({ name: `s${round}` });
    truth.set(`s${round}`, await read(volume.openSnapshot(snapshot.id)));
    for (let first = round; first < BLOCKS; first += 4) await write(volume.device, first, 1);
    await volume.device.flush();
  }
  const base = { volume: volume.id, snapshot: volume.snapshots[1]?.id ?? 0 };
  const record = await createBranch(store, base, { name: 'branch' });
  const branch = await openBranch(store, record.id, () => volume.openSnapshot(base.snapshot));
  for (let first = 0; first < BLOCKS - 1; first += 9) await write(branch.device, first, 2);
  await branch.device.flush();
  truth.set('branch', await read(branch.device));
  truth.set('prod', await read(volume.device));
  if (!closed) {
    // The journal has it all. Of its last record alone nobody can say whether it was damaged or
    // never finished: it holds nothing that is compared below.
    await volume.createSnapshot({ name: 'last' });
    return { world, truth };
  }
  await branch.close();
  await volume.close();
  await store.close();
  return { world, truth };
}

/** Everything there is to read of a store, by name. Failures to read are left out. */
async function readStore(device: BlockDevice, clone: BlockDevice): Promise<Map<string, unknown>> {
  const found = new Map<string, unknown>();
  const note = async (name: string, device: () => Promise<BlockDevice>): Promise<void> => {
    try {
      found.set(name, await read(await device()));
    } catch (error) {
      found.set(name, error);
    }
  };
  try {
    const store = await openSaveVolume(device);
    for (const { id } of listProductionVolumes(store)) {
      const volume = await openProductionVolume(store, id, clone);
      await note('prod', async () => volume.device);
      for (const { id, attributes } of volume.snapshots) {
        await note(String(attributes.name), async () => volume.openSnapshot(id));
      }
      for (const { id } of listBranches(store)) {
        await note('branch', async () => {
          return (await openBranch(store, id, (base) => volume.openSnapshot(base.snapshot))).device;
        });
      }
    }
  } catch (error) {
    found.set('store', error);
  }
  return found;
}

async function read(device: BlockDevice): Promise<Int32Array> {
  const bytes = new Uint8Array(device.size);
  await device.readInto(bytes, 0);
  return identify(bytes, 0);
}

const DAMAGED = ['ERR_CORRUPT', 'ERR_FORMAT'] as const;

/** Damages one place at a time; returns how often the damage was noticed. */
async function damageAll(
  { world, truth }: Store,
  harm: (device: ReturnType<typeof failing>, sector: number) => void,
): Promise<number> {
  let noticed = 0;
  const bytes = new Uint8Array(SECTOR);
  for (let sector = 0; sector < SAVE_BLOCKS; sector++) {
    world.durable('save').readInto(bytes, sector * SECTOR);
    // Of the free space a sample will do.
    if (sector % 16 !== 0 && bytes.every((byte) => byte === 0)) continue;
    const image = world.crash(world.point, { kind: 'none' });
    const bad = failing(image.device('save'));
    harm(bad, sector);
    const found = await readStore(bad.device, image.device('clone'));
    const errors = [...found.values()].filter((each) => each instanceof Error);
    for (const error of errors) {
      expect(
        DAMAGED.some((code) => isStorageError(error, code)),
        `sector ${sector}: ${error}`,
      ).toBe(true);
    }
    if (errors.length > 0) noticed++;
    if (found.has('store')) continue;
    for (const [name, content] of truth) {
      const now = found.get(name);
      if (now instanceof Error) continue;
      const same = now instanceof Int32Array && now.every((each, at) => each === content[at]);
      expect(same, `${name} with sector ${sector} damaged: ${now}`).toBe(true);
    }
  }
  return noticed;
}

describe.each(['closed', 'killed'])('a store that was %s', (end) => {
  let store: Store;
  beforeAll(async () => {
    store = await build(end === 'closed');
  });

  test('reads as it was when nothing is damaged', async () => {
    const { world, truth } = store;
    const image = world.crash(world.point, { kind: 'none' });
    const found = await readStore(image.device('save'), image.device('clone'));
    for (const [name, content] of truth) expect(found.get(name)).toEqual(content);
  });

  test('a flipped bit anywhere is noticed or harmless', async () => {
    const random = createRandom(end);
    const noticed = await damageAll(store, (device, sector) => {
      device.flip(sector * SECTOR + random.below(SECTOR), random.below(8));
    });
    expect(noticed).toBeGreaterThan(60);
  });

  test('a flipped bit in the first bytes of any sector is noticed or harmless', async () => {
    const random = createRandom(`${end} head`);
    const noticed = await damageAll(store, (device, sector) => {
      device.flip(sector * SECTOR + random.below(32), random.below(8));
    });
    expect(noticed).toBeGreaterThan(60);
  });

  test('a sector of zeros is noticed or harmless', async () => {
    const zeros = new Uint8Array(SECTOR);
    const noticed = await damageAll(store, (device, sector) =>
      device.overlay(sector * SECTOR, zeros),
    );
    expect(noticed).toBeGreaterThan(60);
  });

  test('the bytes of another sector in its place are noticed or harmless', async () => {
    for (const distance of [1, 17]) {
      const noticed = await damageAll(store, (device, sector) => {
        device.misdirect(sector * SECTOR, ((sector + distance) % SAVE_BLOCKS) * SECTOR);
      });
      expect(noticed).toBeGreaterThan(60);
    }
  });
});
