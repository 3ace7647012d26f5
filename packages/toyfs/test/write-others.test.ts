/**
 * Goal: we change what others formatted, and they accept it: e2fsck has no complaint, and everything
 * is as a model holds it.
 * Method: images of mke2fs with blocks of 1 and 4 KiB, 64bit, flex_bg, hashed directories and groups
 * in odd places; random histories on them, and a large hashed directory changed.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createRandom } from '@palimpsest/block-device/testing';
import { describe, expect, test } from 'vitest';
import { openFileSystem, ROOT_INO } from '../src/index.js';
import { contentsOf, EMPTY, shapeOf, step } from './support/history.js';
import { all, chosen, complaints, deviceOf, hasTools, run, scratch } from './support/tools.js';
import { find } from './support/tree.js';

const KINDS: Record<string, readonly string[]> = {
  'the defaults': [],
  '1 KiB, checksums, small groups': ['-b', '1024', '-g', '1024', '-G', '2', '-O', '^resize_inode'],
  '4 KiB, checksums with a seed': ['-b', '4096', '-O', 'metadata_csum_seed,^64bit'],
  '2 KiB, checksums, inodes of 128': ['-b', '2048', '-I', '128'],
  '4 KiB, 64bit': ['-b', '4096', '-O', '^metadata_csum,64bit'],
  '1 KiB, flex_bg': ['-b', '1024', '-O', '^metadata_csum,^64bit,flex_bg', '-G', '4', '-g', '1024'],
  '1 KiB, no flex_bg, small groups': ['-b', '1024', '-O', '^metadata_csum,^flex_bg', '-g', '512'],
  '2 KiB': ['-b', '2048', '-O', '^metadata_csum,^64bit'],
};

describe.skipIf(!hasTools)('images of others, changed by us', () => {
  for (const [kind, args] of chosen(KINDS)) {
    test(`a history on ${kind}`, async () => {
      using folder = scratch();
      const file = `${folder.path}/image`;
      run('mke2fs', ['-q', '-t', 'ext4', ...args, file, '16M']);
      const device = await deviceOf(file);
      const fs = await openFileSystem(device, { timer: undefined, cacheBytes: 1 << 18 });
      expect(fs.report.readOnlyReason).toBeUndefined();
      const random = createRandom(kind);
      let state = EMPTY;
      for (let i = 0; i < 150; i++) {
        ({ state } = await step(fs, state, random));
        if (random.chance(0.05)) await fs.sync();
      }
      expect((await contentsOf(fs)).shape).toBe(shapeOf(state));
      await fs.close();
      expect(await complaints(device)).toBe('');
    });
  }

  const MANY = all ? 5000 : 1000;

  test.each(['metadata_csum', '^metadata_csum'])(
    `a hashed directory of ${MANY} names, %s`,
    async (csum) => {
      using folder = scratch();
      const [root, file] = [`${folder.path}/root`, `${folder.path}/image`];
      mkdirSync(`${root}/many`, { recursive: true });
      for (let i = 0; i < MANY; i++) writeFileSync(`${root}/many/name number ${i}`, '');
      run('mke2fs', [
        '-q',
        '-t',
        'ext4',
        '-b',
        '1024',
        '-O',
        csum,
        '-N',
        '6000',
        '-d',
        root,
        file,
        '24M',
      ]);
      spawnSync('e2fsck', ['-fyD', file], {
        env: { ...process.env, PATH: `${process.env.PATH}:/sbin:/usr/sbin` },
      });
      expect(run('debugfs', ['-R', 'htree_dump /many', file])).toContain('Indirect levels');
      const device = await deviceOf(file);
      const fs = await openFileSystem(device, { timer: undefined });
      const many = await find(fs, 'many');
      const names = (await fs.readdir(many, 0, 10_000)).map(({ name }) =>
        Buffer.from(name).toString(),
      );
      expect(new Set(names).size).toBe(MANY + 2);
      for (let i = 0; i < MANY; i += 3) await fs.unlink(many, Buffer.from(`name number ${i}`));
      for (let i = 0; i < 500; i++) {
        await fs.create(many, Buffer.from(`another, longer name ${i}`), { mode: 0o644 });
      }
      await fs.rename(many, Buffer.from('name number 1'), ROOT_INO, Buffer.from('one'));
      expect(await fs.readdir(many, 0, 10_000)).toHaveLength(
        MANY + 2 - Math.ceil(MANY / 3) + 500 - 1,
      );
      await fs.close();
      expect(await complaints(device)).toBe('');
    },
  );

  test('names as short as the record of a checksum leave it alone', async () => {
    using folder = scratch();
    const file = `${folder.path}/image`;
    run('mke2fs', ['-q', '-t', 'ext4', '-b', '1024', file, '16M']);
    const device = await deviceOf(file);
    const fs = await openFileSystem(device, { timer: undefined });
    for (let i = 0; i < 300; i++) await fs.create(ROOT_INO, Buffer.from(`${i}`), { mode: 0o644 });
    await fs.close();
    expect(await complaints(device)).toBe('');
  });
});
