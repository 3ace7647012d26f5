/**
 * Image: an open image as its parts know it: where its inodes are and how their blocks are mapped. The
 * file system's operations stand on it; opening and formatting do too.
 */
import type { Allocator } from './allocator.js';
import type { Core } from './core.js';
import { FsError } from './errors.js';
import { ExtentTree } from './extent-tree.js';
import type { Geometry } from './geometry.js';
import type { Groups } from './groups.js';
import { IndirectMap } from './indirect-map.js';
import { Inode } from './inode.js';
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
  readonly #inodesPerBlock: number;

  constructor(core: Core, geometry: Geometry, groups: Groups, space: Allocator) {
    this.core = core;
    this.geometry = geometry;
    this.groups = groups;
    this.space = space;
    this.#inodesPerBlock = geometry.blockSize / geometry.inodeSize;
  }

  /** The inode record, in use or not. @throws {FsError} ENOENT for a number that no inode has */
  record(ino: number): Inode {
    const { inodes, inodesPerGroup, inodeSize } = this.geometry;
    if (!(ino >= 1 && ino <= inodes)) throw new FsError('ENOENT', `there is no inode ${ino}`);
    const group = Math.floor((ino - 1) / inodesPerGroup);
    const index = (ino - 1) % inodesPerGroup;
    const table = (this.groups.places[group] as { inodeTable: number }).inodeTable;
    const block = this.core.cache.get(table + Math.floor(index / this.#inodesPerBlock));
    return new Inode(this.core, ino, block, (index % this.#inodesPerBlock) * inodeSize, inodeSize);
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
