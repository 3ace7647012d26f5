/**
 * Goal: a full store does exactly what its policy says, takes back no more than it must, says so, and
 * never refuses for a failure of the policy's own.
 * Method: the policy on a save volume of memory with a cap, with two production volumes on it; what it
 * works with (what was deleted, what may be dropped) is the test's own.
 */
import { createMemoryDevice, StorageError } from '@palimpsest/block-device';
import { createProductionVolume } from '@palimpsest/ro-snapshot';
import { formatSaveVolume, openSaveVolume } from '@palimpsest/save-volume';
import { expect, test } from 'vitest';
import {
  type SpaceEvent,
  SpacePolicy,
  type SpacePolicyParts,
  withRelief,
} from '../src/space-policy.js';
import { chooseDrops } from '../src/space-policy-choice.js';

const BLOCK = 512;
const SAVE_BYTES = 96 * 1024;
/** Blocks of each volume: more than the save volume can keep twice. */
const BLOCKS = 120;

async function world(given: Partial<SpacePolicyParts> = {}) {
  const device = createMemoryDevice({ blockSize: BLOCK, size: SAVE_BYTES });
  await formatSaveVolume(device, { blockSize: BLOCK, journalBytes: 16_384 });
  const policy = new SpacePolicy();
  const save = await openSaveVolume(device, {
    ...policy.saveOptions,
    maximumBytes: SAVE_BYTES,
    growBytes: 16 * 1024,
  });
  const volume = async () => {
    const image = createMemoryDevice({ blockSize: BLOCK, size: BLOCKS * BLOCK });
    await image.write(new Uint8Array(image.size).fill(0xee), 0); // saving zeros would take no space
    return createProductionVolume(save, image);
  };
  const volumes = [await volume(), await volume()] as const;
  const events: SpaceEvent[] = [];
  const log: string[] = [];
  const timers: (() => void)[] = [];
  const clock = { now: 1_800_000_000_000 };
  const say = (message: string): void => void log.push(message);
  const parts: SpacePolicyParts = {
    save,
    logger: { debug: say, info: say, warn: say, error: say },
    now: () => clock.now,
    every: (_, work) => {
      timers.push(work);
      return () => void timers.splice(0);
    },
    settings: () => ({
      fullPolicy: 'drop-oldest',
      maximumBytes: SAVE_BYTES,
      highWaterPercent: 90,
    }),
    purgeOne: async () => false,
    dropOldest: async () => false,
    emit: (event) => void events.push(event),
    ...given,
  };
  const told = () => events.map(({ type }) => type);
  return { policy, save, volumes, parts, events, told, log, timers, clock };
}

type World = Awaited<ReturnType<typeof world>>;

/** Overwrites blocks until there is no space; how many were written. */
async function fill({ volumes: [volume] }: World, from = 0, value = 1): Promise<number> {
  for (let block = from; block < BLOCKS; block += 1) {
    try {
      await volume.device.write(new Uint8Array(BLOCK).fill(value), block * BLOCK);
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_NO_SPACE' });
      return block - from;
    }
  }
  return BLOCKS - from;
}

test('F1: what was deleted goes first, then by the policy the oldest, then it is refused', async () => {
  const order: string[] = [];
  const left = { purge: 1, drop: 1 };
  const ask = (kind: 'purge' | 'drop', snapshot: () => number | undefined, here: () => World) => {
    return async () => {
      const id = snapshot();
      if (left[kind] === 0 || id === undefined) return false;
      left[kind] -= 1;
      order.push(kind);
      await here().volumes[0].deleteSnapshot(id);
      return true;
    };
  };
  let here: World;
  const oldest = () => here.volumes[0].snapshots[0]?.id;
  here = await world({
    purgeOne: ask('purge', oldest, () => here),
    dropOldest: ask('drop', oldest, () => here),
  });
  here.policy.begin(here.parts);
  for (let round = 1; round <= 3; round += 1) {
    await here.volumes[0].createSnapshot({});
    await fill(here, 0, round);
  }
  expect(order).toEqual(['purge', 'drop']);
  expect(here.told().filter((type) => type === 'full')).toEqual(['full']);
  expect((await here.save.verify({ data: true })).problems).toEqual([]);
});

test('fail-writes drops nothing, says so once, and again only when it is full anew (F4)', async () => {
  let asked = 0;
  const here = await world({
    settings: () => ({ fullPolicy: 'fail-writes', maximumBytes: SAVE_BYTES, highWaterPercent: 1 }),
    dropOldest: async () => {
      asked += 1;
      return false;
    },
  });
  here.policy.begin(here.parts);
  const [volume] = here.volumes;
  const first = await volume.createSnapshot({});
  const written = await fill(here);
  expect(written).toBeLessThan(BLOCKS);
  await fill(here, written);
  for (const work of [...here.timers]) work(); // it is still full
  await fill(here, written);
  expect(asked).toBe(0);
  expect(here.told()).toEqual(['high-water', 'full']);
  expect(here.log.join()).toContain('pal space');
  // Space comes back, which a sample sees; then it is used up again.
  await volume.deleteSnapshot(first.id);
  for (const work of [...here.timers]) work();
  await volume.createSnapshot({});
  await fill(here, 0, 2);
  expect(here.told()).toEqual(['high-water', 'full', 'full']);
});

test('F3: a failure while space is taken back refuses the write, no more', async () => {
  const here = await world({
    purgeOne: () => Promise.reject(new StorageError('ERR_IO', 'the image is missing')),
  });
  here.policy.begin(here.parts);
  const snapshot = await here.volumes[0].createSnapshot({});
  await fill(here); // expects ERR_NO_SPACE
  expect(here.log.join()).toContain('the image is missing');
  await here.volumes[0].deleteSnapshot(snapshot.id);
  expect(await fill(here)).toBe(BLOCKS);
});

test('nothing is given back or told before it begins and after it ends', async () => {
  let asked = 0;
  const here = await world({
    purgeOne: async () => {
      asked += 1;
      return false;
    },
  });
  await here.volumes[0].createSnapshot({});
  await fill(here);
  expect(asked).toBe(0);
  here.policy.begin(here.parts);
  expect(here.told()).toEqual(['high-water']); // passed already: told at once
  await fill(here, BLOCKS - 1);
  const before = asked;
  expect(before).toBeGreaterThan(0);
  await here.policy.end();
  await fill(here, BLOCKS - 1);
  expect(asked).toBe(before);
  expect(here.timers).toEqual([]);
});

test('the store grows to its cap first, and each growth is told', async () => {
  let maximumBytes = SAVE_BYTES;
  const here = await world({
    settings: () => ({ fullPolicy: 'fail-writes', maximumBytes, highWaterPercent: 90 }),
  });
  here.policy.begin(here.parts);
  await here.volumes[0].createSnapshot({});
  const written = await fill(here);
  maximumBytes += 32 * 1024;
  here.policy.configured();
  expect(await fill(here, written)).toBeGreaterThan(20);
  expect(here.told().filter((type) => type === 'grown').length).toBeGreaterThan(0);
  expect(here.save.space().totalBytes).toBeLessThanOrEqual(maximumBytes);
});

test('work that was refused is done again as long as space comes back', async () => {
  let tries = 0;
  let gives = 2;
  const here = await world({
    purgeOne: async () => {
      gives -= 1;
      return gives >= 0;
    },
  });
  here.policy.begin(here.parts);
  const refuse = async () => {
    tries += 1;
    throw new StorageError('ERR_NO_SPACE', 'full');
  };
  await expect(withRelief(here.save, refuse)).rejects.toMatchObject({ code: 'ERR_NO_SPACE' });
  expect(tries).toBe(3);
  const other = () => Promise.reject(new StorageError('ERR_EXISTS', 'no'));
  await expect(withRelief(here.save, other)).rejects.toMatchObject({ code: 'ERR_EXISTS' });
});

test('FC1, FC2: as few go as give something back, of the space that it comes from', async () => {
  const { save, volumes } = await world();
  const [one, two] = volumes;
  const write = async (volume: typeof one, block: number, value: number) => {
    await volume.device.write(new Uint8Array(BLOCK).fill(value), block * BLOCK);
    await volume.device.flush();
  };
  const other = await two.createSnapshot({}); // the oldest of all, and nothing was ever saved for it
  const a = await one.createSnapshot({});
  const b = await one.createSnapshot({}); // shares all with `a`
  await write(one, 3, 1);
  await write(one, 4, 1);
  const c = await one.createSnapshot({});
  await write(one, 3, 2);
  const candidates = [
    { id: other.id, space: two.id },
    ...[a, b, c].map(({ id }) => ({ id, space: one.id })),
  ];
  const { snapshots, bytes } = await chooseDrops(save, candidates);
  expect(snapshots.map(({ id }) => id)).toEqual([a.id, b.id]);
  expect(bytes).toBe(2 * BLOCK);
  // Without `a`, which is held say: `b` alone gives nothing, as `a` would need its blocks; `c` does.
  const held = await chooseDrops(save, candidates.slice(2));
  expect(held.snapshots.map(({ id }) => id)).toEqual([b.id, c.id]);
  expect(held.bytes).toBe(BLOCK);
  expect(await chooseDrops(save, candidates.slice(0, 2))).toEqual({ snapshots: [], bytes: 0 });
});

test('F2: a restore that there is no space for is refused, though its lock is what a drop needs', async () => {
  let here: World;
  let restoring = false;
  here = await world({
    settings: () => ({
      fullPolicy: restoring ? 'drop-oldest' : 'fail-writes',
      maximumBytes: SAVE_BYTES,
      highWaterPercent: 90,
    }),
    dropOldest: async () => {
      const [oldest] = here.volumes[0].snapshots;
      if (oldest === undefined) return false;
      await here.volumes[0].deleteSnapshot(oldest.id); // waits for the volume to itself
      return true;
    },
  });
  here.policy.begin(here.parts);
  const [volume] = here.volumes;
  const source = await volume.createSnapshot({});
  await fill(here);
  restoring = true;
  await expect(volume.startRestore(source.id, { undo: {} })).rejects.toMatchObject({
    code: 'ERR_NO_SPACE',
  });
  expect(volume.snapshots.map(({ id }) => id)).toEqual([source.id]);
});
