/**
 * Goal: the kernel and we mean the same by every image, in both directions: what we write it reads,
 * what it writes we read, and what one replays from a journal the other does too.
 * Method: random histories. Ours are mounted, read-only and for writing. The kernel's, on file systems
 * of every kind, are copied while mounted, so that the journal is dirty and files without names are
 * open: we replay into memory, the kernel on the copy, e2fsck on another. Then we go on where the
 * kernel stopped, and it looks again. Compared are names, types, modes, owners, links, times to the
 * nanosecond, sizes, blocks taken, where there is data and where holes, bytes, xattrs and targets; and
 * of the replay by e2fsck all blocks of the image but the superblock's and the journal's.
 */
import { copyFileSync } from 'node:fs';
import { type BlockDevice, createMemoryDevice } from '@palimpsest/block-device';
import { createRandom, type Random } from '@palimpsest/block-device/testing';
import { describe, expect, test } from 'vitest';
import { type FileSystem, format, openFileSystem, ROOT_INO } from '../../src/index.js';
import { journalReader } from '../../src/journal-reader.js';
import { parseJournal, replayJournal } from '../../src/journal-replay.js';
import { EMPTY, step } from '../support/history.js';
import { all, deviceOf, fileComplaints, run, saveTo, scratch } from '../support/tools.js';
import {
  differences,
  isRequired,
  kernelHistory,
  kernelTree,
  mounted,
  obstacle,
  ourTree,
} from './kernel.js';

const KINDS: Record<string, readonly [type: string, ...args: string[]]> = {
  'ext4, as mke2fs makes it': ['ext4'],
  'ext4 of 4 KiB': ['ext4', '-b', '4096'],
  'ext4 of 2 KiB, small groups': ['ext4', '-b', '2048', '-g', '2048', '-G', '2'],
  'ext4 without checksums': ['ext4', '-b', '1024', '-O', '^metadata_csum,^64bit'],
  'ext4 with a file of orphans': ['ext4', '-b', '4096', '-O', 'orphan_file,metadata_csum_seed'],
  'ext3 of 4 KiB': ['ext3', '-b', '4096'],
  'ext3 of 1 KiB': ['ext3', '-b', '1024'],
  'ext2 of 1 KiB': ['ext2', '-b', '1024'],
  'ext2 of 4 KiB, small inodes': ['ext2', '-b', '4096', '-I', '128'],
};

const OURS = Number(process.env.TOYFS_KERNEL_HISTORIES ?? 24);
const THEIRS = 2;
/** Part of `npm run fs-floors` only. */
const why = all ? obstacle() : 'TOYFS_ALL is not set';
/** A mount waits for all of a busy machine. */
const PATIENCE = { timeout: 300_000 };
if (all && why !== undefined && !isRequired)
  console.warn(`SKIPPED: the kernel cannot be asked: ${why}`);

test.runIf(isRequired)('the kernel can be asked', () => expect(why).toBeUndefined());

describe.skipIf(why !== undefined)('what we write, the kernel reads', PATIENCE, () => {
  for (let seed = 1; seed <= OURS; seed++) {
    test(`history ${seed}`, async () => {
      const random = createRandom(`kernel ${seed}`);
      using folder = scratch();
      const file = `${folder.path}/image`;
      const device = await freshDevice(seed, file);
      const fs = await openFileSystem(device, { timer: undefined });
      await ourHistory(fs, random, 80);
      const ours = await ourTree(fs);
      // Half of the images are cut off after a sync, for the kernel to replay.
      if (seed % 2 === 0) await fs.close();
      else await fs.sync();
      await saveTo(file, device);
      if (seed % 2 === 0) {
        using mount = mounted(file, 'ro');
        expect(differences(ours, kernelTree(mount.path))).toEqual([]);
      }
      {
        using mount = mounted(file, 'rw');
        expect(differences(ours, kernelTree(mount.path))).toEqual([]);
        const close = await kernelHistory(mount.path, `after ${seed}`, 20, 'small');
        await close();
      }
      expect(await faults(file)).toBe('');
      expect(Object.keys(ours).length).toBeGreaterThan(5);
    });
  }
});

describe.skipIf(why !== undefined)('what the kernel writes, we read', PATIENCE, () => {
  for (const [kind, [type, ...args]] of Object.entries(KINDS)) {
    for (let seed = 1; seed <= THEIRS; seed++) {
      test(`${kind}, history ${seed}`, async () => {
        using folder = scratch();
        const file = `${folder.path}/image`;
        const [open, closed] = [`${folder.path}/open`, `${folder.path}/closed`];
        const isLarge = seed === 1;
        run('mke2fs', ['-q', '-t', type, ...args, '-N', '8000', file, isLarge ? '40M' : '20M']);
        {
          using mount = mounted(file, 'rw', type);
          const scale = isLarge ? 'large' : 'small';
          const close = await kernelHistory(mount.path, `${kind} ${seed}`, 250, scale);
          run('sync', ['-f', mount.path]);
          copyFileSync(file, open); // With files that are open and have no names.
          await close();
          run('sync', ['-f', mount.path]);
          copyFileSync(file, closed);
        }
        if (type !== 'ext2') {
          await assertSameTree(open, folder.path, type);
          await assertSameBlocks(closed, folder.path);
        }
        const fs = await openFileSystem(await deviceOf(file), { readOnly: true });
        const ours = await ourTree(fs);
        {
          using mount = mounted(file, 'ro', type);
          expect(differences(ours, kernelTree(mount.path))).toEqual([]);
        }
        expect(Object.keys(ours).length).toBeGreaterThan(30);
        if (type === 'ext4') await goOn(file, createRandom(`${kind} ${seed}`), type);
      });
    }
  }
});

/** What e2fsck finds wrong: not that the kernel's trees of extents could be shorter. */
async function faults(file: string): Promise<string> {
  const lines = (await fileComplaints(file)).split('\n');
  const isHint = (line: string): boolean =>
    /Inode \d+ extent tree \(at level \d\) could be (shorter|narrower)|^Optimize\? no$/.test(line);
  return lines.filter((line) => !isHint(line)).join('\n');
}

/** Changes what the kernel wrote, and has it and e2fsck look. */
async function goOn(file: string, random: Random, type: string): Promise<void> {
  const device = await deviceOf(file);
  const fs = await openFileSystem(device, { timer: undefined });
  expect(fs.report.readOnlyReason).toBeUndefined();
  const names = await fs.readdir(ROOT_INO, 0, 100);
  const many = names.find(({ name }) => Buffer.from(name).toString() === 'many');
  // A directory with a hash index.
  for (let i = 1; many !== undefined && i < 300; i += 7) {
    await fs.unlink(many.ino, Buffer.from(`name number ${i}`));
    await fs.create(many.ino, Buffer.from(`ours ${i}`), { mode: 0o640 });
  }
  await ourHistory(fs, random, 80);
  const ours = await ourTree(fs);
  await fs.close();
  await saveTo(file, device);
  expect(await faults(file)).toBe('');
  using mount = mounted(file, 'ro', type);
  expect(differences(ours, kernelTree(mount.path))).toEqual([]);
}

/** Has us and the kernel replay the same journal, and look at the trees. */
async function assertSameTree(dirty: string, folder: string, type: string): Promise<void> {
  const fs = await openFileSystem(await deviceOf(dirty), { readOnly: true });
  expect(fs.report.replayed).toBeGreaterThan(0);
  const ours = await ourTree(fs);
  const theirs = `${folder}/theirs`;
  copyFileSync(dirty, theirs);
  using mount = mounted(theirs, 'rw', type);
  expect(differences(ours, kernelTree(mount.path))).toEqual([]);
}

/** Has us and e2fsck replay the same journal: all blocks are equal but the superblock and the journal. */
async function assertSameBlocks(dirty: string, folder: string): Promise<void> {
  const replayed = `${folder}/replayed`;
  copyFileSync(dirty, replayed);
  try {
    run('e2fsck', ['-p', '-E', 'journal_only', replayed]);
  } catch (error) {
    expect((error as { status: number }).status).toBe(1); // "Errors corrected": it replayed.
  }
  const [device, expected] = [await deviceOf(dirty), await deviceOf(replayed)];
  const { blockSize } = await (await openFileSystem(device, { readOnly: true })).statfs();
  const places = journalBlocks(dirty);
  const read = journalReader(device, blockSize, places);
  const superblock = new Uint8Array(blockSize);
  await read(superblock, 0);
  const state = parseJournal(superblock, blockSize);
  const { contents } = await replayJournal(state, blockSize, read, 1 << 28);
  const skipped = new Set([...places, blockSize === 1024 ? 1 : 0]);
  const [ours, theirs] = [new Uint8Array(blockSize), new Uint8Array(blockSize)];
  for (let block = 0; (block + 1) * blockSize <= device.size; block++) {
    if (skipped.has(block)) continue;
    await expected.readInto(theirs, block * blockSize);
    const logged = contents.get(block);
    if (logged === undefined) await device.readInto(ours, block * blockSize);
    else ours.set(logged);
    if (Buffer.compare(ours, theirs) !== 0) throw new Error(`block ${block} is replayed otherwise`);
  }
}

/** Where the blocks of the journal are. */
function journalBlocks(file: string): number[] {
  const size = Number(/Size: (\d+)/.exec(run('debugfs', ['-R', 'stat <8>', file]))?.[1]);
  const blockSize = Number(/Block size: +(\d+)/.exec(run('debugfs', ['-R', 'stats', file]))?.[1]);
  const script = Array.from({ length: size / blockSize }, (_, i) => `bmap <8> ${i}`).join('\n');
  return run('debugfs', ['-f', '-', file], script)
    .split('\n')
    .filter((line) => /^\d+$/.test(line))
    .map(Number);
}

/** An empty image: of our own, or of mke2fs. */
async function freshDevice(seed: number, file: string): Promise<BlockDevice> {
  if (seed % 4 < 2) {
    const device = createMemoryDevice({ blockSize: 512, size: 12 << 20 });
    await format(device);
    return device;
  }
  run('mke2fs', ['-q', '-t', 'ext4', '-b', seed % 8 < 4 ? '4096' : '1024', file, '16M']);
  return await deviceOf(file);
}

/** Random operations of ours, and random attributes on what is there then. */
async function ourHistory(fs: FileSystem, random: Random, count: number): Promise<void> {
  let state = EMPTY;
  for (let i = 0; i < count; i++) {
    ({ state } = await step(fs, state, random));
    if (random.chance(0.05)) await fs.sync();
  }
  for (const [path, id] of state.names) {
    if (state.nodes.get(id)?.kind !== 'file') continue;
    let ino = ROOT_INO;
    for (const part of path.split('/').slice(1)) ino = await fs.lookup(ino, Buffer.from(part));
    await fs.setattr(ino, {
      mode: random.below(0o10000),
      uid: random.below(2 ** 32),
      gid: random.below(2 ** 32),
      atime: BigInt(random.below(2 ** 31)) * 1_000_000_007n,
      mtime: BigInt(random.below(2 ** 31) - 2 ** 30) * 1_000_000_009n,
    });
    const size = random.pick([0, 20, 90, 400]);
    await fs.setXattr(ino, 'user.first', Buffer.alloc(size, 'v'));
    await fs.setXattr(ino, 'user.second', Buffer.alloc(random.below(100), 'w'));
  }
}
