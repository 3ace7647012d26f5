/**
 * Goal: one file system a reference, never two writers, and no cache that outlives what it is of.
 * Method: a store in memory; what is under test is asked for while something else has it.
 */
import { createStore, openStore } from '@palimpsest/control';
import { createMemoryMachine } from '@palimpsest/control/testing';
import { fsPromises } from '@palimpsest/toyfs';
import { expect, test } from 'vitest';
import { createMounts } from '../src/index.js';
import { bytesOf, complaints, fixture, withFiles } from './support.js';

test('users of one reference share one file system, which is closed after the last (MO1, MO2)', async () => {
  const { store, mounts } = await fixture();
  const one = await mounts.mount('prod');
  const two = await mounts.mount('prod', { write: true });
  expect(two.fs).toBe(one.fs);
  await fsPromises(one.fs).writeFile('/a', 'hello');
  expect(await fsPromises(two.fs).readFile('/a', 'utf8')).toBe('hello');
  await one.release();
  await one.release();
  await fsPromises(two.fs).writeFile('/b', 'still open');
  await two.release();
  // Somebody wants the device: it is closed at once, and clean.
  expect(complaints(await bytesOf(store, 'prod'))).toBe('');
  await withFiles(mounts, 'prod', async (fs) => {
    expect((await fs.readdir('/')).sort()).toEqual(['a', 'b', 'lost+found']);
  });
});

test('two writers of one device are refused, whoever comes first, with what to do instead', async () => {
  const { store, mounts } = await fixture();
  const client = await store.openExport('prod');
  await expect(mounts.mount('prod')).rejects.toMatchObject({
    code: 'ERR_IN_USE',
    message: expect.stringContaining('pal snapshot create prod'),
  });
  await client.release();
  const mount = await mounts.mount('prod');
  await expect(store.openExport('prod')).rejects.toMatchObject({
    code: 'ERR_IN_USE',
    message: expect.stringContaining('a mounted file system'),
  });
  await mount.release();
  await (await store.openExport('prod')).release();
});

test('a snapshot is read by anybody at once, and changed by nobody', async () => {
  const { store, mounts } = await fixture();
  await withFiles(mounts, 'prod', (fs) => fs.writeFile('/a', '1'));
  await store.createSnapshot({ volume: 'prod', name: 'monday' });
  const client = await store.openExport('prod@monday');
  await withFiles(mounts, 'prod@latest', async (fs) => {
    expect(await fs.readFile('/a', 'utf8')).toBe('1');
    await expect(fs.writeFile('/a', '2')).rejects.toMatchObject({ code: 'EROFS' });
  });
  await client.release();
  await store.deleteSnapshot('prod@monday', { now: true }); // its idle mount is in nobody's way
  await expect(mounts.mount('prod@monday')).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
});

test('a restore below a mounted file system is refused while it is used, and closes an idle one', async () => {
  const { store, mounts } = await fixture();
  await withFiles(mounts, 'prod', (fs) => fs.writeFile('/a', 'old'));
  await store.createSnapshot({ volume: 'prod', name: 'old' });
  const mount = await mounts.mount('prod');
  await fsPromises(mount.fs).writeFile('/a', 'newer and not written out yet');
  await expect(store.restore({ target: 'prod', from: 'prod@old' })).rejects.toMatchObject({
    code: 'ERR_IN_USE',
    message: expect.stringContaining('a mounted file system'),
  });
  await mount.release();
  const { undo } = await store.restore({ target: 'prod', from: 'prod@old' });
  await withFiles(mounts, 'prod', async (fs) => {
    expect(await fs.readFile('/a', 'utf8')).toBe('old');
    await fs.writeFile('/b', 'after');
  });
  for (const job of store.jobs()) await store.waitForJob(job.id);
  expect(complaints(await bytesOf(store, 'prod'))).toBe('');
  // What it was is all there: the mount was written out before the cut, so it is clean too.
  const [kept] = store.listSnapshots('prod').filter((each) => each.name !== 'old');
  expect(kept).toMatchObject({ consistency: 'clean' });
  expect(undo === undefined || undo === kept?.reference).toBe(true);
  await withFiles(mounts, kept?.reference ?? '', async (fs) => {
    expect(await fs.readFile('/a', 'utf8')).toBe('newer and not written out yet');
  });
});

test.each(['refresh', 'restore'] as const)(
  'after a forced %s of a branch its old file system writes nothing any more',
  async (how) => {
    const { store, mounts } = await fixture();
    await withFiles(mounts, 'prod', (fs) => fs.writeFile('/a', 'base'));
    await store.createBranch({ name: 'dev', from: 'prod' });
    const stale = await mounts.mount('prod/dev');
    await fsPromises(stale.fs).writeFile('/a', 'of the branch');
    await fsPromises(stale.fs).writeFile('/big', Buffer.alloc(1 << 20, 7));
    const from = 'prod@latest';
    if (how === 'refresh') await store.refreshBranch({ branch: 'prod/dev', from, force: true });
    else await store.restore({ target: 'prod/dev', from, force: true });
    const fresh = await bytesOf(store, 'prod/dev');
    expect(fresh.equals(await bytesOf(store, from))).toBe(true);
    await expect(fsPromises(stale.fs).writeFile('/a', 'ghost')).rejects.toMatchObject({
      code: 'ESTALE',
    });
    await stale.release();
    expect((await bytesOf(store, 'prod/dev')).equals(fresh)).toBe(true);
    await withFiles(mounts, 'prod/dev', async (fs) => {
      expect(await fs.readFile('/a', 'utf8')).toBe('base');
    });
  },
);

test('looking at a volume that was not closed changes no byte of it; writing to it replays its journal', async () => {
  const machine = createMemoryMachine();
  const { store, mounts } = await crashed(machine);
  const before = await bytesOf(store, 'prod');
  await withFiles(mounts, 'prod', async (fs) => {
    expect(await fs.readFile('/kept', 'utf8')).toBe('synced');
    await expect(fs.writeFile('/x', '')).rejects.toMatchObject({ code: 'EROFS' });
  });
  expect((await bytesOf(store, 'prod')).equals(before)).toBe(true);
  await withFiles(mounts, 'prod', async (fs) => {
    // Idle, it is opened anew for who means to write; used, it is not taken from its reader.
    await expect(mounts.mount('prod', { write: true })).rejects.toMatchObject({
      code: 'ERR_IN_USE',
    });
    expect(await fs.readFile('/kept', 'utf8')).toBe('synced');
  });
  await withFiles(mounts, 'prod', (fs) => fs.writeFile('/x', 'written'), { write: true });
  expect(complaints(await bytesOf(store, 'prod'))).toBe('');
  await mounts.close();
  await store.close();
});

test('it closes by itself after the quiet time, which begins with the last user only (MO2)', async () => {
  const due: { callback: () => void; ms: number }[] = [];
  const timer = (callback: () => void, ms: number): (() => void) => {
    const entry = { callback, ms };
    due.push(entry);
    return () => void due.splice(due.indexOf(entry), due.includes(entry) ? 1 : 0);
  };
  const quiet = (): (typeof due)[number][] => due.filter(({ ms }) => ms === 1234);
  const { store, mounts } = await fixture({ timer, idleMs: 1234 });
  const one = await mounts.mount('prod');
  const two = await mounts.mount('prod');
  await fsPromises(one.fs).writeFile('/a', 'hello');
  await one.release();
  expect(quiet()).toHaveLength(0);
  await two.release();
  expect(quiet()).toHaveLength(1);
  const three = await mounts.mount('prod');
  expect(three.fs).toBe(one.fs);
  expect(quiet()).toHaveLength(0); // somebody is there again
  await three.release();
  expect(store.exports().find(({ name }) => name === 'prod')?.openers).toBe(1);
  for (const { callback } of quiet()) callback();
  while (store.exports().find(({ name }) => name === 'prod')?.openers !== 0) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(complaints(await bytesOf(store, 'prod'))).toBe('');
});

/** A store whose volume was mounted when its process ended. */
async function crashed(machine: ReturnType<typeof createMemoryMachine>) {
  await createStore('/store', { saveSize: 4 << 20 }, machine.process());
  const first = await fixtureOn(machine);
  const mount = await first.mounts.mount('prod');
  const fs = fsPromises(mount.fs);
  await fs.writeFile('/kept', 'synced', { flush: true });
  const image = await rawBytes(machine);
  await first.mounts.close();
  await first.store.close();
  await machine.overwrite('/store/volumes/prod.img', 0, image);
  const store = await openStore('/store', machine.process());
  return { store, mounts: createMounts(store, { idleMs: 60_000 }) };
}

async function fixtureOn(machine: ReturnType<typeof createMemoryMachine>) {
  const { format } = await import('@palimpsest/toyfs');
  const store = await openStore('/store', machine.process());
  await store.createVolume({ name: 'prod', size: 16 << 20 });
  const mounts = createMounts(store);
  await mounts.withDevice('prod', ({ device }) => format(device, { journalBytes: 4 << 20 }));
  return { store, mounts };
}

function rawBytes(machine: ReturnType<typeof createMemoryMachine>): Promise<Uint8Array> {
  return machine.bytes('/store/volumes/prod.img');
}
