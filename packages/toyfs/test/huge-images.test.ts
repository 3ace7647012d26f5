/**
 * Goal: an image of more than 2^32 blocks is read wherever its blocks are, and never changed: the tags of
 * the journal written here hold 32 bits of a block's number, and the rest of it would be lost.
 * Method: mke2fs makes one of 17 TiB in a sparse file; debugfs moves a file's one block beyond block
 * 2^32, and leaves its new content in the journal. Every write to the device is counted.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BlockDevice, createMemoryDevice } from '@palimpsest/block-device';
import { openFileDevice } from '@palimpsest/block-device-file';
import { describe, expect, test } from 'vitest';
import { openFileSystem, probe, type Vfs } from '../src/index.js';
import { debugfs, hasTools, run, scratch } from './support/tools.js';
import { find } from './support/tree.js';

/** Beyond 2^32, in a group that nothing else is in. */
const FAR = 4_500_000_000;
/** Metadata that mke2fs would spread over the device, and its time, are not what is tried here. */
const SMALL = '64bit,metadata_csum,sparse_super2,^resize_inode,^dir_index';

function makeImage(file: string): void {
  run('mke2fs', [
    ...['-q', '-t', 'ext4', '-b', '4096', '-I', '256', '-N', '600000', '-J', 'size=4'],
    ...['-O', SMALL, '-E', 'num_backup_sb=0,lazy_itable_init=1,lazy_journal_init=1', file, '17T'],
  ]);
}

/** An image with the file `far`, whose content is `stored` on the device and `logged` in the journal. */
async function hugeImage(folder: string, stored: Buffer, logged: Buffer): Promise<string> {
  const file = join(folder, 'image');
  const note = join(folder, 'note');
  const block = join(folder, 'block');
  writeFileSync(note, stored);
  writeFileSync(block, logged);
  makeImage(file);
  // The file's one extent, as it lies in the inode: one block long, and the high half of its place.
  const length = 1 + 0x1_0000 * Math.floor(FAR / 2 ** 32);
  await debugfs(
    file,
    [
      `write ${note} far`,
      `set_inode_field far block[4] ${length}`,
      `set_inode_field far block[5] ${FAR % 2 ** 32}`,
      `zap_block -p ${stored[0]} ${FAR}`,
      'journal_open',
      `journal_write -b ${FAR} ${block}`,
      'journal_close',
    ].join('\n'),
  );
  return file;
}

async function contentOf(fs: Vfs, ino: number): Promise<Buffer> {
  const bytes = Buffer.alloc(5000);
  return bytes.subarray(0, await fs.read(ino, bytes, 0));
}

/** The device, and how often it was written to. */
function counted(device: BlockDevice): { device: BlockDevice; writes: number } {
  const watched = { device, writes: 0 };
  watched.device = new Proxy(device, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        if (['write', 'zero', 'discard'].includes(String(name))) watched.writes++;
        return value.apply(target, args);
      };
    },
  });
  return watched;
}

describe.skipIf(!hasTools)('an image of more than 2^32 blocks', () => {
  test('is read beyond that, from the device and from its journal, and opens read-only', async () => {
    using folder = scratch();
    const stored = Buffer.alloc(4096, 's');
    const logged = Buffer.alloc(4096, 'j');
    const file = await hugeImage(folder.path, stored, logged);
    const watched = counted(await openFileDevice(file, { blockSize: 4096 }));
    expect(await probe(watched.device)).toMatchObject({ kind: 'ext4', isClean: false });
    const fs = await openFileSystem(watched.device);
    expect(fs.report.replayed).toBe(1);
    expect(fs.report.readOnlyReason).toMatch(/4563402752 blocks.*4294967296/);
    const far = await find(fs, 'far');
    expect(await contentOf(fs, far)).toEqual(logged);
    await expect(async () => fs.write(far, Buffer.from('lost'), 0)).rejects.toMatchObject({
      code: 'EROFS',
    });
    await fs.close();
    expect(watched.writes).toBe(0);

    const asItIs = await openFileSystem(watched.device, { readOnly: true, replay: false });
    expect(await contentOf(asItIs, far)).toEqual(stored);
    await asItIs.close();
    await watched.device.close();
  });

  test('is not clean on a device that holds less of it', async () => {
    using folder = scratch();
    const file = join(folder.path, 'image');
    makeImage(file);
    const whole = await openFileDevice(file, { blockSize: 4096 });
    expect(await probe(whole)).toMatchObject({ isClean: true });
    const block = new Uint8Array(4096);
    await whole.readInto(block, 0);
    await whole.close();
    // The low half of its size would fit here.
    const part = createMemoryDevice({ size: 2 * 2 ** 40 });
    await part.write(block, 0);
    expect(await probe(part)).toMatchObject({ isClean: false });
  });
});
