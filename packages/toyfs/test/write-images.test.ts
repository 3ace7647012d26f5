/**
 * Goal: what we write, e2fsck has no complaint of, and debugfs reads as we mean it.
 */
import { readFileSync } from 'node:fs';
import { createMemoryDevice } from '@palimpsest/block-device';
import { describe, expect, test } from 'vitest';
import { format, openFileSystem } from '../src/index.js';
import { fill } from './support/fill.js';
import { complaints, hasTools, run, saveTo, scratch } from './support/tools.js';
import { contentOf, find, treeOf } from './support/tree.js';

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
