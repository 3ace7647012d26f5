/**
 * Image: an open image as its parts know it: where its inodes are and how their blocks are mapped. The
 * file system's operations stand on it; opening and formatting do too.
 */
import { Allocator } from './allocator.js';
import type { Block } from './block-cache.js';
import type { Core } from './core.js';
import { FsError } from './errors.js';
import { ExtentTree } from './extent-tree.js';
import type { Geometry } from './geometry.js';
import { GroupBitmaps } from './group-bitmaps.js';
import { Groups } from './groups.js';
import { IndirectMap } from './indirect-map.js';
import { Inode } from './inode.js';
import type { InodeTableSeal } from './seals/inode-table-seal.js';
import { admit } from './seals/seal.js';
import type { Seals } from './seals/seals.js';
import type { FsStatistics } from './vfs.js';

/** What a run of a file's blocks is. */
export interface FileRun {
  readonly kind: 'data' | 'hole' | 'unwritten';
  /** First block on the device; 0 for a hole. */
  readonly start: number;
  readonly count: number;
}

/** See the head of the file. */
export class Image {
  readonly core: Core;
  readonly geometry: Geometry;
  readonly groups: Groups;
  readonly space: Allocator;
  readonly #bitmaps: GroupBitmaps;
  readonly #inodesPerBlock: number;

  /** Runs as an operation. */
  constructor(core: Core, geometry: Geometry) {
    this.core = core;
    this.geometry = geometry;
    this.groups = Groups.read(core, geometry);
    this.#bitmaps = new GroupBitmaps(core, geometry, this.groups);
    this.space = new Allocator(core, geometry, this.groups, this.#bitmaps);
    this.#inodesPerBlock = geometry.blockSize / geometry.inodeSize;
  }

  /**
   * The inode record, in use or not; one that `isNew` was just taken and need not make sense.
   * @throws {FsError} ENOENT for a number that no inode has; EIO for damage
   */
  record(ino: number, isNew = false): Inode {
    const { inodes, inodesPerGroup, inodeSize } = this.geometry;
    if (!(ino >= 1 && ino <= inodes)) throw new FsError('ENOENT', `there is no inode ${ino}`);
    const group = Math.floor((ino - 1) / inodesPerGroup);
    const index = (ino - 1) % inodesPerGroup;
    const table = (this.groups.places[group] as { inodeTable: number }).inodeTable;
    const block = this.core.cache.get(table + Math.floor(index / this.#inodesPerBlock));
    if (this.core.seals !== undefined) this.#admit(block, ino, group, index, isNew);
    return new Inode(this.core, ino, block, (index % this.#inodesPerBlock) * inodeSize, inodeSize);
  }

  #admit(block: Block, ino: number, group: number, index: number, isNew: boolean): void {
    const first = index - (index % this.#inodesPerBlock);
    if (block.seal === undefined) {
      const used = Math.min(
        Math.max(this.#bitmaps.usedInodes(group) - first, 0),
        this.#inodesPerBlock,
      );
      const seal = (this.core.seals as Seals).inodes(ino - index + first, used);
      admit(block, seal, 'an inode');
    }
    const { unfit } = block.seal as InodeTableSeal;
    if (unfit.size === 0) return;
    if (isNew) unfit.delete(ino);
    const why = unfit.get(ino);
    if (why === 'unused') throw new FsError('ENOENT', `there is no inode ${ino}`);
    if (why === 'damaged')
      throw new FsError('EIO', `inode ${ino} is damaged: its checksum is wrong`);
  }

  /** The tree of an inode that has extents. */
  tree(inode: Inode): ExtentTree {
    return new ExtentTree(this.core, this.space, inode);
  }

  /** How much there is, and how much of it is free. */
  statistics(): FsStatistics {
    const { blocks, groups, inodes, inodesPerGroup, inodeSize, blockSize } = this.geometry;
    // What the format itself takes: bitmaps, tables, descriptors.
    const perGroup = 2 + Math.ceil((inodesPerGroup * inodeSize) / blockSize);
    const overhead = perGroup * groups + this.geometry.descriptorBlocks + 1;
    const freeBlocks = Math.max(0, this.space.freeBlocks);
    return {
      blockSize,
      blocks: Math.max(freeBlocks, blocks - overhead),
      freeBlocks,
      inodes,
      freeInodes: Math.max(0, this.space.freeInodes),
      uuid: this.geometry.uuid.slice(),
      label: this.geometry.label,
    };
  }

  /** What lies at block `logical` of a file, and for how many blocks, up to `limit`. */
  run(inode: Inode, logical: number, limit: number): FileRun {
    if (!inode.hasExtents) {
      const { start, count } = new IndirectMap(this.core, inode).run(logical, limit);
      return { kind: start === 0 ? 'hole' : 'data', start, count };
    }
    const extent = this.tree(inode).next(logical);
    if (extent === undefined) return { kind: 'hole', start: 0, count: limit };
    if (extent.logical > logical) {
      return { kind: 'hole', start: 0, count: Math.min(limit, extent.logical - logical) };
    }
    const skip = logical - extent.logical;
    const count = Math.min(limit, extent.count - skip);
    const start = extent.start + skip;
    this.core.cache.assertInside(start);
    this.core.cache.assertInside(start + count - 1);
    return { kind: extent.unwritten ? 'unwritten' : 'data', start, count };
  }

  /** The device's blocks of a file of `count` blocks without holes: a directory, the journal. */
  places(inode: Inode, count: number): number[] {
    const places: number[] = [];
    while (places.length < count) {
      const run = this.run(inode, places.length, count - places.length);
      if (run.kind === 'hole') {
        throw new FsError('EIO', `inode ${inode.ino} has a hole at its block ${places.length}`);
      }
      for (let i = 0; i < run.count; i++) places.push(run.start + i);
    }
    return places;
  }
}
