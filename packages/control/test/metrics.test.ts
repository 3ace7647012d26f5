/**
 * Goal: the metrics of a store add up: exactly what was done, each ratio worked out from it, and no
 * total that falls when what it counted is closed, deleted or released. Method: a known sequence.
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Store } from '../src/index.js';
import { BLOCK, createMachineWithStore, withDevice, writeBlock } from './fixture.js';

let store: Store;

beforeEach(async () => {
  ({ store } = await createMachineWithStore());
  await store.createVolume({ name: 'prod', size: 128 * BLOCK });
});
afterEach(() => store.close());

async function write(reference: string, blocks: number, fill: number): Promise<void> {
  await withDevice(store, reference, async (device) => {
    for (let block = 0; block < blocks; block += 1) await writeBlock(device, block, fill);
    await device.flush();
  });
}

test('nothing was done, so nothing has a ratio', () => {
  const { volumes, branches, totals, cost } = store.metrics();
  expect(volumes).toMatchObject([{ reference: 'prod', firstWrittenBlocks: 0 }]);
  expect(branches).toEqual([]);
  expect(totals.users.writtenBytes).toBe(0);
  expect(cost).toMatchObject({ writeAmplification: null, flushesPerFirstWrite: null });
});

test('a hundred first writes: what they took, in all and each', async () => {
  await write('prod', 100, 1);
  await store.createSnapshot({ volume: 'prod' });
  await write('prod', 100, 2);
  const { volumes, save, space, totals, cost } = store.metrics();
  expect(volumes).toMatchObject([{ copiedOutBlocks: 100, firstWrittenBlocks: 100 }]);
  expect(totals).toMatchObject({
    users: { writtenBytes: 200 * BLOCK, flushes: 2 },
    clones: { writtenBytes: 200 * BLOCK },
    firstWrittenBlocks: 100,
    copiedOutBlocks: 100,
  });
  expect(save).toMatchObject({ dataBytes: 100 * BLOCK, entries: 100 });
  const metadata = save.journalBytes + save.mapBytes;
  expect(cost.metadataPerEntry).toBe(metadata / 100);
  expect(cost.writeAmplification).toBeCloseTo((300 * BLOCK + metadata) / (200 * BLOCK), 10);
  expect(cost.firstWriteAmplification).toBeCloseTo((200 * BLOCK + metadata) / (100 * BLOCK), 10);
  expect(cost.spacePerFirstWrite).toBe(BLOCK + (space.mapBytes + space.journalBytes) / 100);
  expect(cost.flushesPerFirstWrite).toBe((save.flushes + totals.clones.flushes) / 100);
  expect(cost.flushesPerUserFlush).toBe((save.flushes + totals.clones.flushes) / 2);
  expect(volumes[0]?.cost.writeAmplification).toBe(cost.writeAmplification);
});

test('rewrites take what they write', async () => {
  await write('prod', 10, 1);
  await write('prod', 10, 2);
  expect(store.metrics().volumes[0]?.cost).toMatchObject({
    writeAmplification: 1,
    firstWriteAmplification: null,
  });
});

test('a branch is told of, open or closed, and stays counted when it is deleted', async () => {
  await store.createSnapshot({ volume: 'prod', name: 'base' });
  await store.createBranch({ name: 'dev', from: 'prod@base' });
  expect(store.metrics().branches).toEqual([]);
  await write('prod/dev', 20, 1);
  await withDevice(store, 'prod/dev', async (device) => {
    await writeBlock(device, 50, 1);
    expect(store.metrics().branches).toMatchObject([
      { reference: 'prod/dev', users: { writtenBytes: 21 * BLOCK }, storedBlocks: 20 },
    ]);
  });
  const { branches, totals } = store.metrics();
  expect(branches).toMatchObject([{ reference: 'prod/dev', storedBlocks: 21 }]);
  expect(branches[0]?.cost.firstWriteAmplification).toBeGreaterThan(1);
  expect(totals).toMatchObject({ users: { writtenBytes: 21 * BLOCK }, storedBlocks: 21 });
  await store.deleteBranch('prod/dev', { now: true });
  expect(store.metrics().branches).toEqual([]);
  expect(store.metrics().totals).toEqual(totals);
});

test('a volume that is released stays counted', async () => {
  await store.createVolume({ name: 'other', size: 16 * BLOCK });
  await write('other', 5, 1);
  await store.createSnapshot({ volume: 'other' });
  await write('other', 4, 2);
  const { totals } = store.metrics();
  expect(totals).toMatchObject({ users: { writtenBytes: 9 * BLOCK }, copiedOutBlocks: 4 });
  await store.releaseVolume('other', { dropSnapshots: true });
  const after = store.metrics();
  expect(after.volumes.map(({ reference }) => reference)).toEqual(['prod']);
  expect(after.totals).toMatchObject({ users: { writtenBytes: 9 * BLOCK }, copiedOutBlocks: 4 });
});
