/**
 * Goal: an image that was not closed is read as its journal says, and opening it for reading writes
 * nothing (Q1).
 * Method: journals written by debugfs in every form that there is, with revokes, contents that look
 * like a journal's head, and an unfinished transaction; what we read, and what we brought home, is compared
 * with what is there after e2fsck replayed the journal. And images of our own, cut off before they were closed.
 */
import { writeFileSync } from 'node:fs';
import { readOnly } from '@palimpsest/block-device';
import { createCrashWorld } from '@palimpsest/block-device/testing';
import { describe, expect, test } from 'vitest';
import { format, openFileSystem, ROOT_INO } from '../src/index.js';
import { chosen, deviceOf, hasTools, repaired, run, scratch } from './support/tools.js';
import { contentOf, find, treeOf } from './support/tree.js';

/** Arguments of mke2fs, and of debugfs' journal_open. */
const FORMS: Record<string, readonly [mke2fs: readonly string[], open: string]> = {
  'tags of 8 bytes': [['-b', '1024', '-O', '^64bit,^metadata_csum'], ''],
  'tags of 64 bits': [['-b', '4096', '-O', '64bit,^metadata_csum'], ''],
  'checksums v2': [['-b', '4096', '-O', '64bit,metadata_csum'], '-c -v 2'],
  'checksums v3': [['-b', '4096', '-O', '64bit,metadata_csum'], '-c -v 3'],
  'checksums v3 without 64 bits': [['-b', '1024', '-O', '^64bit,metadata_csum'], '-c -v 3'],
};

describe.skipIf(!hasTools)('journals of others', () => {
  for (const [form, [args, open]] of chosen(FORMS)) {
    test(form, async () => {
      using folder = scratch();
      const blockSize = Number(args[1]);
      const [root, file] = [`${folder.path}/root`, `${folder.path}/image`];
      run('mkdir', [root]);
      writeFileSync(`${root}/big`, Buffer.alloc(blockSize * 20, 'old '));
      run('mke2fs', ['-q', '-t', 'ext4', ...args, '-d', root, file, '12M']);
      const blocks = run('debugfs', ['-R', 'blocks /big', file]).trim().split(/\s+/).map(Number);
      const fresh = Buffer.alloc(blockSize * 4, 'new ');
      fresh.writeUInt32BE(0xc03b3998, blockSize); // Looks like a journal's head.
      writeFileSync(`${folder.path}/new`, fresh);
      writeFileSync(`${folder.path}/newer`, Buffer.alloc(blockSize * 4, 'newer '));
      const list = (from: number): string => blocks.slice(from, from + 4).join(',');
      const script = [
        `jo ${open}`,
        `jw -b ${list(0)} ${folder.path}/new`,
        `jw -b ${list(4)} ${folder.path}/new`,
        `jw -r ${list(4).split(',').slice(1).join(',')}`,
        `jw -b ${list(2)} ${folder.path}/newer`,
        `jw -b ${list(10)} -c ${folder.path}/newer`,
        'jc',
      ];
      run('debugfs', ['-w', '-f', '-', file], script.join('\n'));
      const fs = await openFileSystem(readOnly(await deviceOf(file)));
      expect(fs.report.replayed).toBe(4);
      const ours = await contentOf(fs, await find(fs, 'big'));
      const after = await openFileSystem(await repaired(await deviceOf(file)), { readOnly: true });
      expect(after.report.replayed).toBe(0);
      const theirs = await contentOf(after, await find(after, 'big'));
      expect(Buffer.compare(ours, theirs)).toBe(0);
      // Brought home, and read from there.
      const image = await deviceOf(file);
      const home = await openFileSystem(image, { timer: undefined });
      expect(home.report).toMatchObject({ replayed: 4, readOnlyReason: undefined });
      await home.close();
      const closed = await openFileSystem(image, { readOnly: true });
      expect(closed.report.replayed).toBe(0);
      expect(Buffer.compare(await contentOf(closed, await find(closed, 'big')), theirs)).toBe(0);
      // What was there before is not what is there now.
      const old = await openFileSystem(await deviceOf(file), { readOnly: true, replay: false });
      expect(Buffer.compare(await contentOf(old, await find(old, 'big')), theirs)).not.toBe(0);
    });
  }
});

describe('our own images, not closed', () => {
  test('are read with what was synced, without a write', async () => {
    const world = createCrashWorld({ seed: 1 });
    const disk = world.device('disk', { size: 8 << 20 });
    await format(disk);
    const fs = await openFileSystem(disk, { timer: undefined });
    for (let i = 0; i < 30; i++) {
      const ino = await fs.create(ROOT_INO, Buffer.from(`file ${i}`), { mode: 0o600 });
      await fs.write(ino, Buffer.alloc(5000, `${i}`), 0);
      if (i % 10 === 0) await fs.unlink(ROOT_INO, Buffer.from(`file ${i}`));
      await fs.sync();
    }
    const before = await treeOf(fs);
    const crashed = world.crash(world.point, { kind: 'none' });
    const copy = crashed.device('disk');
    const again = await openFileSystem(copy, { readOnly: true });
    expect(again.report.replayed).toBe(30);
    expect(again.report.readOnlyReason).toBe('asked for');
    expect(await treeOf(again)).toEqual(before);
    await again.close();
    expect(crashed.point).toBe(0);
    const writable = await openFileSystem(copy, { timer: undefined });
    expect(writable.report.replayed).toBe(30);
    expect(await treeOf(writable)).toEqual(before);
    await writable.close();
  });

  test('an inode without names that was open is gone', async () => {
    const world = createCrashWorld({ seed: 2 });
    const disk = world.device('disk', { size: 8 << 20 });
    await format(disk);
    const fs = await openFileSystem(disk, { timer: undefined });
    const free = (await fs.statfs()).freeBlocks;
    const ino = await fs.create(ROOT_INO, Buffer.from('open'), { mode: 0o600 });
    await fs.write(ino, Buffer.alloc(300_000, 1), 0);
    await fs.open(ino);
    await fs.unlink(ROOT_INO, Buffer.from('open'));
    expect((await fs.getattr(ino)).links).toBe(0);
    expect(await contentOf(fs, ino)).toHaveLength(300_000);
    await fs.sync();
    expect((await fs.statfs()).freeBlocks).toBeLessThan(free);
    const again = await openFileSystem(world.crash(world.point, { kind: 'none' }).device('disk'));
    expect(again.report.orphans).toBe(1);
    expect((await again.statfs()).freeBlocks).toBe(free);
    await again.close();
    await fs.release(ino);
    await expect(async () => fs.getattr(ino)).rejects.toThrow('no inode');
    expect((await fs.statfs()).freeBlocks).toBe(free);
  });

  test('a block that was logged, freed and then taken for file data keeps the data', async () => {
    const world = createCrashWorld({ seed: 3 });
    const disk = world.device('disk', { size: 8 << 20 });
    await format(disk);
    const fs = await openFileSystem(disk, { timer: undefined });
    const names = Array.from({ length: 20 }, (_, i) => Buffer.from(`directory ${i}`));
    for (const name of names) await fs.mkdir(ROOT_INO, name, { mode: 0o755 });
    await fs.sync();
    for (const name of names) await fs.rmdir(ROOT_INO, name);
    await fs.sync();
    const ino = await fs.create(ROOT_INO, Buffer.from('file'), { mode: 0o644 });
    const content = Buffer.alloc(40 * 4096, 'data');
    await fs.write(ino, content, 0);
    await fs.sync();
    // Replayed: the directories' images are in the journal, in front of their revocation.
    const crashed = world.crash(world.point, { kind: 'none' }).device('disk');
    const replayed = await openFileSystem(crashed, { timer: undefined });
    expect(replayed.report.replayed).toBe(3);
    expect(content.equals(await contentOf(replayed, ino))).toBe(true);
    await replayed.close();
    // Brought home: not from an image of what is there no more.
    await fs.freeze();
    const home = await openFileSystem(disk, { readOnly: true });
    expect(home.report.replayed).toBe(0);
    expect(content.equals(await contentOf(home, ino))).toBe(true);
  });
});
