/**
 * Goal: the verbs beyond making and deleting do what they say, by name, and survive a restart: branch
 * snapshots, refresh, undo, hiding, grace, expiry, holds, groups, labels, quotas, size, flatten.
 * Method: a store on a machine of memory, whose clock is the test's.
 */
import { expect, test } from 'vitest';
import { openStore, type Store } from '../src/index.js';
import type { MemoryMachine } from '../src/testing/memory-machine.js';
import {
  createMachineWithStore,
  readBlock,
  refusal,
  SIZE,
  withDevice,
  writeBlock,
} from './fixture.js';

const DAY = 86_400_000;

async function write(store: Store, reference: string, fill: number, block = 0): Promise<void> {
  await withDevice(store, reference, (device) => writeBlock(device, block, fill));
}

const read = (store: Store, reference: string, block = 0): Promise<number> =>
  withDevice(store, reference, (device) => readBlock(device, block));

async function started(): Promise<{ machine: MemoryMachine; store: Store }> {
  const { machine, store } = await createMachineWithStore();
  await store.createVolume({ name: 'prod', size: SIZE });
  await write(store, 'prod', 1);
  await store.createSnapshot({ volume: 'prod', name: 'one' });
  await write(store, 'prod', 2);
  await store.createBranch({ name: 'dev', from: 'prod@one' });
  return { machine, store };
}

async function reopened(machine: MemoryMachine, store: Store): Promise<Store> {
  await store.close();
  return openStore('/store', machine.process());
}

/** Time goes by, and what happens then. */
async function later(machine: MemoryMachine, ms: number): Promise<void> {
  machine.nowMs += ms;
  for (let turn = 0; turn < 20; turn += 1) await machine.tick();
}

test('snapshots of branches, and branches of them', async () => {
  const { machine, store } = await started();
  await write(store, 'prod/dev', 7);
  expect((await store.createSnapshot({ volume: 'prod/dev', name: 'a' })).reference).toBe(
    'prod/dev@a',
  );
  await write(store, 'prod/dev', 8);
  await store.createBranch({ name: 'deep', from: 'prod/dev@latest' });
  const implicit = await store.createBranch({ name: 'now', from: 'prod/dev' });
  expect(implicit.base).toMatch(/^prod\/dev@2026/);
  await using again = await reopened(machine, store);
  expect(await read(again, 'prod/dev@a')).toBe(7);
  expect(await read(again, 'prod/deep')).toBe(7);
  expect(await read(again, 'prod/now')).toBe(8);
  expect(again.listBranches().map(({ name, depth }) => [name, depth])).toEqual([
    ['dev', 1],
    ['deep', 2],
    ['now', 2],
  ]);
  expect(again.listSnapshots('prod/dev').map(({ name }) => name)[0]).toBe('a');
  expect((await refusal(() => again.deleteBranch('prod/dev'))).message).toContain('--recursive');
});

test('several branches at once, on any snapshot of the series, each apart', async () => {
  const { machine, store } = await started();
  await store.createSnapshot({ volume: 'prod', name: 'two' });
  await write(store, 'prod', 3);
  await store.createBranch({ name: 'a', from: 'prod@two' });
  await store.createBranch({ name: 'b', from: 'prod@two' });
  await store.createBranch({ name: 'c', from: 'prod@one' }); // beside dev
  for (const [index, name] of ['a', 'b', 'c'].entries()) {
    await write(store, `prod/${name}`, 100 + index, 1);
  }
  await write(store, 'prod/a', 9);
  await using again = await reopened(machine, store);
  const seen = async (reference: string) => [
    await read(again, reference),
    await read(again, reference, 1),
  ];
  expect(await seen('prod/a')).toEqual([9, 100]);
  expect(await seen('prod/b')).toEqual([2, 101]);
  expect(await seen('prod/c')).toEqual([1, 102]);
  expect(await seen('prod/dev')).toEqual([1, 0]);
  expect(await seen('prod@one')).toEqual([1, 0]);
  expect(await seen('prod@two')).toEqual([2, 0]);
  expect(await seen('prod')).toEqual([3, 0]);
});

test('a refreshed branch keeps what it was, and undo brings it back, again and again', async () => {
  const { machine, store } = await started();
  await write(store, 'prod/dev', 7);
  const taken = await store.createSnapshot({ volume: 'prod' });
  const { kept } = await store.refreshBranch({ branch: 'prod/dev', from: taken.reference });
  expect(kept).toMatch(/^prod\/dev@dev-before-/);
  expect(await read(store, 'prod/dev')).toBe(2);
  expect(await read(store, kept as string)).toBe(7);
  const operation = await store.undo();
  expect(operation).toMatchObject({ kind: 'refresh', target: 'prod/dev', undo: 'possible' });
  await using again = await reopened(machine, store);
  expect(await read(again, 'prod/dev')).toBe(7);
  await again.undo();
  expect(await read(again, 'prod/dev')).toBe(2);
  const opened = await again.openExport('prod/dev');
  const refused = await refusal(() =>
    again.refreshBranch({ branch: 'prod/dev', from: 'prod@one' }),
  );
  expect(refused).toMatchObject({
    code: 'ERR_IN_USE',
    message: expect.stringContaining('--force'),
  });
  await opened.release();
  await again.refreshBranch({ branch: 'prod/dev', from: 'prod@one', keep: false });
  expect(await read(again, 'prod/dev')).toBe(1);
});

test('force ends the clients of what is swapped, and they find it by its name again', async () => {
  const { machine, store } = await started();
  await store.close();
  const shares: { release(): Promise<void> }[] = [];
  const ended: string[] = [];
  await using again = await openStore('/store', machine.process(), {
    endClients: async (reference) => {
      ended.push(reference);
      await Promise.all(shares.map((share) => share.release()));
    },
  });
  await write(again, 'prod/dev', 7);
  shares.push(await again.openExport('prod/dev'));
  await again.refreshBranch({ branch: 'prod/dev', from: 'prod@one', force: true });
  expect(ended).toEqual(['prod/dev']);
  expect(await read(again, 'prod/dev')).toBe(1);
});

test('a snapshot is taken again under its name', async () => {
  const { store } = await started();
  const before = store.listSnapshots('prod')[0];
  const { snapshot, kept } = await store.refreshSnapshot('prod@one');
  expect(snapshot.reference).toBe('prod@one');
  expect(await read(store, 'prod@one')).toBe(2);
  expect(await read(store, kept as string)).toBe(1);
  expect(await read(store, 'prod/dev')).toBe(1);
  expect(before?.branches).toEqual(['prod/dev']);
  await store.undo();
  expect(await read(store, 'prod@one')).toBe(1);
  await store.close();
});

test('what was deleted comes back by undo until its grace ends', async () => {
  const { machine, store } = await started();
  await write(store, 'prod/dev', 7);
  const { recoverableUntil } = await store.deleteBranch('prod/dev', { by: 'alice@test' });
  expect(Date.parse(recoverableUntil as string)).toBe(machine.nowMs + DAY);
  expect(store.listBranches()).toEqual([]);
  await store.createBranch({ name: 'dev', from: 'prod@one' }); // the name is free
  const again = await reopened(machine, store);
  expect(again.log()[1]).toMatchObject({ kind: 'delete', by: 'alice@test', undo: 'possible' });
  const back = await again.undo();
  expect(back.detail).toMatch(/now called dev-2026/);
  const names = again.listBranches().map(({ name }) => name);
  expect(names).toHaveLength(2);
  expect(await read(again, `prod/${names.find((name) => name !== 'dev')}`)).toBe(7);
  await again.deleteBranch('prod/dev');
  await later(machine, DAY + 1);
  expect((await refusal(() => again.undo())).code).toBe('ERR_NOT_FOUND');
  expect(again.log().find(({ kind }) => kind === 'delete')?.undo).toBe('gone');
  await again.close();
});

test('without grace what is deleted is gone when the call returns', async () => {
  const { store } = await started();
  await write(store, 'prod/dev', 7);
  await store.commit();
  const used = store.status().space.usedBytes;
  expect(await store.deleteBranch('prod/dev', { now: true })).toEqual({
    removed: ['prod/dev'],
    dryRun: false,
  });
  expect(store.status().space.usedBytes).toBeLessThan(used);
  await store.configure({ graceMs: 0 });
  expect(await store.deleteSnapshot('prod@one')).toEqual({ removed: ['prod@one'], dryRun: false });
  expect((await refusal(() => store.configure({ graceMs: -1 }))).code).toBe('ERR_INVALID');
  await store.close();
});

test('a base that is deleted is hidden until its last branch goes', async () => {
  const { machine, store } = await started();
  await store.configure({ graceMs: 0 });
  expect((await refusal(() => store.deleteSnapshot('prod@one'))).message).toContain('--hide');
  const removal = await store.deleteSnapshot('prod@one', { hide: true });
  expect(removal.hiddenBehind).toEqual(['prod/dev']);
  expect(store.listSnapshots()).toEqual([]);
  expect(store.listBranches()[0]?.base).toBe('prod@one (deleted)');
  const again = await reopened(machine, store);
  expect(await read(again, 'prod/dev')).toBe(1);
  await again.deleteBranch('prod/dev');
  await later(machine, 1);
  await again.commit();
  // The volume is all that is left.
  expect(await again.deleteVolume('prod')).toMatchObject({ removed: ['prod'] });
  expect(again.listVolumes()).toEqual([]);
  expect([...machine.files.keys()]).toEqual(['/store/save.pal']);
  await again.close();
});

test('a volume with snapshots is refused, or hidden until the last of them goes', async () => {
  const { machine, store } = await started();
  await store.configure({ graceMs: 0 });
  expect((await refusal(() => store.deleteVolume('prod'))).message).toContain('prod/dev, prod@one');
  await store.deleteVolume('prod', { hide: true });
  expect(store.exports().map(({ name }) => name)).toEqual(['prod@one', 'prod/dev']);
  expect((await refusal(() => store.openExport('prod'))).message).toContain('pal undo');
  expect(await read(store, 'prod@one')).toBe(1);
  await store.deleteBranch('prod/dev');
  await store.deleteSnapshot('prod@one');
  await later(machine, 1);
  expect(store.listVolumes()).toEqual([]);
  await store.close();
});

test('a hold keeps a snapshot, and says whose it is', async () => {
  const { store } = await started();
  await store.deleteBranch('prod/dev', { now: true });
  await store.hold('prod@one', 'audit', { reason: 'case 7', by: 'bob@test' });
  const { code, message } = await refusal(() => store.deleteSnapshot('prod@one'));
  expect(code).toBe('ERR_IN_USE');
  expect(message).toMatch(
    /"audit" of bob@test since 2026.*case 7.*pal snapshot unhold prod@one audit/,
  );
  expect((await refusal(() => store.refreshSnapshot('prod@one'))).code).toBe('ERR_IN_USE');
  expect((await refusal(() => store.unhold('prod@one', 'other'))).message).toContain('audit');
  await store.unhold('prod@one', 'audit');
  await store.deleteSnapshot('prod@one');
  await store.close();
});

test('snapshots expire, but not while they are held or needed', async () => {
  const { machine, store } = await started();
  const heard: string[] = [];
  store.subscribe(({ type, reference }) => heard.push(`${type} ${reference}`));
  await store.createSnapshot({ volume: 'prod', name: 'short', expiresInMs: 60_000 });
  await store.createSnapshot({ volume: 'prod', name: 'held', expiresInMs: 60_000, hold: 'keep' });
  await store.edit('prod@one', { expiresAt: new Date(machine.nowMs + 60_000).toISOString() });
  await later(machine, 59_999);
  expect(store.listSnapshots().map(({ name }) => name)).toEqual(['one', 'short', 'held']);
  await later(machine, 1);
  expect(store.listSnapshots().map(({ name }) => name)).toEqual(['one', 'held']);
  expect(heard).toEqual(['expired short']);
  await store.unhold('prod@held', 'keep');
  await store.deleteBranch('prod/dev', { now: true });
  await later(machine, 1);
  expect(store.listSnapshots()).toEqual([]);
  await store.close();
});

test('a group of volumes and branches is taken as of one instant under one name', async () => {
  const { store } = await started();
  await store.createVolume({ name: 'db', size: SIZE });
  const infos = await store.createGroupSnapshot({
    targets: ['prod', 'db', 'prod/dev'],
    name: 'all',
  });
  expect(infos.map(({ reference }) => reference)).toEqual(['prod@all', 'db@all', 'prod/dev@all']);
  const again = () => store.createGroupSnapshot({ targets: ['db', 'prod'], name: 'all' });
  expect((await refusal(again)).code).toBe('ERR_EXISTS');
  await store.close();
});

test('names, messages and labels change, and references follow', async () => {
  const { machine, store } = await started();
  expect(await store.edit('prod@one', { name: 'first', message: 'm', labels: { a: 'b' } })).toBe(
    'prod@first',
  );
  expect(await store.edit('prod/dev', { name: 'qa' })).toBe('prod/qa');
  expect(await store.edit('prod', { name: 'main' })).toBe('main');
  await using again = await reopened(machine, store);
  expect(again.listSnapshots()[0]).toMatchObject({
    reference: 'main@first',
    message: 'm',
    labels: { a: 'b' },
    branches: ['main/qa'],
  });
  await again.createSnapshot({ volume: 'main', name: 'x' });
  expect((await refusal(() => again.edit('main@x', { name: 'first' }))).code).toBe('ERR_EXISTS');
});

test('a quota, more size, and independence', async () => {
  const { machine, store } = await started();
  expect((await store.setQuota('prod/dev', 4096)).quotaBytes).toBe(4096);
  await write(store, 'prod/dev', 7);
  await withDevice(store, 'prod/dev', (device) => device.flush() ?? Promise.resolve());
  expect((await refusal(() => write(store, 'prod/dev', 8, 1))).code).toBe('ERR_NO_SPACE');
  await store.setQuota('prod/dev', null);
  await write(store, 'prod/dev', 8, 1);
  expect((await store.resize('prod/dev', 2 * SIZE)).size).toBe(2 * SIZE);
  expect((await store.resize('prod', 2 * SIZE)).size).toBe(2 * SIZE);
  expect((await refusal(() => store.resize('prod', SIZE))).code).toBe('ERR_INVALID');
  expect(store.listSnapshots()[0]?.size).toBe(SIZE);
  const job = await store.flattenBranch('prod/dev');
  expect(await store.waitForJob(job.id)).toMatchObject({ kind: 'flatten', state: 'done' });
  expect(store.listBranches()[0]?.base).toBe('');
  await store.deleteSnapshot('prod@one', { now: true });
  await using again = await reopened(machine, store);
  expect(await read(again, 'prod/dev')).toBe(7);
  expect(await read(again, 'prod/dev', 1)).toBe(8);
  expect((await again.verify({ data: true })).problems).toEqual([]);
});
