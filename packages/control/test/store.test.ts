import { expect, test } from 'vitest';
import { createStore, openStore } from '../src/index.js';
import { createMemoryMachine } from '../src/testing/memory-machine.js';
import {
  BLOCK,
  createMachineWithStore,
  readBlock,
  refusal,
  SIZE,
  withDevice,
  writeBlock,
} from './fixture.js';

test('what is made is listed, served and there after a restart', async () => {
  const { machine, store } = await createMachineWithStore();
  await store.createVolume({ name: 'prod', size: SIZE });
  await withDevice(store, 'prod', (device) => writeBlock(device, 3, 31));
  await store.createSnapshot({ volume: 'prod', name: 'monday', message: 'first' });
  await withDevice(store, 'prod', (device) => writeBlock(device, 3, 37));
  await store.createBranch({ name: 'dev', from: 'prod@monday' });
  await withDevice(store, 'prod/dev', (device) => writeBlock(device, 4, 41));
  await store.close();

  await using again = await openStore('/store', machine.process());
  expect(again.exports().map((each) => [each.name, each.kind, each.readOnly, each.size])).toEqual([
    ['prod', 'volume', false, SIZE],
    ['prod@monday', 'snapshot', true, SIZE],
    ['prod/dev', 'branch', false, SIZE],
  ]);
  expect(again.listSnapshots()).toEqual([
    {
      reference: 'prod@monday',
      volume: 'prod',
      name: 'monday',
      message: 'first',
      createdAt: '2026-11-22T12:00:00.000Z',
      size: SIZE,
      consistency: 'crash-consistent',
      branches: ['prod/dev'],
      state: 'available',
    },
  ]);
  const seen = (reference: string): Promise<number[]> =>
    withDevice(again, reference, async (device) => [
      await readBlock(device, 3),
      await readBlock(device, 4),
    ]);
  expect(await seen('prod')).toEqual([37, 0]);
  expect(await seen('prod@monday')).toEqual([31, 0]);
  expect(await seen('prod/dev')).toEqual([31, 41]);
});

test('a store is made once, and opened by one at a time (C5)', async () => {
  const { machine, store } = await createMachineWithStore();
  expect(await refusal(() => createStore('/store', {}, machine.process()))).toMatchObject({
    code: 'ERR_EXISTS',
    message: expect.stringContaining('pal serve --store /store'),
  });
  expect(await refusal(() => openStore('/store', machine.process()))).toMatchObject({
    code: 'ERR_BUSY',
    message: expect.stringContaining('held by process 4242'),
  });
  await store.close();
  await (await openStore('/store', machine.process())).close();
  expect(machine.locks.size).toBe(0);
});

test('what is not a save volume is told apart from a damaged one, and neither is touched', async () => {
  const machine = createMemoryMachine();
  expect(await refusal(() => openStore('/none', machine.process()))).toMatchObject({
    code: 'ERR_NOT_FOUND',
    message: expect.stringContaining('pal init /none'),
  });
  machine.put('/zeros/save.pal', 1 << 20);
  machine.put('/noise/save.pal', 1 << 20, 173);
  machine.put('/empty/save.pal', 0);
  for (const directory of ['/zeros', '/noise', '/empty']) {
    const before = await machine.bytes(`${directory}/save.pal`);
    expect(await refusal(() => openStore(directory, machine.process()))).toMatchObject({
      code: expect.stringMatching(/^ERR_(FORMAT|CORRUPT)$/),
      message: expect.stringContaining(`${directory}/save.pal`),
    });
    expect(Buffer.compare(await machine.bytes(`${directory}/save.pal`), before)).toBe(0);
  }
  machine.put('/cut/save.pal', 10_000, 1);
  expect(await refusal(() => openStore('/cut', machine.process()))).toMatchObject({
    code: 'ERR_CORRUPT',
    message: expect.stringContaining('truncated'),
  });
  expect(machine.locks.size).toBe(0);
});

test('names are unique and valid, and a refusal changes nothing (C1, C3)', async () => {
  const { store } = await createMachineWithStore();
  await store.createVolume({ name: 'prod', size: SIZE });
  await store.createSnapshot({ volume: 'prod', name: 's' });
  await store.createBranch({ name: 'b', from: 'prod@s' });
  const before = JSON.stringify(store.exports());
  const refusals: readonly [() => unknown, string][] = [
    [() => store.createVolume({ name: 'prod', size: SIZE }), 'ERR_EXISTS'],
    [() => store.createSnapshot({ volume: 'prod', name: 's' }), 'ERR_EXISTS'],
    [() => store.createBranch({ name: 'b', from: 'prod@s' }), 'ERR_EXISTS'],
    [() => store.createVolume({ name: '../x', size: SIZE }), 'ERR_INVALID'],
    [() => store.createVolume({ name: 'latest', size: SIZE }), 'ERR_INVALID'],
    [() => store.createSnapshot({ volume: 'prod', name: 'a\tb' }), 'ERR_INVALID'],
    [() => store.createSnapshot({ volume: 'prod', message: 'a\u001b[2Jb' }), 'ERR_INVALID'],
    [() => store.createSnapshot({ volume: 'prod', message: 'x'.repeat(1001) }), 'ERR_INVALID'],
    [() => store.createSnapshot({ volume: 'nope' }), 'ERR_NOT_FOUND'],
    [() => store.createBranch({ name: '2h', from: 'prod@s' }), 'ERR_INVALID'],
    [() => store.createBranch({ name: 'other/c', from: 'prod@s' }), 'ERR_INVALID'],
    [() => store.createBranch({ name: 'b', from: 'prod' }), 'ERR_EXISTS'],
    [() => store.createBranch({ name: 'b', from: 'prod/b' }), 'ERR_EXISTS'],
    [() => store.createSnapshot({ volume: 'prod@s' }), 'ERR_INVALID'],
    [() => store.createBranch({ name: 'c', from: 'prod@nope' }), 'ERR_NOT_FOUND'],
    [() => store.deleteSnapshot('prod'), 'ERR_INVALID'],
    [() => store.deleteBranch('prod@s'), 'ERR_INVALID'],
    [() => store.deleteBranch('prod/nope'), 'ERR_NOT_FOUND'],
    [() => store.releaseVolume('nope'), 'ERR_NOT_FOUND'],
    [() => store.openExport('prod@nope'), 'ERR_NOT_FOUND'],
    [() => store.listSnapshots('nope'), 'ERR_NOT_FOUND'],
  ];
  for (const [work, code] of refusals) {
    expect({ work: String(work), code: (await refusal(work)).code }).toEqual({
      work: String(work),
      code,
    });
  }
  expect(JSON.stringify(store.exports())).toBe(before);
  await store.close();
});

test('sizes are whole blocks, and the message names the numbers and the fix', async () => {
  const { machine, store } = await createMachineWithStore();
  expect(await refusal(() => store.createVolume({ name: 'v', size: 5000 }))).toMatchObject({
    code: 'ERR_INVALID',
    message: '"v" has 5000 bytes, which is not a whole number of 4096-byte blocks; use 8192',
  });
  expect((await refusal(() => store.createVolume({ name: 'v', size: 0 }))).code).toBe(
    'ERR_INVALID',
  );
  machine.put('/images/odd.img', 5000, 1);
  expect(
    await refusal(() => store.adoptVolume({ name: 'v', path: '/images/odd.img' })),
  ).toMatchObject({
    code: 'ERR_INVALID',
    message: expect.stringContaining('truncate -s 8192 /images/odd.img'),
  });
  expect(store.listVolumes()).toEqual([]);
  await store.close();
  expect(machine.locks.size).toBe(0);
});

test('a full disk under a new volume leaves nothing behind', async () => {
  const { machine, store } = await createMachineWithStore();
  machine.full = true;
  expect((await refusal(() => store.createVolume({ name: 'v', size: SIZE }))).code).toBe(
    'ERR_NO_SPACE',
  );
  expect(machine.files.has('/store/volumes/v.img')).toBe(false);
  machine.full = false;
  await store.createVolume({ name: 'v', size: SIZE });
  await store.close();
});

test('snapshots are found by name, as the latest, and by age', async () => {
  const { machine, store } = await createMachineWithStore();
  await store.createVolume({ name: 'prod', size: SIZE });
  expect(await refusal(() => store.resolve('prod@latest'))).toMatchObject({
    code: 'ERR_NOT_FOUND',
    message: expect.stringContaining('pal snapshot create prod'),
  });
  for (const name of ['a', 'b', 'c']) {
    await store.createSnapshot({ volume: 'prod', name });
    machine.nowMs += 3_600_000;
  }
  // Now: a is 3 h old, b 2 h, c 1 h.
  expect(store.resolve('prod@latest')).toBe('prod@c');
  expect(store.resolve('prod@0s')).toBe('prod@c');
  expect(store.resolve('prod@2h')).toBe('prod@b');
  expect(store.resolve('prod@121m')).toBe('prod@a');
  expect((await refusal(() => store.resolve('prod@1d'))).code).toBe('ERR_NOT_FOUND');
  const named = await store.createSnapshot({ volume: 'prod' });
  expect(named.name).toBe('20261122-150000');
  expect((await store.createSnapshot({ volume: 'prod' })).name).toBe('20261122-150000-2');
  await store.close();
});

test('openers of one reference share one device; the last to leave closes it', async () => {
  const { store } = await createMachineWithStore();
  await store.createVolume({ name: 'prod', size: SIZE });
  await store.createSnapshot({ volume: 'prod', name: 's' });
  await store.createBranch({ name: 'dev', from: 'prod@s' });
  const first = await store.openExport('prod/dev');
  const second = await store.openExport('prod/dev');
  expect(second.device).toBe(first.device);
  expect(store.exports().find((each) => each.name === 'prod/dev')?.openers).toBe(2);
  await writeBlock(first.device, 0, 7);
  await first.release();
  await first.release(); // Given back once, however often it is said.
  expect(await readBlock(second.device, 0)).toBe(7);
  await second.release();
  expect(store.status().openExports).toBe(0);
  expect(await withDevice(store, 'prod/dev', (device) => readBlock(device, 0))).toBe(7);
  await store.close();
});

test('an opener that comes while the last one leaves gets a device that works', async () => {
  const { store } = await createMachineWithStore();
  await store.createVolume({ name: 'prod', size: SIZE });
  await store.createSnapshot({ volume: 'prod', name: 's' });
  await store.createBranch({ name: 'dev', from: 'prod@s' });
  let held = await store.openExport('prod/dev');
  for (let round = 0; round < 20; round += 1) {
    const leaving = held.release();
    const [next] = await Promise.all([store.openExport('prod/dev'), leaving]);
    await writeBlock(next.device, 1, round + 1);
    held = next;
  }
  expect(await readBlock(held.device, 1)).toBe(20);
  await held.release();
  await store.close();
});

test('deleting refuses while something depends on it or uses it, and lists what (C2)', async () => {
  const machine = createMemoryMachine();
  await createStore('/store', { saveSize: 64 << 20 }, machine.process());
  await using store = await openStore('/store', machine.process(), {
    clientsOf: (reference) => (reference === 'prod/dev' ? ['unix#7'] : []),
  });
  await store.createVolume({ name: 'prod', size: SIZE });
  await store.createSnapshot({ volume: 'prod', name: 's' });
  await store.createBranch({ name: 'dev', from: 'prod@s' });
  await store.createBranch({ name: 'qa', from: 'prod@s' });

  expect(await refusal(() => store.deleteSnapshot('prod@s'))).toMatchObject({
    code: 'ERR_IN_USE',
    message: expect.stringContaining('needed by 2 dependants: prod/dev, prod/qa'),
  });
  const opened = await store.openExport('prod/dev');
  expect(await refusal(() => store.deleteBranch('prod/dev'))).toMatchObject({
    code: 'ERR_IN_USE',
    message: expect.stringContaining('prod/dev to 1 client (unix#7)'),
  });
  await opened.release();

  expect(await store.deleteBranch('prod/dev', { dryRun: true })).toEqual({
    removed: ['prod/dev'],
    dryRun: true,
  });
  expect(store.listBranches().map((each) => each.name)).toEqual(['dev', 'qa']);
  await store.deleteBranch('prod/dev');
  await store.deleteBranch('prod/qa');

  const reading = await store.openExport('prod@s');
  expect((await refusal(() => store.deleteSnapshot('prod@s'))).code).toBe('ERR_IN_USE');
  await reading.release();
  expect(await store.deleteSnapshot('prod@latest')).toEqual({
    removed: ['prod@s'],
    dryRun: false,
    recoverableUntil: '2026-11-23T12:00:00.000Z',
    hiddenBehind: ['prod/dev (deleted)', 'prod/qa (deleted)'],
  });
  expect(store.exports().map((each) => each.name)).toEqual(['prod']);
});

test('what was written is durable after the periodic commit, without a flush', async () => {
  const { machine, store } = await createMachineWithStore();
  await store.createVolume({ name: 'prod', size: SIZE });
  await store.createSnapshot({ volume: 'prod', name: 's' });
  await store.createBranch({ name: 'dev', from: 'prod@s' });
  const opened = await store.openExport('prod/dev');
  await writeBlock(opened.device, 2, 53);
  await machine.tick();
  // The process dies: its lock is freed, nothing else is done for it.
  machine.locks.clear();
  await using again = await openStore('/store', machine.process());
  expect(await withDevice(again, 'prod/dev', (device) => readBlock(device, 2))).toBe(53);
});

test('after close every method refuses, and closing again is fine', async () => {
  const { store } = await createMachineWithStore();
  await store.createVolume({ name: 'prod', size: SIZE });
  await store.close();
  await store.close();
  for (const work of [
    () => store.status(),
    () => store.exports(),
    () => store.listVolumes(),
    () => store.resolve('prod'),
    () => store.commit(),
    () => store.openExport('prod'),
    () => store.createSnapshot({ volume: 'prod' }),
  ]) {
    expect((await refusal(work)).code).toBe('ERR_CLOSED');
  }
});

test('changes asked for at once run one after the other (C6)', async () => {
  const { store } = await createMachineWithStore();
  await store.createVolume({ name: 'prod', size: SIZE });
  const made = await Promise.all(
    Array.from({ length: 20 }, () => store.createSnapshot({ volume: 'prod' })),
  );
  expect(new Set(made.map((each) => each.name)).size).toBe(20);
  const results = await Promise.allSettled(
    Array.from({ length: 5 }, () => store.createBranch({ name: 'same', from: 'prod@latest' })),
  );
  expect(results.filter((each) => each.status === 'fulfilled')).toHaveLength(1);
  await store.close();
});

test('space taken at creation reports its progress', async () => {
  const { store } = await createMachineWithStore();
  const seen: number[] = [];
  await store.createVolume({
    name: 'big',
    size: 160 << 20,
    allocate: true,
    onProgress: ({ done, total, unit }) => {
      expect([total, unit]).toEqual([160 << 20, 'bytes']);
      seen.push(done);
    },
  });
  expect(seen).toEqual([64 << 20, 128 << 20, 160 << 20]);
  expect(BLOCK).toBe(store.blockSize);
  await store.close();
});

/**
 * Goal: a save volume with a flipped bit is never read as something else. Method: flip one bit at
 * each place of a list over superblocks, journal and data, in one superblock and in both; the store
 * opens with everything it had, or refuses with the code of damage and changes nothing.
 */
test('a flipped bit in the save volume is found, or does no harm', async () => {
  const { machine, store } = await createMachineWithStore();
  await store.createVolume({ name: 'prod', size: SIZE });
  await withDevice(store, 'prod', (device) => writeBlock(device, 1, 3));
  await store.createSnapshot({ volume: 'prod', name: 's' });
  await withDevice(store, 'prod', (device) => writeBlock(device, 1, 5));
  await store.close();
  const image = await machine.bytes('/store/save.pal');
  const first = [0, 1, 8, 12, 16, 33, 48, 64, 72, 104, 168, 204, 252];
  const flips: readonly (readonly number[])[] = [
    ...first.map((at) => [at]),
    ...first.map((at) => [at, at + BLOCK]),
    ...Array.from({ length: 40 }, (_, index) => [(index * 104_729 + 8192) % image.length]),
  ];
  const outcomes = new Set<string>();
  for (const flip of flips) {
    for (const at of flip) {
      await machine.overwrite('/store/save.pal', at, Uint8Array.of((image[at] ?? 0) ^ 16));
    }
    const seen = await openStore('/store', machine.process()).then(
      async (opened) => {
        expect(opened.exports().map((each) => each.name)).toEqual(['prod', 'prod@s']);
        expect(await withDevice(opened, 'prod', (device) => readBlock(device, 1))).toBe(5);
        expect(await withDevice(opened, 'prod@s', (device) => readBlock(device, 1))).toBe(3);
        await opened.close();
        return 'opened';
      },
      (error: { code?: string; message: string }) => {
        expect(error.message).toContain('/store/save.pal');
        return error.code ?? 'no code';
      },
    );
    outcomes.add(seen);
    for (let at = 0; at < image.length; at += 1 << 20) {
      await machine.overwrite('/store/save.pal', at, image.subarray(at, at + (1 << 20)));
    }
  }
  expect([...outcomes].sort()).toEqual(['ERR_CORRUPT', 'ERR_FORMAT', 'opened']);
});
