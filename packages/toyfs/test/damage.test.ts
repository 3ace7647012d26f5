/**
 * Goal: on images with metadata_csum, damage of any record is told with EIO, never read as if it were
 * right, never sealed anew (L3), and keeps nobody from what is whole.
 * Method: an image of mke2fs with a large file, a directory, xattrs and many inodes; one bit of each
 * kind of block is flipped, and what stands on it is asked for, and something beside it.
 */
import { writeFileSync } from 'node:fs';
import type { BlockDevice } from '@palimpsest/block-device';
import { beforeAll, describe, expect, test } from 'vitest';
import { type FileSystem, openFileSystem, ROOT_INO } from '../src/index.js';
import { complaints, deviceOf, hasTools, run, saveTo, scratch } from './support/tools.js';
import { contentOf, find } from './support/tree.js';

const name = (text: string): Buffer => Buffer.from(text);
const SIZE = 4096;

describe.skipIf(!hasTools)('damage, where metadata has checksums', () => {
  let image: Uint8Array;
  let facts: (request: string) => string;

  beforeAll(async () => {
    using folder = scratch();
    const file = `${folder.path}/image`;
    run('mke2fs', ['-q', '-t', 'ext4', '-b', '4096', file, '24M']);
    const device = await deviceOf(file);
    const fs = await openFileSystem(device, { timer: undefined });
    const directory = await fs.mkdir(ROOT_INO, name('directory'), { mode: 0o755 });
    for (let i = 0; i < 40; i++) await fs.create(directory, name(`file ${i}`), { mode: 0o644 });
    // Every other block, so that the extents need a node of their own.
    const holes = await fs.create(ROOT_INO, name('holes'), { mode: 0o644 });
    for (let i = 0; i < 12; i++) await fs.write(holes, Buffer.alloc(10, 'x'), i * 2 * SIZE);
    await fs.setXattr(holes, 'user.large', Buffer.alloc(1000, 'v'));
    await fs.create(ROOT_INO, name('whole'), { mode: 0o644 });
    await fs.close();
    await saveTo(file, device);
    image = new Uint8Array(24 << 20);
    await device.readInto(image, 0);
    writeFileSync(file, image);
    const said = new Map<string, string>();
    for (const request of ['stat /holes', 'ex /holes', 'stat /directory', 'imap /holes', 'stats']) {
      said.set(request, run('debugfs', ['-R', request, file]));
    }
    facts = (request) => said.get(request) ?? '';
  });

  const numberIn = (request: string, pattern: RegExp): number => {
    const found = pattern.exec(facts(request))?.[1];
    if (found === undefined) throw new Error(`no ${pattern} in ${facts(request)}`);
    return Number(found);
  };

  /** The image with one bit of block `block` flipped. */
  const damaged = async (block: number, at: number): Promise<BlockDevice> => {
    using folder = scratch();
    const bytes = image.slice();
    bytes[block * SIZE + at] = (bytes[block * SIZE + at] as number) ^ 0x10;
    writeFileSync(`${folder.path}/image`, bytes);
    return await deviceOf(`${folder.path}/image`);
  };

  const opened = (device: BlockDevice): Promise<FileSystem> =>
    openFileSystem(device, { timer: undefined });

  const isEio = { code: 'EIO' };

  test('an extent node', async () => {
    const node = numberIn('ex /holes', / 0\/ 1 .*?- *\d+ +(\d+)/);
    const fs = await opened(await damaged(node, 12 + 8));
    await expect(async () => contentOf(fs, await find(fs, 'holes'))).rejects.toMatchObject(isEio);
    expect(await contentOf(fs, await find(fs, 'whole'))).toHaveLength(0);
  });

  test('a directory', async () => {
    const block = numberIn('stat /directory', /\(0\):(\d+)/);
    const fs = await opened(await damaged(block, 100));
    const directory = await find(fs, 'directory');
    await expect(async () => fs.readdir(directory, 0, 10)).rejects.toMatchObject(isEio);
    await expect(async () =>
      fs.create(directory, name('new'), { mode: 0o644 }),
    ).rejects.toMatchObject(isEio);
    expect(await find(fs, 'whole')).toBeGreaterThan(0);
  });

  test('an xattr block', async () => {
    const block = numberIn('stat /holes', /File ACL: (\d+)/);
    const fs = await opened(await damaged(block, SIZE - 1));
    const ino = await find(fs, 'holes');
    await expect(async () => fs.getXattr(ino, 'user.large')).rejects.toMatchObject(isEio);
    expect(await contentOf(fs, ino)).toHaveLength(22 * SIZE + 10);
  });

  test('an inode, which stays damaged when its neighbours change', async () => {
    const block = numberIn('imap /holes', /block (\d+)/);
    const at = Number(/offset (0x[0-9a-f]+)/.exec(facts('imap /holes'))?.[1]);
    const device = await damaged(block, at + 8);
    const fs = await opened(device);
    const holes = await find(fs, 'holes');
    const whole = await find(fs, 'whole');
    await expect(async () => fs.getattr(holes)).rejects.toMatchObject(isEio);
    expect(Math.floor((holes - 1) / 16)).toBe(Math.floor((whole - 1) / 16));
    await fs.setattr(whole, { mode: 0o600 });
    await fs.close();
    const again = await opened(device);
    expect((await again.getattr(whole)).mode).toBe(0o600);
    await expect(async () => again.getattr(holes)).rejects.toMatchObject(isEio);
    expect(await complaints(device)).toContain('checksum does not match');
  });

  test('a bitmap', async () => {
    const fs = await opened(await damaged(numberIn('stats', /block bitmap at (\d+)/), 300));
    const ino = await fs.create(ROOT_INO, name('new'), { mode: 0o644 });
    await expect(async () => fs.write(ino, name('x'), 0)).rejects.toMatchObject(isEio);
    const other = await opened(await damaged(numberIn('stats', /inode bitmap at (\d+)/), 20));
    await expect(async () =>
      other.create(ROOT_INO, name('new'), { mode: 0 }),
    ).rejects.toMatchObject(isEio);
    expect(await find(other, 'holes')).toBeGreaterThan(0);
  });

  test('a group descriptor, the superblock', async () => {
    await expect(opened(await damaged(1, 12))).rejects.toMatchObject(isEio);
    await expect(opened(await damaged(0, 1024 + 120))).rejects.toMatchObject({
      code: 'ERR_CORRUPT',
    });
  });
});
