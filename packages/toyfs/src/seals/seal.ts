/**
 * Seal: how the blocks of one kind of metadata carry their checksum, on images that have them
 * (metadata_csum). A block in memory with a seal is a block that may be believed.
 *
 *   L1  A block that was read gets its seal when it is first looked at, and only if its checksum fits;
 *       until it leaves memory it is not looked at again. One made here gets it at once.
 *   L2  Checksums are written when a transaction's blocks go to the journal: once a commit, however
 *       often a block has changed. No block goes there without a seal.
 *   L3  What was found damaged is never sealed anew: a checksum that fits would hide it.
 *   L4  Group descriptors come last: they hold the checksums of the bitmaps.
 */
import { invariant } from '@palimpsest/block-device';
import type { Block } from '../block-cache.js';
import { FsError } from '../errors.js';

/** See the head of the file. */
export interface Seal {
  /** Whether the checksum is that of the contents. */
  fits(block: Block): boolean;
  /** Writes the checksum of the contents. */
  write(block: Block): void;
  /** Written behind the others (L4). */
  readonly isLast?: boolean;
}

/** Gives a block its seal (L1). @throws {FsError} EIO when its checksum does not fit */
export function admit(block: Block, seal: Seal, what: string): void {
  if (!seal.fits(block)) {
    throw new FsError('EIO', `${what} is damaged: the checksum of block ${block.number} is wrong`);
  }
  block.seal = seal;
}

/** Writes the checksums of a transaction's blocks (L2, L4). */
export function writeSeals(blocks: readonly Block[]): void {
  for (const last of [false, true]) {
    for (const block of blocks) {
      invariant(block.seal !== undefined, `block ${block.number} has a seal (L2)`);
      if ((block.seal.isLast ?? false) === last) block.seal.write(block);
    }
  }
}

/** Of contents that carry no checksum: the target of a long symbolic link. */
export const PLAIN: Seal = { fits: () => true, write: () => undefined };
