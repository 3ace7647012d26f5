/**
 * Goal: a file system is found in whichever partition it is, also when half of the table is lost; a table
 * that is lost altogether is never taken for none.
 * Method: disks made by the book are read by us and by sfdisk, and disks that sfdisk made by us; then
 * they are damaged at every place that a header or table can be.
 */
import { slice } from '@palimpsest/block-device';
import { checksum } from '@palimpsest/bytes';
import { format, fsPromises } from '@palimpsest/toyfs';
import { describe, expect, test } from 'vitest';
import { createFileVerbs } from '../src/index.js';
import { partitionsOf } from '../src/partitions.js';
import { deviceOf, gptDisk, hasSfdisk, sfdiskDisk, sfdiskPartitions } from './disks.js';
import { bytesOf, complaints, fixture } from './support.js';

const MIB = 1 << 20;
/** In sectors of 512 bytes, with a gap in the numbers, and not in the order of the disk. */
const PARTS = [
  [1, 2048, 2048],
  [3, 8192, 4096],
  [4, 6144, 1024],
] as const;
const FOUND = PARTS.map(([number, first, count]) => ({
  number,
  position: first * 512,
  length: count * 512,
}));

async function found(disk: Uint8Array, blockSize?: number) {
  return await partitionsOf(await deviceOf(disk, blockSize), 'prod');
}

describe('a GPT', () => {
  test.each([512, 4096, 65_536])(
    'is read on a store with blocks of %s bytes',
    async (blockSize) => {
      expect(await found(gptDisk(8 * MIB, PARTS), blockSize)).toEqual(FOUND);
      expect(await found(gptDisk(8 * MIB, PARTS, { entry: 256 }), blockSize)).toEqual(FOUND);
      const of4Ki = PARTS.map(([number, first, count]) => [number, first / 8, count / 8] as const);
      expect(await found(gptDisk(8 * MIB, of4Ki, { sector: 4096 }), blockSize)).toEqual(FOUND);
    },
  );

  test.skipIf(!hasSfdisk)('is what sfdisk reads and writes', async () => {
    expect(sfdiskPartitions(gptDisk(8 * MIB, PARTS))).toEqual(
      FOUND.toSorted((a, b) => a.number - b.number),
    );
    const made = sfdiskDisk(16 * MIB, 'label: gpt\nsize=3M\nsize=2M, type=swap\nsize=4M\n');
    expect(await found(made)).toEqual(sfdiskPartitions(made));
    expect(await found(made)).toHaveLength(3);
  });

  /** What to spoil of a header at byte `at` whose table is at `table`. */
  const DAMAGES: Record<string, (disk: Buffer, at: number, table: number) => void> = {
    'its signature': (disk, at) => disk.write('efi part', at, 'latin1'),
    'its checksum': (disk, at) => flip(disk, at + 16),
    'a field of it': (disk, at) => flip(disk, at + 57),
    'its size': (disk, at) => disk.writeUInt32LE(0xffff_ffff, at + 12),
    'an entry of its table': (disk, _at, table) => flip(disk, table + 128 * 2 + 33),
    'an unused entry of its table': (disk, _at, table) => flip(disk, table + 128 * 100),
    'where its table is': (disk, at) => resealed(disk, at, () => flip(disk, at + 79)),
    'the length of its table': (disk, at) => resealed(disk, at, () => flip(disk, at + 83)),
    'where it is': (disk, at) => resealed(disk, at, () => flip(disk, at + 24)),
  };
  const first = [512, 1024] as const;
  const copy = [8 * MIB - 512, 8 * MIB - 512 - 128 * 128] as const;

  test.each(Object.entries(DAMAGES))('with %s damaged is read from its copy', async (_, damage) => {
    const disk = gptDisk(8 * MIB, PARTS);
    damage(disk, ...first);
    expect(await found(disk)).toEqual(FOUND);
    // An image that was padded to whole blocks has its copy not quite at its end.
    const odd = gptDisk(8 * MIB + 512, PARTS);
    damage(odd, ...first);
    expect(await found(Buffer.concat([odd, Buffer.alloc(4096 - 512)]))).toEqual(FOUND);
    // And with the copy lost, it is asked for nothing.
    const other = gptDisk(8 * MIB, PARTS);
    damage(other, ...copy);
    expect(await found(other)).toEqual(FOUND);
    damage(other, ...first);
    await expect(found(other)).rejects.toMatchObject({
      code: 'ERR_CORRUPT',
      message: expect.stringMatching(/\(GPT\) of prod is damaged, and so is its copy/),
    });
  });

  test('whose headers lie about a sound table is believed in neither', async () => {
    const disk = gptDisk(8 * MIB, PARTS);
    flip(disk, 512 + 16);
    flip(disk, copy[1] + 40);
    await expect(found(disk)).rejects.toThrow(
      /byte 512 has a wrong checksum; .* byte 8388096 has a table, at byte 8371712, whose checksum/,
    );
  });
});

test('partitions of an MBR are found, and those within an extended one', async () => {
  const disk = Buffer.alloc(16 * MIB);
  table(disk, 0, [
    [0x83, 2048, 2048],
    [0x05, 8192, 16_384],
  ]);
  // Each next table is counted from the extended partition on, its own partition from the table on.
  table(disk, 8192, [
    [0x83, 2048, 1024],
    [0x05, 4096, 4096],
  ]);
  table(disk, 12_288, [[0x83, 64, 1000]]);
  const expected = [
    { number: 1, position: MIB, length: MIB },
    { number: 5, position: 10_240 * 512, length: 1024 * 512 },
    { number: 6, position: 12_352 * 512, length: 1000 * 512 },
  ];
  expect(await found(disk)).toEqual(expected);
  if (hasSfdisk) {
    expect(sfdiskPartitions(disk)).toEqual(expected);
    const script =
      'label: dos\nsize=2M\nsize=10M, type=extended\n5: size=2M\n6: size=1M\n7: size=3M\n';
    const made = sfdiskDisk(16 * MIB, script);
    expect(await found(made)).toEqual(sfdiskPartitions(made));
    expect((await found(made)).map(({ number }) => number)).toEqual([1, 5, 6, 7]);
  }
  // A chain that goes in a circle ends, and so does one that leads outside.
  table(disk, 12_288, [
    [0x83, 64, 1000],
    [0x05, 0, 4096],
  ]);
  expect((await found(disk)).slice(0, 3)).toEqual(expected);
  table(disk, 12_288, [
    [0x83, 64, 1000],
    [0x05, 0xffff_fff0, 4096],
  ]);
  expect(await found(disk)).toEqual(expected);
});

test('the file systems in partitions are read and written, each by its number', async () => {
  const { store, mounts } = await fixture();
  await store.createVolume({ name: 'disk', size: 32 * MIB });
  const files = createFileVerbs(mounts);
  const half = 12 * MIB;
  const parts = [
    [1, 2048, half / 512],
    [2, 2048 + half / 512, half / 512],
  ] as const;
  await mounts.withDevice('disk', async ({ device }) => {
    await device.write(gptDisk(32 * MIB, parts), 0);
  });
  await expect(mounts.mount('disk')).rejects.toThrow(/partitions \(1, 2\); .* --partition 1/);
  await expect(mounts.mount('disk', { partition: 7 })).rejects.toThrow(
    'disk has partitions 1, 2, and no partition 7',
  );
  await expect(mounts.mount('disk', { partition: 2 })).rejects.toThrow(/no ext2, ext3 or ext4/);
  await mounts.withDevice('disk', async ({ device }) => {
    for (const [number, start] of parts) {
      await format(slice(device, start * 512, half), { label: `number ${number}` });
    }
  });
  for (const partition of [1, 2]) {
    await using mount = await mounts.mount('disk', { partition, write: true });
    await fsPromises(mount.fs).writeFile('/name', `in ${partition}`);
  }
  const { reference } = await store.createSnapshot({ volume: 'disk', name: 'snap' });
  // The first header is lost after it, in production.
  const bytes = Buffer.alloc(4096);
  await mounts.withDevice('disk', async ({ device }) => {
    await device.readInto(bytes, 0);
    bytes.fill(0, 512, 1024);
    await device.write(bytes, 0);
  });
  for (const name of ['disk', reference]) {
    for (const partition of [1, 2]) {
      await using mount = await mounts.mount(name, { partition });
      expect(await fsPromises(mount.fs).readFile('/name', 'utf8')).toBe(`in ${partition}`);
    }
  }
  // With both lost nothing is found, and nobody makes a file system over it unasked.
  await mounts.withDevice('disk', async ({ device }) => {
    const image = Buffer.alloc(half);
    await device.readInto(image, MIB);
    expect(complaints(image)).toBe('');
    await device.zero(device.size - 4096, 4096);
  });
  await expect(mounts.mount('disk', { partition: 1 })).rejects.toMatchObject({
    code: 'ERR_CORRUPT',
    message: expect.stringContaining('of disk is damaged'),
  });
  await expect(files.format('disk')).rejects.toThrow('a damaged partition table on disk');
  await files.format('disk', { overwrite: true });
  await using whole = await mounts.mount('disk');
  expect(await fsPromises(whole.fs).readdir('/')).toEqual(['lost+found']);
});

test('a snapshot of a disk is clean when all its partitions are, the mounted one frozen (AR1)', async () => {
  const { store, mounts } = await fixture();
  await store.createVolume({ name: 'disk', size: 32 * MIB });
  const half = 12 * MIB;
  const parts = [
    [1, 2048, half / 512],
    [2, 2048 + half / 512, half / 512],
    [3, 2048 + half / 256, 16],
  ] as const;
  const at = (number: 1 | 2 | 3): number => (parts[number - 1]?.[1] ?? 0) * 512;
  const label = async (): Promise<string> =>
    (await store.createSnapshot({ volume: 'disk' })).consistency;
  const change = (position: number, edit: (block: Buffer) => void): Promise<void> =>
    mounts.withDevice('disk', async ({ device }) => {
      const block = Buffer.alloc(4096);
      await device.readInto(block, position);
      edit(block);
      await device.write(block, position);
    });
  await mounts.withDevice('disk', async ({ device }) => {
    await device.write(gptDisk(32 * MIB, parts), 0);
    for (const number of [1, 2] as const) await format(slice(device, at(number), half));
  });
  expect(await label()).toBe('crash-consistent'); // nobody knows what is in the third
  await change(at(3), (block) => void block.write('SWAPSPACE2', 4086, 'latin1'));
  expect(await label()).toBe('clean');

  const mount = await mounts.mount('disk', { partition: 2, write: true });
  const fs = fsPromises(mount.fs);
  for (let i = 0; i < 5; i++) {
    await fs.writeFile(`/f${i}`, Buffer.alloc(100_000, i));
    const { reference, consistency } = await store.createSnapshot({ volume: 'disk' });
    expect(consistency).toBe('clean');
    const image = (await bytesOf(store, reference)).subarray(at(2), at(2) + half);
    expect(complaints(image)).toBe('');
  }
  await mount.release();
  expect(await label()).toBe('clean');
  // A guest that has the first one mounted: its journal is needed.
  await change(at(1), (block) => flip4(block, 1024 + 96));
  expect(await label()).toBe('crash-consistent');
  await change(at(1), (block) => flip4(block, 1024 + 96));
  expect(await label()).toBe('clean');
  // No table that can be believed, and one that is empty.
  await change(0, (block) => block.fill(0, 512, 1024));
  await change(32 * MIB - 4096, (block) => void block.fill(0));
  expect(await label()).toBe('crash-consistent');
  await mounts.withDevice('disk', async ({ device }) => {
    await device.write(gptDisk(32 * MIB, []), 0);
  });
  expect(await label()).toBe('crash-consistent');
});

/** Turns over the bit of `needs_recovery`. */
function flip4(block: Buffer, at: number): void {
  block[at] = (block[at] as number) ^ 4;
}

function flip(bytes: Buffer, at: number): void {
  bytes[at] = (bytes[at] as number) ^ 0x40;
}

/** Changes a header and makes its checksum right again. */
function resealed(disk: Buffer, at: number, change: () => void): void {
  change();
  disk.writeUInt32LE(0, at + 16);
  disk.writeUInt32LE(checksum(disk.subarray(at, at + 92)), at + 16);
}

/** Writes an MBR or a table of its kind: type, start, count, in sectors. */
function table(disk: Buffer, sector: number, entries: readonly (readonly number[])[]): void {
  const at = sector * 512;
  disk.fill(0, at, at + 512);
  for (const [i, [type = 0, start = 0, count = 0]] of entries.entries()) {
    disk.writeUInt8(type, at + 446 + 16 * i + 4);
    disk.writeUInt32LE(start, at + 446 + 16 * i + 8);
    disk.writeUInt32LE(count, at + 446 + 16 * i + 12);
  }
  disk.writeUInt16LE(0xaa55, at + 510);
}
