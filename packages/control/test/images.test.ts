/**
 * Images: adopting, releasing, and images that go missing, shrink or belong to others.
 */
import { expect, test } from 'vitest';
import { createStore, openStore } from '../src/index.js';
import {
  BLOCK,
  createMachineWithStore,
  readBlock,
  refusal,
  SAVE_SIZE,
  SIZE,
  withDevice,
  writeBlock,
} from './fixture.js';

test('an adopted image keeps every byte, and comes back plain and complete', async () => {
  const { machine, store } = await createMachineWithStore();
  machine.put('/images/disk.img', SIZE, 11);
  const before = await machine.bytes('/images/disk.img');
  const info = await store.adoptVolume({ name: 'prod', path: '/images/disk.img' });
  expect(info).toMatchObject({ path: '/images/disk.img', origin: 'adopted', size: SIZE });
  expect(await machine.bytes('/images/disk.img')).toEqual(before);

  await store.createSnapshot({ volume: 'prod', name: 's' });
  await store.createBranch({ name: 'dev', from: 'prod@s' });
  await withDevice(store, 'prod', (device) => writeBlock(device, 5, 13));
  await withDevice(store, 'prod/dev', (device) => writeBlock(device, 6, 17));

  expect(await refusal(() => store.releaseVolume('prod'))).toMatchObject({
    code: 'ERR_IN_USE',
    message: expect.stringContaining('2 dependants: prod/dev, prod@s'),
  });
  const plan = { removed: ['prod/dev', 'prod@s', 'prod'], path: '/images/disk.img' };
  expect(await store.releaseVolume('prod', { dropSnapshots: true, dryRun: true })).toEqual({
    ...plan,
    dryRun: true,
  });
  expect(store.exports()).toHaveLength(3);
  const phases: string[] = [];
  const removal = await store.releaseVolume('prod', {
    dropSnapshots: true,
    onProgress: ({ phase }) => phases.push(phase),
  });
  expect(removal).toEqual({ ...plan, dryRun: false });
  expect(new Set(phases)).toEqual(
    new Set(['dropping branches and snapshots', 'completing the image']),
  );

  const expected = before.slice();
  expected.fill(13, 5 * BLOCK, 6 * BLOCK);
  expect(await machine.bytes('/images/disk.img')).toEqual(expected);
  expect(store.exports()).toEqual([]);
  // It is free: it can be adopted again, here or elsewhere.
  await store.adoptVolume({ name: 'again', path: '/images/disk.img' });
  await store.close();
  expect(machine.locks.size).toBe(0);
});

test('a volume with clients is not released', async () => {
  const { store } = await createMachineWithStore();
  await store.createVolume({ name: 'prod', size: SIZE });
  const opened = await store.openExport('prod');
  expect((await refusal(() => store.releaseVolume('prod'))).code).toBe('ERR_IN_USE');
  await opened.release();
  const { path } = await store.releaseVolume('prod');
  expect(path).toBe('/store/volumes/prod.img');
  // The image stays; making another volume of that name would overwrite it.
  expect(await refusal(() => store.createVolume({ name: 'prod', size: SIZE }))).toMatchObject({
    code: 'ERR_EXISTS',
    message: expect.stringContaining('pal volume adopt /store/volumes/prod.img --name prod'),
  });
  const adopted = await store.adoptVolume({ name: 'prod', path: '/store/volumes/prod.img' });
  expect(adopted.state).toBe('available');
  await store.close();
});

test('an image inside the store moves with it; one outside is found where it was', async () => {
  const { machine, store } = await createMachineWithStore();
  await store.createVolume({ name: 'inside', size: SIZE });
  machine.put('/images/disk.img', SIZE, 3);
  await store.adoptVolume({ name: 'outside', path: '/images/disk.img' });
  await store.close();
  for (const [path, file] of [...machine.files]) {
    if (!path.startsWith('/store/')) continue;
    machine.files.delete(path);
    machine.files.set(path.replace('/store/', '/moved/'), file);
  }
  await using moved = await openStore('/moved', machine.process());
  expect(moved.listVolumes().map((each) => [each.path, each.state])).toEqual([
    ['/moved/volumes/inside.img', 'available'],
    ['/images/disk.img', 'available'],
  ]);
});

test('one file is one volume, however it is named', async () => {
  const { machine, store } = await createMachineWithStore();
  machine.put('/images/disk.img', SIZE, 3);
  const original = machine.files.get('/images/disk.img');
  if (original !== undefined) machine.files.set('/images/hard-link.img', original);
  await store.adoptVolume({ name: 'one', path: '/images/disk.img' });
  for (const path of ['/images/disk.img', '/images/hard-link.img']) {
    expect(await refusal(() => store.adoptVolume({ name: 'two', path }))).toMatchObject({
      code: 'ERR_EXISTS',
      message: expect.stringContaining('image of volume one already'),
    });
  }
  await store.close();
});

test('what belongs to another store, or is a save volume, is not adopted', async () => {
  const { machine, store } = await createMachineWithStore();
  await createStore('/other', { saveSize: SAVE_SIZE }, machine.process());
  const other = await openStore('/other', machine.process());
  await other.createVolume({ name: 'theirs', size: SIZE });
  machine.put('/images/lent.img', SIZE, 3);
  await other.adoptVolume({ name: 'lent', path: '/images/lent.img' });
  const refused = async (path: string): Promise<string> =>
    (await refusal(() => store.adoptVolume({ name: 'x', path }))).code;
  expect(await refused('/store/save.pal')).toBe('ERR_IN_USE');
  expect(await refused('/other/save.pal')).toBe('ERR_IN_USE');
  expect(await refused('/other/volumes/theirs.img')).toBe('ERR_IN_USE');
  expect(await refused('/images/lent.img')).toBe('ERR_BUSY');
  expect(await refused('/images/none.img')).toBe('ERR_NOT_FOUND');
  await other.close();
  expect(await refused('/other/volumes/theirs.img')).toBe('ERR_IN_USE');
  await store.close();
});

test('a missing or shrunken image makes only its volume unavailable (C4)', async () => {
  const { machine, store } = await createMachineWithStore();
  machine.put('/images/gone.img', SIZE, 3);
  machine.put('/images/cut.img', SIZE, 5);
  await store.adoptVolume({ name: 'gone', path: '/images/gone.img' });
  await store.adoptVolume({ name: 'cut', path: '/images/cut.img' });
  await store.createVolume({ name: 'well', size: SIZE });
  await store.createSnapshot({ volume: 'gone', name: 's' });
  await store.createBranch({ name: 'dev', from: 'gone@s' });
  await store.close();
  const saved = machine.files.get('/images/gone.img');
  machine.files.delete('/images/gone.img');
  machine.put('/images/cut.img', SIZE - BLOCK, 5);

  const again = await openStore('/store', machine.process());
  expect(again.exports().map((each) => [each.name, each.state])).toEqual([
    ['cut', 'unavailable'],
    ['gone', 'unavailable'],
    ['gone@s', 'unavailable'],
    ['gone/dev', 'unavailable'],
    ['well', 'available'],
  ]);
  expect(again.listVolumes()[0]?.reason).toContain(`shrank from ${SIZE} to ${SIZE - BLOCK} bytes`);
  for (const reference of ['gone', 'gone@s', 'gone/dev', 'cut']) {
    expect(await refusal(() => again.openExport(reference))).toMatchObject({
      code: 'ERR_IO',
      message: expect.stringContaining('unavailable'),
    });
  }
  expect((await refusal(() => again.createSnapshot({ volume: 'gone' }))).code).toBe('ERR_IO');
  await withDevice(again, 'well', (device) => writeBlock(device, 0, 7));

  // Put back, it works at once, without a restart.
  if (saved !== undefined) machine.files.set('/images/gone.img', saved);
  expect(await withDevice(again, 'gone/dev', (device) => readBlock(device, 0))).toBe(3);
  expect(again.listVolumes().find((each) => each.name === 'gone')?.state).toBe('available');
  await again.close();
});

test('a volume whose image is gone can be given up', async () => {
  const { machine, store } = await createMachineWithStore();
  machine.put('/images/gone.img', SIZE, 3);
  await store.adoptVolume({ name: 'gone', path: '/images/gone.img' });
  await store.createSnapshot({ volume: 'gone', name: 's' });
  await store.createBranch({ name: 'dev', from: 'gone@s' });
  await store.close();
  machine.files.delete('/images/gone.img');
  const again = await openStore('/store', machine.process());
  expect((await refusal(() => again.releaseVolume('gone'))).code).toBe('ERR_IN_USE');
  await again.releaseVolume('gone', { dropSnapshots: true });
  expect(again.exports()).toEqual([]);
  await again.close();
});

test('an image held by another process is told apart, and served when it is free', async () => {
  const { machine, store } = await createMachineWithStore();
  machine.put('/images/disk.img', SIZE, 3);
  await store.adoptVolume({ name: 'prod', path: '/images/disk.img' });
  await store.close();
  const lock = await machine.process().files.lock('/images/disk.img');
  const again = await openStore('/store', machine.process());
  expect(again.listVolumes()[0]).toMatchObject({
    state: 'unavailable',
    reason: expect.stringContaining('held by process'),
  });
  await lock.release();
  expect(await withDevice(again, 'prod', (device) => readBlock(device, 0))).toBe(3);
  await again.close();
});
