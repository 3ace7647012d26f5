/**
 * Goal: production is restored by name, at once, from a snapshot or a branch; the state before is kept
 * and comes back by cancel or undo; a pause, a restart and a release in mid-restore lose nothing (I7).
 * Method: a store on a machine of memory; each block says which state it is of.
 */
import { expect, test } from 'vitest';
import { openStore, type Store } from '../src/index.js';
import type { MemoryMachine } from '../src/testing/memory-machine.js';
import {
  BLOCK,
  createMachineWithStore,
  readBlock,
  refusal,
  SIZE,
  withDevice,
  writeBlock,
} from './fixture.js';

const BLOCKS = SIZE / BLOCK;

async function fill(store: Store, reference: string, byte: number): Promise<void> {
  await withDevice(store, reference, async (device) => {
    for (let block = 0; block < BLOCKS; block += 1) await writeBlock(device, block, byte + block);
    await device.flush();
  });
}

/** The state that every block is of; fails on a mixture. */
async function stateOf(store: Store, reference: string): Promise<number> {
  return withDevice(store, reference, async (device) => {
    const first = await readBlock(device, 0);
    for (let block = 1; block < BLOCKS; block += 1) {
      expect(await readBlock(device, block)).toBe(first + block);
    }
    return first;
  });
}

/** prod: state 10 in snapshot a, 30 in b, 50 now; branch dev of a: state 70. */
async function started(): Promise<{ machine: MemoryMachine; store: Store }> {
  const { machine, store } = await createMachineWithStore();
  await store.createVolume({ name: 'prod', size: SIZE });
  await fill(store, 'prod', 10);
  await store.createSnapshot({ volume: 'prod', name: 'a' });
  await fill(store, 'prod', 30);
  await store.createSnapshot({ volume: 'prod', name: 'b' });
  await fill(store, 'prod', 50);
  await store.createBranch({ name: 'dev', from: 'prod@a' });
  await fill(store, 'prod/dev', 70);
  return { machine, store };
}

async function copiedBack(store: Store): Promise<void> {
  for (const { id, kind } of store.jobs()) if (kind === 'restore') await store.waitForJob(id);
  expect(store.restores()).toEqual([]);
}

test('from a snapshot: at once, everything else stays, and undo goes there and back', async () => {
  const { machine, store } = await started();
  const info = await store.restore({ target: 'prod', from: 'prod@a' });
  expect(info).toMatchObject({ target: 'prod', from: 'prod@a', totalBytes: SIZE });
  expect(info.undo).toMatch(/^prod@prod-before-/);
  expect(await stateOf(store, 'prod')).toBe(10);
  expect(await stateOf(store, 'prod@b')).toBe(30);
  expect(await stateOf(store, info.undo as string)).toBe(50);
  await copiedBack(store);
  expect((await machine.bytes('/store/volumes/prod.img'))[BLOCK]).toBe(11);
  await store.undo();
  expect(await stateOf(store, 'prod')).toBe(50);
  await copiedBack(store);
  await store.undo();
  expect(await stateOf(store, 'prod')).toBe(10);
  await copiedBack(store);
  expect((await store.verify({ data: true })).problems).toEqual([]);
  await store.close();
});

test('from a branch, which is taken as it is now, and goes on by itself', async () => {
  const { store } = await started();
  const info = await store.restore({ target: 'prod', from: 'prod/dev' });
  expect(info.from).toMatch(/^prod\/dev@2026/);
  expect(await stateOf(store, 'prod')).toBe(70);
  await fill(store, 'prod/dev', 90);
  await copiedBack(store);
  expect(await stateOf(store, 'prod')).toBe(70);
  expect(await stateOf(store, 'prod@a')).toBe(10);
  await store.close();
});

test('a flatten of what it reads through waits until it has ended', async () => {
  const { machine, store: first } = await started();
  await first.close();
  let goOn: () => void = () => undefined;
  const slow = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const store = await openStore('/store', { ...machine.process(), sleep: () => slow });
  // It waits before it lets the base go.
  const { id } = await store.flattenBranch('prod/dev', { bytesPerSecond: 4096 });
  await store.restore({ target: 'prod', from: 'prod/dev', bytesPerSecond: 4096 });
  await store.pauseRestore('prod');
  goOn();
  await expect(store.waitForJob(id)).rejects.toThrow(
    /a restore from snapshot \d+ reads through it/,
  );
  expect(store.jobs().find((job) => job.id === id)?.state).toBe('paused');
  const refused = await refusal(() => store.flattenBranch('prod/dev'));
  expect(refused.code).toBe('ERR_BUSY');
  expect(refused.message).toContain('pal restore status');
  await withDevice(store, 'prod', (device) => writeBlock(device, 3, 5));
  await store.resumeRestore('prod', {});
  await copiedBack(store);
  expect(await store.waitForJob(id)).toMatchObject({ kind: 'flatten', state: 'done' });
  expect(store.listBranches()[0]?.base).toBe('');
  expect(await stateOf(store, 'prod/dev')).toBe(70);
  expect(await withDevice(store, 'prod', (device) => readBlock(device, 3))).toBe(5);
  await store.close();
});

test('paused, it survives a restart, is cancelled, and what was written since is kept', async () => {
  const { machine, store } = await started();
  await store.restore({ target: 'prod', from: 'prod/dev', bytesPerSecond: 4096 });
  const paused = await store.pauseRestore('prod');
  expect(paused.state).toBe('paused');
  await withDevice(store, 'prod', (device) => writeBlock(device, 3, 5));
  await store.close();
  const again = await openStore('/store', machine.process());
  expect(again.restores()).toMatchObject([{ target: 'prod', state: 'paused' }]);
  expect(again.listVolumes()[0]?.restoring).toMatch(/^prod\/dev@/);
  expect(await withDevice(again, 'prod', (device) => readBlock(device, 3))).toBe(5);
  await again.createSnapshot({ volume: 'prod', name: 'midway' });
  const cancelled = await again.cancelRestore('prod');
  expect(await stateOf(again, 'prod')).toBe(50);
  await copiedBack(again);
  expect(await withDevice(again, cancelled.undo as string, (device) => readBlock(device, 3))).toBe(
    5,
  );
  expect(await withDevice(again, 'prod@midway', (device) => readBlock(device, 4))).toBe(74);
  expect((await refusal(() => again.cancelRestore('prod'))).code).toBe('ERR_NOT_FOUND');
  await again.close();
});

test('it goes on by itself after a restart', async () => {
  const { machine, store } = await started();
  await store.restore({ target: 'prod', from: 'prod@a' });
  await store.close();
  const again = await openStore('/store', machine.process());
  await copiedBack(again);
  expect(await stateOf(again, 'prod')).toBe(10);
  await again.close();
});

// Steps of two mebibytes were waited for as a whole: a slow copy-back that was cut off before the first
// had its turn, began to wait anew at every start, and never ended.
test('a slow one gets on however often the daemon is stopped', async () => {
  const { machine, store } = await started();
  await store.close();
  const never = (): Promise<void> => new Promise(() => {});
  const first = await openStore('/store', { ...machine.process(), sleep: never });
  await first.restore({ target: 'prod', from: 'prod@a', bytesPerSecond: BLOCK });
  await first.close();
  let starts = 0;
  for (let isDone = false; !isDone; starts += 1) {
    expect(starts).toBeLessThanOrEqual(BLOCKS);
    const livesUntil = machine.nowMs + 1500;
    const process = machine.process();
    const sleep = (ms: number): Promise<void> => {
      if (machine.nowMs + ms > livesUntil) return never();
      machine.nowMs += ms;
      return Promise.resolve();
    };
    const again = await openStore('/store', { ...process, sleep });
    for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    isDone = again.restores().length === 0;
    await again.close();
  }
  const last = await openStore('/store', machine.process());
  expect(await stateOf(last, 'prod')).toBe(10);
  await last.close();
});

test('refused while clients are there, unless their sessions are ended', async () => {
  const { machine, store } = await started();
  await store.close();
  const shares: { release(): Promise<void> }[] = [];
  const again = await openStore('/store', machine.process(), {
    endClients: async () => void (await Promise.all(shares.map((share) => share.release()))),
    clientsOf: () => ['unix#1'],
  });
  shares.push(await again.openExport('prod'));
  const reader = await again.openExport('prod@b');
  const refused = await refusal(() => again.restore({ target: 'prod', from: 'prod@a' }));
  expect(refused).toMatchObject({ code: 'ERR_IN_USE', message: expect.stringContaining('unix#1') });
  await again.restore({ target: 'prod', from: 'prod@a', force: true });
  expect(await stateOf(again, 'prod')).toBe(10);
  expect(await readBlock(reader.device, 0)).toBe(30); // read-only exports stay up
  await reader.release();
  expect((await refusal(() => again.deleteSnapshot('prod@a'))).code).toBe('ERR_IN_USE');
  await copiedBack(again);
  await again.close();
});

test('a plan to delete what clients have open refuses as the deletion would', async () => {
  const { machine, store } = await started();
  await store.close();
  const shares: { release(): Promise<void> }[] = [];
  await using again = await openStore('/store', machine.process(), {
    endClients: async () => void (await Promise.all(shares.map((share) => share.release()))),
  });
  shares.push(await again.openExport('prod@b'));
  for (const dryRun of [true, false]) {
    const { message } = await refusal(() => again.deleteSnapshot('prod@b', { dryRun }));
    expect(message).toContain('--force');
  }
  const plan = await again.deleteSnapshot('prod@b', { dryRun: true, force: true });
  expect(plan).toMatchObject({ removed: ['prod@b'], dryRun: true });
  expect((await refusal(() => again.deleteSnapshot('prod@b'))).code).toBe('ERR_IN_USE');
  await again.deleteSnapshot('prod@b', { force: true });
  expect(again.listSnapshots().map((each) => each.reference)).toEqual(['prod@a']);
});

test('a branch is restored in one commit; another volume is refused', async () => {
  const { store } = await started();
  await store.createSnapshot({ volume: 'prod/dev', name: 'good' });
  await fill(store, 'prod/dev', 90);
  const info = await store.restore({ target: 'prod/dev', from: 'prod/dev@good' });
  expect(info).toMatchObject({ state: 'done', from: 'prod/dev@good' });
  expect(await stateOf(store, 'prod/dev')).toBe(70);
  await store.undo();
  expect(await stateOf(store, 'prod/dev')).toBe(90);
  await store.createVolume({ name: 'db', size: SIZE });
  expect((await refusal(() => store.restore({ target: 'db', from: 'prod@a' }))).code).toBe(
    'ERR_INVALID',
  );
  expect((await refusal(() => store.pauseRestore('db'))).code).toBe('ERR_NOT_FOUND');
  await store.close();
});

test('an image that is released in mid-restore is the restored one, complete', async () => {
  const { machine, store } = await started();
  await store.restore({ target: 'prod', from: 'prod@a', bytesPerSecond: 4096 });
  await store.pauseRestore('prod');
  const { path } = await store.releaseVolume('prod', { dropSnapshots: true });
  const bytes = await machine.bytes(path as string);
  for (let block = 0; block < BLOCKS; block += 1) expect(bytes[block * BLOCK]).toBe(10 + block);
  expect((await store.verify()).problems).toEqual([]);
  await store.close();
});
