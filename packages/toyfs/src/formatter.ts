/**
 * Formatter: the blocks of a new image, collected and then written.
 *
 *   superblock | descriptors | block bitmap | inode bitmap | inode table | data ...      group 0
 *   (copies in some groups)  | block bitmap | inode bitmap | inode table | data ...      group n
 */
import { type BlockDevice, StorageError } from '@palimpsest/block-device';
import { viewOf } from '@palimpsest/bytes';
import { setBits } from './bitmap.js';
import { blockOver } from './block.js';
import { writeFirstRecords } from './directory-block.js';
import { EXTENT_MAX, ROOT_ENTRIES } from './disk/extent-record.js';
import { GROUP_DESCRIPTOR } from './disk/group-descriptor.js';
import { FLAG_EXTENTS, INO_JOURNAL, INO_LOST_FOUND, INODE } from './disk/inode-record.js';
import {
  JOURNAL_MAGIC,
  JOURNAL_REVOKES,
  JOURNAL_SUPERBLOCK,
  KIND_SUPERBLOCK_V2,
} from './disk/journal-record.js';
import { EXT_MAGIC, SUPERBLOCK, SUPERBLOCK_OFFSET } from './disk/superblock.js';
import { ExtentNode } from './extent-node.js';
import { FORMAT_FEATURES } from './features.js';
import {
  BLOCK,
  EXTRA_SIZE,
  FIRST_INODE,
  INODE_SIZE,
  LOST_FOUND_BLOCKS,
  PER_GROUP,
  type Plan,
} from './format-plan.js';
import { hasBackup } from './geometry.js';
import { ROOT_INO } from './vfs.js';
import { writeRuns } from './write-runs.js';

/** See the head of the file. */
export class Formatter {
  readonly #device: BlockDevice;
  readonly #plan: Plan;
  readonly #now: number;
  readonly #contents = new Map<number, Uint8Array>();
  /** For each group, the next free block: what is taken is taken from the front. */
  readonly #next: number[] = [];
  readonly #freeInodes: number[] = [];

  constructor(device: BlockDevice, plan: Plan, now: number) {
    this.#device = device;
    this.#plan = plan;
    this.#now = now;
    for (let group = 0; group < plan.groups; group++) {
      this.#next.push(this.#table(group) + plan.tableBlocks);
      this.#freeInodes.push(plan.inodesPerGroup - (group === 0 ? FIRST_INODE : 0));
    }
  }

  /** The first of `count` blocks in one run of a group. */
  take(group: number, count: number): number {
    const start = this.#next[group] as number;
    this.#next[group] = start + count;
    return start;
  }

  /** `count` blocks in as few runs as there are groups needed. */
  takeRuns(count: number): { start: number; count: number }[] {
    const runs: { start: number; count: number }[] = [];
    let left = count;
    // In the middle, as seeks go; and away from where the first files go.
    for (let step = 0; step < this.#plan.groups && left > 0; step++) {
      const group = (step + (this.#plan.groups >> 1)) % this.#plan.groups;
      const room = this.#end(group) - (this.#next[group] as number);
      const here = Math.min(left, room, EXTENT_MAX);
      if (here <= 0) continue;
      runs.push({ start: this.take(group, here), count: here });
      left -= here;
    }
    if (left > 0 || runs.length > ROOT_ENTRIES) {
      throw new StorageError('ERR_INVALID', 'the journal does not fit');
    }
    return runs;
  }

  inode(
    ino: number,
    mode: number,
    links: number,
    runs: readonly { start: number; count: number }[],
    owner: { uid: number; gid: number },
  ): void {
    const perBlock = BLOCK / INODE_SIZE;
    const bytes = this.#content(this.#table(0) + Math.floor((ino - 1) / perBlock));
    const base = ((ino - 1) % perBlock) * INODE_SIZE;
    const count = runs.reduce((sum, run) => sum + run.count, 0);
    const seconds = Math.floor(this.#now / 1000);
    const size = count * BLOCK;
    const units = count * (BLOCK / 512);
    INODE.encode(bytes, base, {
      ...INODE.decode(new Uint8Array(INODE.size), 0),
      mode,
      uidLow: owner.uid & 0xffff,
      uidHigh: owner.uid >>> 16,
      gidLow: owner.gid & 0xffff,
      gidHigh: owner.gid >>> 16,
      sizeLow: size % 2 ** 32,
      sizeHigh: Math.floor(size / 2 ** 32),
      atime: seconds,
      ctime: seconds,
      mtime: seconds,
      birthtime: seconds,
      links,
      blocksLow: units,
      flags: FLAG_EXTENTS,
      extraSize: EXTRA_SIZE,
    });
    const block = blockOver(bytes);
    ExtentNode.write(block, base + INODE.at.block, ROOT_ENTRIES, 0);
    const node = new ExtentNode(block, base + INODE.at.block, ROOT_ENTRIES);
    let logical = 0;
    runs.forEach((run, i) => {
      node.entries = i + 1;
      node.setExtent(i, { logical, ...run, unwritten: false });
      logical += run.count;
    });
  }

  directories(root: number, lostFound: number): void {
    const block = blockOver(this.#content(root));
    writeFirstRecords(block, ROOT_INO, ROOT_INO);
    // The second record gives its rest to a third: 12 bytes for each of the first two.
    const { view } = block;
    const at = 24;
    view.setUint16(12 + 4, 12, true);
    view.setUint32(at, INO_LOST_FOUND, true);
    view.setUint16(at + 4, BLOCK - at, true);
    view.setUint8(at + 6, 10);
    view.setUint8(at + 7, 2);
    block.bytes.set(new TextEncoder().encode('lost+found'), at + 8);
    writeFirstRecords(blockOver(this.#content(lostFound)), INO_LOST_FOUND, ROOT_INO);
    for (let i = 1; i < LOST_FOUND_BLOCKS; i++) {
      viewOf(this.#content(lostFound + i)).setUint16(4, BLOCK, true);
    }
  }

  journalSuperblock(start: number, uuid: Uint8Array): void {
    const bytes = this.#content(start);
    const view = viewOf(bytes);
    const at = JOURNAL_SUPERBLOCK.at;
    view.setUint32(at.magic, JOURNAL_MAGIC, false);
    view.setUint32(at.kind, KIND_SUPERBLOCK_V2, false);
    view.setUint32(at.blockSize, BLOCK, false);
    view.setUint32(at.blocks, this.#plan.journalBlocks, false);
    view.setUint32(at.first, 1, false);
    view.setUint32(at.sequence, 1, false);
    view.setUint32(at.incompatible, JOURNAL_REVOKES, false);
    view.setUint32(at.users, 1, false);
    bytes.set(uuid, at.uuid);
  }

  superblock(uuid: Uint8Array, label: Uint8Array): Uint8Array {
    const { blocks, groups, inodesPerGroup } = this.#plan;
    const seconds = Math.floor(this.#now / 1000);
    const free = this.#next.reduce((sum, next, group) => sum + this.#end(group) - next, 0);
    const journal = this.#content(this.#table(0)).subarray(
      (INO_JOURNAL - 1) * INODE_SIZE,
      INO_JOURNAL * INODE_SIZE,
    );
    const backup = new Uint8Array(68);
    backup.set(journal.subarray(INODE.at.block, INODE.at.block + 60));
    backup.set(journal.subarray(INODE.at.sizeHigh, INODE.at.sizeHigh + 4), 60);
    backup.set(journal.subarray(INODE.at.sizeLow, INODE.at.sizeLow + 4), 64);
    const bytes = new Uint8Array(SUPERBLOCK.size);
    SUPERBLOCK.encode(bytes, 0, {
      ...SUPERBLOCK.decode(bytes, 0),
      ...FORMAT_FEATURES,
      inodesCount: groups * inodesPerGroup,
      blocksCountLow: blocks,
      freeBlocksLow: free,
      freeInodes: groups * inodesPerGroup - FIRST_INODE,
      logBlockSize: 2,
      logClusterSize: 2,
      blocksPerGroup: PER_GROUP,
      clustersPerGroup: PER_GROUP,
      inodesPerGroup,
      writeTime: seconds,
      maxMountCount: 0xffff,
      magic: EXT_MAGIC,
      state: 1,
      errors: 2,
      lastCheck: seconds,
      revision: 1,
      firstInode: FIRST_INODE,
      inodeSize: INODE_SIZE,
      uuid,
      label: padded(label, 16),
      journalInode: INO_JOURNAL,
      hashSeed: uuid,
      hashVersion: 1,
      journalBackup: 1,
      made: seconds,
      journalBlocks: backup,
      minExtraSize: EXTRA_SIZE,
      wantExtraSize: EXTRA_SIZE,
      flags: 2,
    });
    return bytes;
  }

  /** Writes everything, the superblock at the very end (K1). */
  async write(superblock: Uint8Array): Promise<void> {
    const { groups, tableBlocks, descriptorBlocks } = this.#plan;
    const table = new Uint8Array(descriptorBlocks * BLOCK);
    for (let group = 0; group < groups; group++) {
      this.#descriptor(table, group);
      const inodes = this.#content(this.#groupMetadata(group) + 1);
      const taken = this.#plan.inodesPerGroup - (this.#freeInodes[group] as number);
      setBits(inodes, 0, taken, true);
      setBits(inodes, this.#plan.inodesPerGroup, PER_GROUP - this.#plan.inodesPerGroup, true);
      const bits = this.#content(this.#groupMetadata(group));
      const start = group * PER_GROUP;
      setBits(bits, 0, (this.#next[group] as number) - start, true);
      setBits(bits, this.#end(group) - start, start + PER_GROUP - this.#end(group), true);
      await this.#device.zero(this.#table(group) * BLOCK, tableBlocks * BLOCK);
      if (group === 0 || !hasBackup({ features: FORMAT_FEATURES }, group)) continue;
      const copy = this.#content(start);
      copy.set(superblock);
      viewOf(copy).setUint16(SUPERBLOCK.at.groupNumber, group, true);
    }
    for (let group = 0; group < groups; group++) {
      if (!hasBackup({ features: FORMAT_FEATURES }, group)) continue;
      for (let i = 0; i < descriptorBlocks; i++) {
        const part = table.subarray(i * BLOCK, (i + 1) * BLOCK);
        this.#contents.set(group * PER_GROUP + 1 + i, part);
      }
    }
    await writeRuns(this.#device, BLOCK, [...this.#contents]);
    await this.#device.flush();
    const first = new Uint8Array(BLOCK);
    first.set(superblock, SUPERBLOCK_OFFSET);
    await this.#device.write(first, 0);
    await this.#device.flush();
  }

  #descriptor(table: Uint8Array, group: number): void {
    const view = viewOf(table);
    const base = group * 32;
    const at = GROUP_DESCRIPTOR.at;
    const metadata = this.#groupMetadata(group);
    view.setUint32(base + at.blockBitmapLow, metadata, true);
    view.setUint32(base + at.inodeBitmapLow, metadata + 1, true);
    view.setUint32(base + at.inodeTableLow, metadata + 2, true);
    view.setUint16(base + at.freeBlocksLow, this.#end(group) - (this.#next[group] as number), true);
    view.setUint16(base + at.freeInodesLow, this.#freeInodes[group] as number, true);
    view.setUint16(base + at.directoriesLow, group === 0 ? 2 : 0, true);
  }

  /** The first block of a group's bitmaps and table. */
  #groupMetadata(group: number): number {
    const start = group * PER_GROUP;
    const copies = hasBackup({ features: FORMAT_FEATURES }, group);
    return copies ? start + 1 + this.#plan.descriptorBlocks : start;
  }

  #table(group: number): number {
    return this.#groupMetadata(group) + 2;
  }

  /** The block behind a group's last. */
  #end(group: number): number {
    return Math.min((group + 1) * PER_GROUP, this.#plan.blocks);
  }

  #content(number: number): Uint8Array {
    let bytes = this.#contents.get(number);
    if (bytes === undefined) {
      bytes = new Uint8Array(BLOCK);
      this.#contents.set(number, bytes);
    }
    return bytes;
  }
}

function padded(bytes: Uint8Array, length: number): Uint8Array {
  const result = new Uint8Array(length);
  result.set(bytes);
  return result;
}
