/**
 * SuperState: what changes in the superblock while an image is open: how much is free, the first of
 * the orphans, and whether the journal is needed.
 */
import { type BlockDevice, StorageError } from '@palimpsest/block-device';
import { viewOf } from '@palimpsest/bytes';
import type { Block } from './block-cache.js';
import type { Core } from './core.js';
import { SUPERBLOCK } from './disk/superblock.js';
import { INCOMPAT_RECOVER, RO_METADATA_CSUM } from './features.js';
import { type Geometry, superblockPlace } from './geometry.js';
import { SuperblockSeal } from './seals/block-seals.js';

const AT = SUPERBLOCK.at;

/** See the head of the file. */
export class SuperState {
  readonly #core: Core;
  readonly #block: Block;
  readonly #at: number;
  readonly #wide: boolean;

  /** Keeps the superblock's block in memory. Runs as an operation. */
  constructor(core: Core, geometry: Geometry) {
    const { block, at } = superblockPlace(geometry.blockSize);
    this.#core = core;
    this.#block = core.cache.getAny(block);
    this.#block.pins++;
    if (core.seals !== undefined) admitSuperblock(this.#block, at);
    this.#at = at;
    this.#wide = geometry.descriptorSize >= 64;
  }

  /** The first inode of the orphan list; 0: none. */
  get lastOrphan(): number {
    return this.#block.view.getUint32(this.#at + AT.lastOrphan, true);
  }
  set lastOrphan(ino: number) {
    this.#core.touch(this.#block);
    this.#block.view.setUint32(this.#at + AT.lastOrphan, ino, true);
  }

  /** Sets what every transaction ends with. */
  close(freeBlocks: number, freeInodes: number, nowMs: number): void {
    const { view } = this.#block;
    const at = this.#at;
    this.#core.touch(this.#block);
    view.setUint32(at + AT.freeBlocksLow, freeBlocks % 2 ** 32, true);
    if (this.#wide) {
      view.setUint32(at + AT.freeBlocksHigh, Math.floor(freeBlocks / 2 ** 32), true);
    }
    view.setUint32(at + AT.freeInodes, freeInodes, true);
    view.setUint32(at + AT.writeTime, Math.floor(nowMs / 1000) % 2 ** 32, true);
    const incompatible = view.getUint32(at + AT.incompatible, true);
    view.setUint32(at + AT.incompatible, (incompatible | INCOMPAT_RECOVER) >>> 0, true);
  }
}

/**
 * Setting or clearing `needs_recovery` is written in place, and may tear between its two sectors:
 * then the checksum is that of the other. Either is right, because the journal is empty both times.
 * @throws {StorageError} ERR_CORRUPT when the checksum fits neither
 */
function admitSuperblock(block: Block, at: number): void {
  const seal = new SuperblockSeal(at);
  const { view } = block;
  const field = at + AT.incompatible;
  const before = view.getUint32(field, true);
  if (!seal.fits(block)) {
    view.setUint32(field, (before ^ INCOMPAT_RECOVER) >>> 0, true);
    const fitsOther = seal.fits(block);
    view.setUint32(field, before, true);
    if (!fitsOther) throw new StorageError('ERR_CORRUPT', "the superblock's checksum is wrong");
  }
  block.seal = seal;
}

/**
 * Writes into the superblock on the device, and into nothing else of it, whether the journal is needed
 * to read the image. Durable when it resolves.
 */
export async function markRecovery(
  device: BlockDevice,
  blockSize: number,
  isNeeded: boolean,
): Promise<void> {
  const { block, at } = superblockPlace(blockSize);
  const bytes = new Uint8Array(blockSize);
  await device.readInto(bytes, block * blockSize);
  const view = viewOf(bytes);
  const before = view.getUint32(at + AT.incompatible, true);
  const after = isNeeded ? before | INCOMPAT_RECOVER : before & ~INCOMPAT_RECOVER;
  const isSummed = (view.getUint32(at + AT.readOnlyCompatible, true) & RO_METADATA_CSUM) !== 0;
  const seal = isSummed ? new SuperblockSeal(at) : undefined;
  // One that was torn is whole only when it is written again.
  if (after >>> 0 === before && seal?.fits({ bytes, view }) !== false) return;
  view.setUint32(at + AT.incompatible, after >>> 0, true);
  seal?.write({ bytes, view });
  await device.write(bytes, block * blockSize);
  await device.flush();
}
