/**
 * Goal: what we write, e2fsck has no complaint of, and debugfs reads as we mean it.
 */
import { readFileSync } from 'node:fs';
import { createMemoryDevice } from '@palimpsest/block-device';
import { describe, expect, test } from 'vitest';
import { type FileSystem, format, openFileSystem, ROOT_INO } from '../src/index.js';
import { complaints, hasTools, run, saveTo, scratch } from './support/tools.js';
import { contentOf, find, treeOf } from './support/tree.js';

const name = (text: string): Buffer => Buffer.from(text);

/** A file system with one of everything. */
async function fill(fs: FileSystem): Promise<void> {
  const directory = await fs.mkdir(ROOT_INO, name('directory'), { mode: 0o755 });
  for (let i = 0; i < 300; i++) {
    const file = await fs.create(directory, name(`file number ${i}`), { mode: 0o644, uid: 70_000 });
    await fs.write(file, Buffer.from(`content ${i}`), 0);
  }
  const big = await fs.create(directory, name('big'), { mode: 0o4600 });
  await fs.write(big, Buffer.alloc(3_000_000, 'big'), 1_000_000);
  await fs.symlink(directory, name('short'), name('target'), {});
  await fs.symlink(directory, name('long'), name('t'.repeat(500)), {});
  await fs.mknod(directory, name('pipe'), { type: 'fifo', mode: 0o600 });
  await fs.mknod(directory, name('null'), { type: 'character-device', mode: 0o666, rdev: 0x103 });
  await fs.link(big, ROOT_INO, name('second name'));
  await fs.rename(directory, name('file number 7'), ROOT_INO, name('seven'));
  await fs.unlink(directory, name('file number 8'));
  await fs.setXattr(big, 'user.hello', name('world'));
  await fs.setXattr(big, 'user.long', Buffer.alloc(2000, 'w'));
  await fs.setXattr(big, 'trusted.t', Buffer.alloc(1000, 't'));
}

describe.skipIf(!hasTools)('what we write', () => {
  test('empty file systems of several sizes', async () => {
    for (const mebibytes of [8, 33, 300]) {
      const device = createMemoryDevice({ blockSize: 512, size: mebibytes << 20 });
      await format(device, { label: `of ${mebibytes} MiB` });
      expect(await complaints(device)).toBe('');
    }
  });

  test('a tree with everything in it, and again after it was opened again', async () => {
    const device = createMemoryDevice({ size: 32 << 20 });
    await format(device);
    const fs = await openFileSystem(device);
    await fill(fs);
    const before = await treeOf(fs);
    await fs.close();
    expect(await complaints(device)).toBe('');
    const again = await openFileSystem(device);
    expect(again.report).toEqual({ replayed: 0, readOnlyReason: undefined, orphans: 0 });
    expect(await treeOf(again)).toEqual(before);
    const big = await find(again, 'second name');
    expect((await again.listXattrs(big)).toSorted()).toEqual([
      'trusted.t',
      'user.hello',
      'user.long',
    ]);
    expect(Buffer.from(await again.getXattr(big, 'user.hello')).toString()).toBe('world');
    expect(await contentOf(again, big)).toHaveLength(4_000_000);
    await again.close();

    using folder = scratch();
    const file = `${folder.path}/image`;
    await saveTo(file, device);
    run('debugfs', ['-R', `dump "/second name" ${folder.path}/dumped`, file]);
    const expected = Buffer.concat([Buffer.alloc(1_000_000), Buffer.alloc(3_000_000, 'big')]);
    expect(expected.equals(readFileSync(`${folder.path}/dumped`))).toBe(true);
    const stat = run('debugfs', ['-R', 'stat "/second name"', file]);
    expect(stat).toContain('user.hello (5) = "world"');
    expect(stat).toMatch(/Links: 2/);
  });
});
