/**
 * Goal: branches of one snapshot keep to themselves, and a snapshot of what is mounted is clean.
 * Method: ten branches written at the same time; and a writer that never stops while snapshots are taken,
 * each of which is given to e2fsck and read back.
 */
import { type FsPromises, fsPromises } from '@palimpsest/toyfs';
import { expect, test } from 'vitest';
import { bytesOf, complaints, fixture, withFiles } from './support.js';

/** A file system in memory answers at once: without it nobody else would have a turn. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('ten branches of one snapshot, mounted and written at the same time, see their own changes only', async () => {
  const { store, mounts } = await fixture();
  await withFiles(mounts, 'prod', async (fs) => {
    await fs.mkdir('/shared');
    for (let i = 0; i < 50; i++) await fs.writeFile(`/shared/${i}`, `base ${i}`);
    await fs.writeFile('/big', Buffer.alloc(300_000, 1));
  });
  await store.createSnapshot({ volume: 'prod', name: 'base' });
  const production = await bytesOf(store, 'prod');
  const snapshot = await bytesOf(store, 'prod@base');
  const names = Array.from({ length: 10 }, (_, index) => `prod/b${index}`);
  for (const name of names) await store.createBranch({ name, from: 'prod@base' });

  const all = await Promise.all(names.map((name) => mounts.mount(name, { write: true })));
  const production2 = await mounts.mount('prod@base');
  const own = async (fs: FsPromises, me: number): Promise<void> => {
    for (let i = me; i < 50; i += 10) {
      await fs.writeFile(`/shared/${i}`, `branch ${me} ${i}`);
      await fs.rename(`/shared/${(i + 1) % 50}`, `/shared/moved-${me}-${i}`);
      await fs.writeFile(`/mine-${i}`, Buffer.alloc(20_000 + i, me), { flush: i % 3 === 0 });
      await fs.unlink(`/shared/${(i + 2) % 50}`);
    }
    await fs.truncate('/big', 1000 * me);
    await fs.mkdir(`/dir-${me}`);
  };
  await Promise.all(all.map(({ fs }, me) => own(fsPromises(fs), me)));

  for (const [me, { fs }] of all.entries()) {
    const files = fsPromises(fs);
    const names = await files.readdir('/');
    expect(names.filter((name) => name.startsWith('dir-'))).toEqual([`dir-${me}`]);
    const mine = names.filter((name) => name.startsWith('mine-'));
    expect(mine).toHaveLength(5);
    for (const name of mine) {
      const bytes = await files.readFile(`/${name}`);
      expect(bytes.every((byte) => byte === me)).toBe(true);
    }
    const shared = await files.readdir('/shared');
    const moved = shared.filter((name) => name.startsWith('moved-'));
    expect(moved.every((name) => name.startsWith(`moved-${me}-`))).toBe(true);
    expect(moved).toHaveLength(5);
    for (const name of shared.filter((each) => !each.startsWith('moved-'))) {
      const text = await files.readFile(`/shared/${name}`, 'utf8');
      expect(text).toBe(Number(name) % 10 === me ? `branch ${me} ${name}` : `base ${name}`);
    }
    expect((await files.stat('/big')).size).toBe(1000 * me);
  }
  for (const mount of [...all, production2]) await mount.release();
  for (const name of names) expect(complaints(await bytesOf(store, name))).toBe('');
  expect((await bytesOf(store, 'prod')).equals(production)).toBe(true);
  expect((await bytesOf(store, 'prod@base')).equals(snapshot)).toBe(true);
});

test('a snapshot of a mounted file system that is being written is clean, and holds a prefix (MO3)', async () => {
  const { store, mounts } = await fixture();
  const mount = await mounts.mount('prod', { write: true });
  const fs = fsPromises(mount.fs);
  let written = 0;
  let stopping = false;
  const writer = (async () => {
    // Each file names the one before: a state that holds n and not n - 1 was never there.
    for (let n = 0; !stopping; n++) {
      const flush = n % 4 === 0; // so that commits go on while snapshots are taken
      await fs.writeFile(`/n${n}`, `${n - 1} ${'x'.repeat(n % 7000)}`, { flush });
      if (n >= 40) await fs.unlink(`/n${n - 40}`);
      written = n;
      if (n % 3 === 0) await turn();
    }
  })();
  for (let i = 0; i < 8; i++) {
    const from = written;
    while (written < from + 30) await turn();
    const least = written;
    const info = await store.createSnapshot({ volume: 'prod', name: `s${i}` });
    const most = written + 2;
    expect(info.consistency).toBe('clean');
    expect(complaints(await bytesOf(store, `prod@s${i}`))).toBe('');
    await withFiles(mounts, `prod@s${i}`, async (files) => {
      const numbers = (await files.readdir('/'))
        .filter((name) => /^n\d+$/.test(name))
        .map((name) => Number(name.slice(1)))
        .sort((a, b) => a - b);
      const last = numbers.at(-1) as number;
      expect(last).toBeGreaterThanOrEqual(least);
      expect(last).toBeLessThanOrEqual(most);
      const first = Math.max(0, last - 40);
      const expected = Array.from({ length: last - first + 1 }, (_, index) => first + index);
      expect(numbers.filter((n) => n > first)).toEqual(expected.slice(1));
      for (const n of numbers.slice(0, -1)) {
        const text = await files.readFile(`/n${n}`, 'utf8');
        expect(text).toBe(`${n - 1} ${'x'.repeat(n % 7000)}`);
      }
    });
  }
  stopping = true;
  await writer;
  await mount.release();
  expect(store.listSnapshots('prod').map(({ consistency }) => consistency)).toEqual(
    Array.from({ length: 8 }, () => 'clean'),
  );
});

test('what is not mounted is judged by its bytes: at rest it is clean, else not, and no file system never', async () => {
  const { store, mounts } = await fixture();
  const label = async (volume: string): Promise<string> =>
    (await store.createSnapshot({ volume })).consistency;
  expect(await label('prod')).toBe('clean');
  await store.createVolume({ name: 'raw', size: 1 << 20 });
  expect(await label('raw')).toBe('crash-consistent');
  // A guest's kernel that has it mounted: its superblock says that the journal is needed.
  const guest = await store.openExport('prod');
  const block = new Uint8Array(4096);
  await guest.device.readInto(block, 0);
  block[1024 + 96] = (block[1024 + 96] as number) | 4;
  await guest.device.write(block, 0);
  expect(await label('prod')).toBe('crash-consistent');
  block[1024 + 96] = (block[1024 + 96] as number) & ~4;
  block[1024 + 58] = 0; // and one without a journal, that it is mounted
  await guest.device.write(block, 0);
  expect(await label('prod')).toBe('crash-consistent');
  await guest.release();
  await mounts.close();
  // Nobody to look: nothing is claimed.
  expect(await label('prod')).toBe('crash-consistent');
});

test('a group is frozen together, and everything goes on also when the snapshot fails (AT1)', async () => {
  // No freeze ends by itself here.
  const { store, mounts } = await fixture({ freezeMs: 3_600_000 });
  await store.createBranch({ name: 'dev', from: 'prod' });
  const [a, b] = [await mounts.mount('prod'), await mounts.mount('prod/dev')];
  await fsPromises(a.fs).writeFile('/x', '1');
  await fsPromises(b.fs).writeFile('/x', '2');
  const infos = await store.createGroupSnapshot({ targets: ['prod', 'prod/dev'], name: 'both' });
  expect(infos.map(({ consistency }) => consistency)).toEqual(['clean', 'clean']);
  const twice = store.createGroupSnapshot({ targets: ['prod', 'prod'], name: 'twice' });
  await expect(twice).rejects.toMatchObject({ code: 'ERR_INVALID' });
  await fsPromises(a.fs).writeFile('/y', 'goes on');
  await fsPromises(b.fs).writeFile('/y', 'goes on');
  await a.release();
  await b.release();
});

test('a freeze that takes too long is not waited for, and what was mounted goes on', async () => {
  // Every deadline of a freeze is over at once.
  const timer = (callback: () => void, ms: number): (() => void) => {
    if (ms === 4321) callback();
    return () => undefined;
  };
  const { store, mounts } = await fixture({ timer, freezeMs: 4321 });
  const mount = await mounts.mount('prod', { write: true });
  const fs = fsPromises(mount.fs);
  for (let i = 0; i < 3; i++) {
    await fs.writeFile(`/f${i}`, Buffer.alloc(100_000, i));
    await store.createSnapshot({ volume: 'prod', name: `s${i}` });
    await fs.writeFile(`/after${i}`, 'goes on');
  }
  await mount.release();
  for (let i = 0; i < 3; i++) {
    await withFiles(mounts, `prod@s${i}`, async (files) => {
      const names = await files.readdir('/');
      expect(names.includes(`after${i}`)).toBe(false);
    });
  }
  await (await store.openExport('prod')).release();
  expect(complaints(await bytesOf(store, 'prod'))).toBe('');
});

test('a snapshot taken again is judged again', async () => {
  const { store, mounts } = await fixture();
  const { reference } = await store.createSnapshot({ volume: 'prod', name: 'daily' });
  const client = await store.openExport('prod');
  await client.device.zero(0, 4096);
  await client.release();
  const { snapshot, kept } = await store.refreshSnapshot(reference);
  expect(snapshot.consistency).toBe('crash-consistent');
  const before = store.listSnapshots('prod').find((each) => each.reference === kept);
  expect(before?.consistency).toBe('clean');
  await mounts.close();
});
