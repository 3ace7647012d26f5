/**
 * Goal: each kind of damage is told by its own code, with the place; what is in order is not told of;
 * and nothing is written.
 * Method: an image of ours with everything in it, or one of others where ours has no such structure,
 * and one field of it changed.
 */
import { type BlockDevice, createMemoryDevice, readOnly } from '@palimpsest/block-device';
import { createCrashWorld } from '@palimpsest/block-device/testing';
import { describe, expect, test } from 'vitest';
import { readInode } from '../../src/check/inode-record.js';
import { DIRECTORY_RECORD } from '../../src/disk/directory-record.js';
import { GROUP_DESCRIPTOR } from '../../src/disk/group-descriptor.js';
import { INODE } from '../../src/disk/inode-record.js';
import { JOURNAL_SUPERBLOCK } from '../../src/disk/journal-record.js';
import { SUPERBLOCK } from '../../src/disk/superblock.js';
import { XATTR_HEAD } from '../../src/disk/xattr-record.js';
import {
  check,
  FINDING_MEANINGS,
  type FindingCode,
  format,
  openFileSystem,
  ROOT_INO,
} from '../../src/index.js';
import { fill } from '../support/fill.js';
import { KINDS, makeIndexed } from '../support/kinds.js';
import { deviceOf, hasTools, run, scratch } from '../support/tools.js';
import { find } from '../support/tree.js';
import { type Layout, layoutOf } from './damage.js';

const SB = SUPERBLOCK.at;
const GD = GROUP_DESCRIPTOR.at;

async function own(): Promise<BlockDevice> {
  const device = createMemoryDevice({ size: 12 << 20 });
  await format(device);
  const fs = await openFileSystem(device, { timer: undefined });
  await fill(fs);
  await fs.close();
  return device;
}

/** An image, and ways to change it. */
class Patient {
  readonly device: BlockDevice;
  readonly layout: Layout;

  private constructor(device: BlockDevice, layout: Layout) {
    this.device = device;
    this.layout = layout;
  }

  static async of(device: BlockDevice): Promise<Patient> {
    return new Patient(device, await layoutOf(device));
  }

  /** Changes the bytes at `position` of the device. */
  async change(position: number, edit: (view: DataView, bytes: Uint8Array) => void): Promise<void> {
    const size = this.device.blockSize;
    const from = Math.floor(position / size) * size;
    const bytes = new Uint8Array(2 * size);
    await this.device.readInto(bytes, from);
    const part = bytes.subarray(position - from);
    edit(new DataView(part.buffer, part.byteOffset), part);
    await this.device.write(bytes, from);
  }

  superblock(edit: (view: DataView) => void): Promise<void> {
    return this.change(1024, edit);
  }

  async descriptor(edit: (view: DataView) => void): Promise<void> {
    const { blockSize, firstDataBlock } = this.layout.geometry;
    await this.change((firstDataBlock + 1) * blockSize, edit);
  }

  async ino(path: string): Promise<number> {
    return await find(await openFileSystem(this.device, { readOnly: true }), path);
  }

  async inode(path: string | number, edit: (view: DataView) => void): Promise<void> {
    const ino = typeof path === 'number' ? path : await this.ino(path);
    const { inodeSize, inodesPerGroup, blockSize } = this.layout.geometry;
    const table = this.layout.groups[Math.floor((ino - 1) / inodesPerGroup)]?.inodeTable as number;
    await this.change(table * blockSize + ((ino - 1) % inodesPerGroup) * inodeSize, edit);
  }

  /** The first block of what an inode with extents in it has. */
  async firstBlock(path: string | number): Promise<number> {
    const ino = typeof path === 'number' ? path : await this.ino(path);
    const inode = await readInode(this.layout, ino);
    const view = new DataView(inode.root.buffer, inode.root.byteOffset);
    return view.getUint16(6, true) === 0 ? view.getUint32(20, true) : view.getUint32(16, true);
  }

  /** Changes the record of a name in the first block of a directory. */
  async record(
    directory: string,
    name: string,
    edit: (view: DataView, bytes: Uint8Array) => void,
  ): Promise<void> {
    const block =
      directory === '' ? await this.firstBlock(ROOT_INO) : await this.firstBlock(directory);
    const { blockSize } = this.layout.geometry;
    const bytes = new Uint8Array(blockSize);
    await this.device.readInto(bytes, block * blockSize);
    const at = Buffer.from(bytes).indexOf(name) - DIRECTORY_RECORD.size;
    await this.change(block * blockSize + at, edit);
  }
}

/** Changes of one of ours, by the code that tells them. */
const DAMAGES: Readonly<Partial<Record<FindingCode, (patient: Patient) => Promise<void>>>> = {
  superblock: (p) => p.superblock((view) => view.setUint16(SB.magic, 0, true)),
  feature: (p) => p.superblock((view) => view.setUint32(SB.incompatible, 0x1_0042, true)),
  journal: async (p) =>
    p.change((await p.firstBlock(8)) * 4096, (view) =>
      view.setUint32(JOURNAL_SUPERBLOCK.at.error, 5),
    ),
  descriptor: (p) => p.descriptor((view) => view.setUint32(GD.inodeTableLow, 0xffff, true)),
  inode: (p) => p.inode('seven', (view) => view.setUint16(INODE.at.mode, 0x7000, true)),
  deleted: (p) => p.inode('seven', (view) => view.setUint32(INODE.at.dtime, 5, true)),
  map: (p) => p.inode('seven', (view) => view.setUint16(INODE.at.block, 0xf30b, true)),
  outside: (p) => p.inode('seven', (view) => view.setUint32(INODE.at.block + 20, 9999, true)),
  shared: async (p) => {
    const block = await p.firstBlock('directory/big');
    await p.inode('seven', (view) => view.setUint32(INODE.at.block + 20, block, true));
  },
  blocks: (p) => p.inode('seven', (view) => view.setUint32(INODE.at.blocksLow, 16, true)),
  size: (p) => p.inode('directory/big', (view) => view.setUint32(INODE.at.sizeLow, 1, true)),
  hole: (p) => p.inode('directory', (view) => view.setUint32(INODE.at.block + 12, 100, true)),
  symlink: (p) => p.inode('directory/short', (view) => view.setUint32(INODE.at.sizeLow, 5, true)),
  record: (p) => p.record('', 'seven', (view) => view.setUint16(4, 7, true)),
  dots: (p) => p.record('directory', '..', (view) => view.setUint32(0, 11, true)),
  name: (p) => p.record('', 'seven', (_, bytes) => bytes.set(Buffer.from('/'), 10)),
  twice: (p) =>
    p.record('directory', 'file number 10', (_, bytes) => bytes.set(Buffer.from('1'), 21)),
  target: (p) => p.record('', 'seven', (view) => view.setUint32(0, 700, true)),
  type: (p) => p.record('', 'seven', (_, bytes) => bytes.fill(7, 7, 8)),
  parents: async (p) => {
    const ino = await p.ino('directory');
    await p.record('', 'seven', (view) => view.setUint32(0, ino, true));
  },
  unreachable: (p) => p.record('', 'seven', (view) => view.setUint32(0, 0, true)),
  links: (p) => p.inode('seven', (view) => view.setUint16(INODE.at.links, 2, true)),
  xattr: async (p) => {
    const { xattrBlock } = await readInode(p.layout, await p.ino('second name'));
    await p.change(xattrBlock * 4096, (view) => view.setUint32(XATTR_HEAD.size + 12, 1, true));
  },
  references: async (p) => {
    const { xattrBlock } = await readInode(p.layout, await p.ino('second name'));
    await p.change(xattrBlock * 4096, (view) => view.setUint32(XATTR_HEAD.at.references, 2, true));
  },
  'block-free': async (p) => {
    const block = await p.firstBlock('seven');
    await p.change((p.layout.groups[0]?.blockBitmap as number) * 4096, (_, bytes) => {
      bytes[block >> 3] = (bytes[block >> 3] as number) & ~(1 << (block & 7));
    });
  },
  'block-lost': (p) =>
    p.change((p.layout.groups[0]?.blockBitmap as number) * 4096, (_, bytes) =>
      bytes.fill(255, 380, 384),
    ),
  'inode-free': async (p) => {
    await p.change((p.layout.groups[0]?.inodeBitmap as number) * 4096, (_, bytes) =>
      bytes.fill(0, 4, 5),
    );
  },
  'inode-lost': (p) =>
    p.change((p.layout.groups[0]?.inodeBitmap as number) * 4096, (_, bytes) =>
      bytes.fill(255, 80, 81),
    ),
  padding: (p) =>
    p.change((p.layout.groups[0]?.inodeBitmap as number) * 4096, (_, bytes) =>
      bytes.fill(0, 4000, 4001),
    ),
  counts: (p) => p.superblock((view) => view.setUint32(SB.freeInodes, 1, true)),
  orphans: (p) => p.superblock((view) => view.setUint32(SB.lastOrphan, 3, true)),
};

describe('one of ours', () => {
  for (const [code, damage] of Object.entries(DAMAGES)) {
    test(`with damage that is told as ${code}`, async () => {
      const patient = await Patient.of(await own());
      expect(await check(patient.device)).toEqual([]);
      await damage(patient);
      const findings = await check(patient.device);
      expect(findings.map((each) => each.code)).toContain(code);
      for (const { message } of findings) expect(message).toMatch(/^.{10,}/);
    });
  }

  test('names the file concerned', async () => {
    const patient = await Patient.of(await own());
    await patient.inode('directory/file number 9', (view) =>
      view.setUint16(INODE.at.links, 2, true),
    );
    const [finding, ...rest] = await check(patient.device);
    expect(rest).toEqual([]);
    expect(finding).toEqual({
      code: 'links',
      severity: 'error',
      message: expect.stringMatching(/^inode \d+ has 1 names and says 2$/),
      ino: await patient.ino('directory/file number 9'),
      path: '/directory/file number 9',
    });
  });

  test('stops telling at the limit', async () => {
    const patient = await Patient.of(await own());
    await patient.change(
      (patient.layout.groups[0]?.inodeTable as number) * 4096 + 8192,
      (_, bytes) => bytes.fill(7, 0, 4096),
    );
    const findings = await check(patient.device, { limit: 5 });
    expect(findings).toHaveLength(6);
    expect(findings.at(-1)?.code).toBe('more');
    await expect(check(patient.device, { limit: 0 })).rejects.toMatchObject({
      code: 'ERR_INVALID',
    });
  });

  test('a device that holds none', async () => {
    const findings = await check(createMemoryDevice({ size: 1 << 20 }));
    expect(findings.map(({ code, severity }) => [code, severity])).toEqual([
      ['superblock', 'fatal'],
    ]);
  });
});

describe('one that was not closed', () => {
  test('is checked as its journal says, with its orphans, and nothing is written', async () => {
    const world = createCrashWorld({ seed: 5 });
    const disk = world.device('disk', { size: 12 << 20 });
    await format(disk);
    const fs = await openFileSystem(disk, { timer: undefined });
    await fill(fs);
    const ino = await fs.create(ROOT_INO, Buffer.from('open'), { mode: 0o600 });
    await fs.write(ino, Buffer.alloc(300_000, 1), 0);
    await fs.open(ino);
    await fs.unlink(ROOT_INO, Buffer.from('open'));
    await fs.sync();
    const crashed = world.crash(world.point, { kind: 'none' });
    expect(await check(readOnly(crashed.device('disk')))).toEqual([]);
    expect(crashed.point).toBe(0);
    expect((await openFileSystem(crashed.device('disk'), { readOnly: true })).report.orphans).toBe(
      1,
    );
    // Without its journal it would not be in order.
    await (await Patient.of(crashed.device('disk'))).superblock((view) =>
      view.setUint32(SB.incompatible, 0x42, true),
    );
    const codes = (await check(crashed.device('disk'))).map(({ code }) => code);
    expect(codes).toContain('journal');
  });
});

describe.skipIf(!hasTools)('one of others', () => {
  async function image(kind: string, more: readonly string[] = []): Promise<BlockDevice> {
    using folder = scratch();
    const file = `${folder.path}/image`;
    run('mke2fs', [...(KINDS[kind] as readonly string[]), ...more, '-q', file, '12M']);
    return await deviceOf(file);
  }

  test('with a wrong checksum', async () => {
    const patient = await Patient.of(await image('ext4, 1 KiB'));
    await patient.inode(ROOT_INO, (view) => view.setUint32(INODE.at.version, 77, true));
    expect((await check(patient.device)).map(({ code }) => code)).toEqual(['checksum']);
  });

  test('with a damaged inode for descriptors to come', async () => {
    const patient = await Patient.of(await image('ext3, 1 KiB'));
    await patient.inode(7, (view) => view.setUint32(INODE.at.block + 13 * 4, 1, true));
    expect((await check(patient.device)).map(({ code }) => code)).toContain('resize');
  });
});

test.skipIf(!hasTools)('a damaged index', async () => {
  using folder = scratch();
  const file = `${folder.path}/image`;
  await makeIndexed(file);
  const patient = await Patient.of(await deviceOf(file));
  expect(await check(patient.device)).toEqual([]);
  const { blockSize } = patient.layout.geometry;
  const root = await patient.firstBlock('many');
  await patient.change(root * blockSize + 0x24, (view) => view.setUint32(0, 77_777, true));
  expect((await check(patient.device)).map(({ code }) => code)).toContain('index');
});

test('every code is provoked', () => {
  const elsewhere: FindingCode[] = ['checksum', 'resize', 'more', 'index'];
  const all = [...Object.keys(DAMAGES), ...elsewhere].sort();
  expect(all).toEqual(Object.keys(FINDING_MEANINGS).sort());
});
