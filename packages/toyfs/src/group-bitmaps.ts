/**
 * GroupBitmaps: the bitmaps of the groups, to be believed: where there are checksums they fit, and one
 * that mke2fs left unwritten is made when it is first asked for.
 *
 *   U1  A group whose flags say that a bitmap is unwritten has only its own metadata in use, or no
 *       inode. The descriptor's count of what is free must say the same.
 *   U2  Inodes behind those that a group ever used are not looked at by anybody: what lies there may
 *       be anything. A block of the table with the first of them is zeros before it is used.
 */
import { setBits } from './bitmap.js';
import type { Block } from './block-cache.js';
import type { Core } from './core.js';
import { BLOCKS_UNWRITTEN, INODES_UNWRITTEN } from './disk/group-descriptor.js';
import { FsError } from './errors.js';
import { type Geometry, groupBlocks, groupStart, hasBackup } from './geometry.js';
import type { Groups } from './groups.js';
import { admit } from './seals/seal.js';
import type { Seals } from './seals/seals.js';

/** See the head of the file. */
export class GroupBitmaps {
  readonly #core: Core;
  readonly #geometry: Geometry;
  readonly #groups: Groups;

  constructor(core: Core, geometry: Geometry, groups: Groups) {
    this.#core = core;
    this.#geometry = geometry;
    this.#groups = groups;
  }

  /** A group's bitmap. Runs as an operation that changes. @throws {FsError} EIO for damage */
  get(group: number, which: 'blockBitmap' | 'inodeBitmap'): Block {
    const place = this.#groups.places[group] as Groups['places'][number];
    const block = this.#core.cache.get(place[which]);
    const { seals } = this.#core;
    if (seals === undefined) return block;
    const flag = which === 'blockBitmap' ? BLOCKS_UNWRITTEN : INODES_UNWRITTEN;
    if (this.#groups.hasFlag(group, flag)) this.#make(seals, group, which, block, flag);
    else if (block.seal === undefined) {
      admit(block, this.#seal(seals, group, which), `the ${which} of group ${group}`);
    }
    return block;
  }

  /** Inodes at the front of a group's table that were ever used. */
  usedInodes(group: number): number {
    const { inodesPerGroup } = this.#geometry;
    if (this.#core.seals === undefined) return inodesPerGroup;
    if (this.#groups.hasFlag(group, INODES_UNWRITTEN)) return 0;
    return inodesPerGroup - this.#groups.get(group, 'unusedInodes');
  }

  /** Inode `index` of a group is taken (U2). */
  useInode(group: number, index: number): void {
    const { seals } = this.#core;
    const used = this.usedInodes(group);
    if (seals === undefined || index < used) return;
    const { inodesPerGroup, inodeSize, blockSize } = this.#geometry;
    this.#groups.add(group, 'unusedInodes', used - index - 1);
    const perBlock = blockSize / inodeSize;
    if (index % perBlock !== 0) return;
    const place = this.#groups.places[group] as Groups['places'][number];
    const firstIno = group * inodesPerGroup + index + 1;
    const seal = seals.inodes(firstIno, perBlock);
    this.#core.freshMetadata(place.inodeTable + index / perBlock, seal);
  }

  #seal(
    seals: Seals,
    group: number,
    which: 'blockBitmap' | 'inodeBitmap',
  ): ReturnType<Seals['bitmap']> {
    const { block, at } = this.#groups.place(group);
    return seals.bitmap(which, block, at);
  }

  /** U1 */
  #make(
    seals: Seals,
    group: number,
    which: 'blockBitmap' | 'inodeBitmap',
    block: Block,
    flag: number,
  ): void {
    const { inodesPerGroup } = this.#geometry;
    const isOfBlocks = which === 'blockBitmap';
    const count = isOfBlocks ? groupBlocks(this.#geometry, group) : inodesPerGroup;
    this.#core.touch(block);
    this.#groups.clearFlag(group, flag);
    block.bytes.fill(0);
    const taken = isOfBlocks ? this.#ownMetadata(group, block.bytes) : 0;
    if (!isOfBlocks) {
      const unused = this.#groups.get(group, 'unusedInodes');
      this.#groups.add(group, 'unusedInodes', inodesPerGroup - unused);
    }
    setBits(block.bytes, count, block.bytes.length * 8 - count, true);
    if (count - taken !== this.#groups.get(group, isOfBlocks ? 'freeBlocks' : 'freeInodes')) {
      throw new FsError('EIO', `group ${group} has an unwritten ${which} and counts otherwise`);
    }
    block.seal = this.#seal(seals, group, which);
  }

  /** Marks what of its own metadata lies in a group; answers how many blocks. */
  #ownMetadata(group: number, bits: Uint8Array): number {
    const geometry = this.#geometry;
    const start = groupStart(geometry, group);
    const end = start + groupBlocks(geometry, group);
    let taken = 0;
    const mark = (from: number, count: number): void => {
      for (let number = from; number < from + count; number++) {
        if (number < start || number >= end) continue; // With flex_bg it lies in another group.
        setBits(bits, number - start, 1, true);
        taken++;
      }
    };
    if (hasBackup(geometry, group)) {
      mark(start, 1 + geometry.descriptorBlocks + geometry.reservedDescriptorBlocks);
    }
    const { blockBitmap, inodeBitmap, inodeTable } = this.#groups.places[
      group
    ] as Groups['places'][number];
    mark(blockBitmap, 1);
    mark(inodeBitmap, 1);
    mark(
      inodeTable,
      Math.ceil((geometry.inodesPerGroup * geometry.inodeSize) / geometry.blockSize),
    );
    return taken;
  }
}
