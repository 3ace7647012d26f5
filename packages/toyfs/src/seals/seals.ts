/**
 * Seals: gives blocks of an image with metadata_csum their seals. Images without have none of this:
 * `Core.seals` is undefined there, and asking that is all it costs them.
 */
import type { Block } from '../block-cache.js';
import type { Geometry } from '../geometry.js';
import type { Inode } from '../inode.js';
import { inodeSeed } from '../inode-seed.js';
import { ExtentSeal, XattrSeal } from './block-seals.js';
import { DirectorySeal } from './directory-seal.js';
import { BitmapSeal, DescriptorSeal } from './group-seals.js';
import { InodeTableSeal } from './inode-table-seal.js';
import type { Seal } from './seal.js';

/** See the head of the file. */
export class Seals {
  readonly xattrs: Seal;
  readonly #geometry: Geometry;
  readonly #seed: number;

  constructor(geometry: Geometry, seed: number) {
    this.#geometry = geometry;
    this.#seed = seed;
    this.xattrs = new XattrSeal(seed);
  }

  /** Of the block of the descriptor table that begins with group `first`. */
  descriptors(first: number): Seal {
    const { descriptorSize, blockSize, groups } = this.#geometry;
    const count = Math.min(blockSize / descriptorSize, groups - first);
    return new DescriptorSeal(this.#seed, descriptorSize, first, count);
  }

  /** Of a bitmap whose group's descriptor is at `at` of `holder`. */
  bitmap(which: 'blockBitmap' | 'inodeBitmap', holder: Block, at: number): Seal {
    return new BitmapSeal(this.#seed, this.#geometry, which, holder, at);
  }

  /** Of a block of an inode table, of which the first `used` inodes were ever used. */
  inodes(firstIno: number, used: number): InodeTableSeal {
    return new InodeTableSeal(this.#seed, firstIno, this.#geometry.inodeSize, used);
  }

  directory(inode: Inode): Seal {
    return new DirectorySeal(inodeSeed(this.#seed, inode.ino, inode.generation));
  }

  extents(inode: Inode): Seal {
    return new ExtentSeal(inodeSeed(this.#seed, inode.ino, inode.generation));
  }
}
