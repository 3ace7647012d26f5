/**
 * Where the structures of an image are, and how to damage one: what the tests of `check` turn over.
 */
import type { BlockDevice } from '@palimpsest/block-device';
import type { Random } from '@palimpsest/block-device/testing';
import { begun, type Checking } from '../../src/check/checking.js';
import { Sums } from '../../src/check/checksums.js';
import { Claims } from '../../src/check/claims.js';
import { walkMap } from '../../src/check/file-map.js';
import { Findings } from '../../src/check/finding.js';
import { tableBlocks } from '../../src/check/group-table.js';
import { InodeRecord } from '../../src/check/inode-record.js';
import { Source } from '../../src/check/source.js';
import { SUPERBLOCK } from '../../src/disk/superblock.js';
import { parseGeometry } from '../../src/geometry.js';

/** A structure on the device, in bytes. */
export interface Region {
  readonly what: string;
  readonly position: number;
  readonly length: number;
  /** For an inode in use, its number. */
  readonly ino?: number;
}

/** An image in order, as the passes of a check see it. */
export type Layout = Checking;

/** Reads the shape of an image in order. */
export async function layoutOf(device: BlockDevice): Promise<Layout> {
  const head = new Uint8Array(4096);
  await device.readInto(head, 0);
  const bytes = head.subarray(1024, 2048);
  const geometry = parseGeometry(bytes, device);
  const superblock = SUPERBLOCK.decode(bytes, 0);
  const source = new Source(device, geometry.blockSize);
  const sums = new Sums(superblock, geometry.checksumSeed);
  const layout = await begun({ source, superblock, geometry, sums, findings: new Findings(1) });
  if (layout === undefined) throw new Error('the image has no groups');
  return layout;
}

/** All structures of an image in order, by kind. */
export async function regionsOf(device: BlockDevice): Promise<Map<string, Region[]>> {
  const checking = await layoutOf(device);
  const { geometry, groups, source } = checking;
  const { blockSize, inodeSize, inodesPerGroup } = geometry;
  const found = new Map<string, Region[]>();
  const add = (what: string, position: number, length: number, ino?: number): void => {
    const list = found.get(what) ?? [];
    found.set(what, list);
    list.push({ what, position, length, ...(ino === undefined ? {} : { ino }) });
  };
  add('superblock', 1024, 1024);
  const table = (geometry.firstDataBlock + 1) * blockSize;
  add('descriptors', table, geometry.groups * geometry.descriptorSize);
  for (const [group, { blockBitmap, inodeBitmap, inodeTable }] of groups.entries()) {
    add('block bitmap', blockBitmap * blockSize, blockSize);
    add('inode bitmap', inodeBitmap * blockSize, Math.ceil(inodesPerGroup / 8) + 8);
    const { bytes: records } = await source.read(inodeTable, tableBlocks(geometry));
    for (let i = 0; i < inodesPerGroup; i++) {
      const record = records.subarray(i * inodeSize, (i + 1) * inodeSize);
      const inode = new InodeRecord(group * inodesPerGroup + i + 1, record);
      if (inode.links === 0) continue;
      add('inode', inodeTable * blockSize + i * inodeSize, inodeSize, inode.ino);
      if (inode.xattrBlock !== 0) add('xattrs', inode.xattrBlock * blockSize, blockSize);
      if (!inode.hasMap || inode.ino === 7) continue;
      let isFirst = true;
      const claims = new Claims(geometry);
      const ofMap = new Set<number>();
      const ofFile = new Set<number>();
      const claim = claims.claim.bind(claims);
      claims.claim = (start, count) => {
        if (count === 1) ofMap.add(start);
        return claim(start, count);
      };
      await walkMap({ ...checking, claims }, inode, {
        run({ start, count }) {
          for (let n = 0; n < count; n++) ofFile.add(start + n);
          if (inode.ino === geometry.journalInode) {
            if (isFirst) add('journal', start * blockSize, 1024);
            isFirst = false;
          }
          for (let n = 0; n < count && inode.isDirectory; n++) {
            add(
              inode.hasFlag(0x1000) && isFirst ? 'index' : 'directory',
              (start + n) * blockSize,
              blockSize,
            );
            isFirst = false;
          }
          if (inode.isSymlink) add('target', start * blockSize, inode.size + 4);
        },
      });
      for (const node of ofMap) if (!ofFile.has(node)) add('node', node * blockSize, blockSize);
    }
  }
  return found;
}

/** Some bytes to be put somewhere. */
export interface Damage {
  readonly what: string;
  readonly position: number;
  readonly bytes: Uint8Array;
  /** What was there. */
  readonly before: Uint8Array;
}

/** One random change of one structure. */
export async function damageOf(
  device: BlockDevice,
  regions: ReadonlyMap<string, readonly Region[]>,
  random: Random,
): Promise<Damage> {
  const region = random.pick(random.pick([...regions.values()]));
  // Structures mean most at their beginning.
  const length = random.chance(0.5) ? Math.min(region.length, 256) : region.length;
  const width = random.pick([1, 1, 1, 2, 4]);
  const at = Math.floor(random.below(length) / width) * width;
  const position = region.position + at;
  const from = Math.floor(position / 4096) * 4096;
  const block = new Uint8Array(4096);
  await device.readInto(block, from);
  const before = block.slice(position - from, position - from + width);
  const bytes = before.slice();
  if (width === 1) {
    const old = bytes[0] as number;
    bytes[0] = random.pick([
      old ^ (1 << random.below(8)),
      0,
      255,
      random.below(256),
      old + 1,
      old - 1,
    ]);
  } else {
    bytes.fill(0);
    bytes[0] = random.below(256);
    if (random.chance(0.3)) bytes[1] = random.below(256);
  }
  return { what: `${region.what} at ${position} (+${at})`, position, bytes, before };
}
