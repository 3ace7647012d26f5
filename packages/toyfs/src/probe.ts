/**
 * probe: what lies on a device, from its superblock alone. For those who only want to know whether it
 * is a file system of ours to open, and whether it is at rest.
 */
import type { BlockDevice } from '@palimpsest/block-device';
import { viewOf } from '@palimpsest/bytes';
import { EXT_MAGIC, SUPERBLOCK, SUPERBLOCK_OFFSET } from './disk/superblock.js';
import { COMPAT_JOURNAL, INCOMPAT_64BIT, INCOMPAT_EXTENTS, INCOMPAT_RECOVER } from './features.js';

/** What a superblock says of its image. */
export interface ProbedImage {
  /** By its features, as mke2fs calls them. */
  readonly kind: 'ext2' | 'ext3' | 'ext4';
  readonly label: string;
  /** Bytes in a block of it. */
  readonly blockSize: number;
  /**
   * True when nothing has to be done before it is used: no journal to replay, no files half removed, no
   * error noted, closed by whoever wrote it last, and all of it on the device.
   */
  readonly isClean: boolean;
}

/** `state` of an image that was closed and has no errors. */
const STATE_CLEAN = 1;
/** Read-only compatible feature of an image whose orphan file holds something. */
const RO_ORPHAN_PRESENT = 0x1_0000;

/** Looks at a device; undefined when there is no ext2, ext3 or ext4 superblock on it. */
export async function probe(device: BlockDevice): Promise<ProbedImage | undefined> {
  const length = Math.max(2 * SUPERBLOCK_OFFSET, device.blockSize);
  if (device.size < length) return undefined;
  const bytes = new Uint8Array(length);
  await device.readInto(bytes, 0);
  const at = SUPERBLOCK_OFFSET + SUPERBLOCK.at.magic;
  if (viewOf(bytes).getUint16(at, true) !== EXT_MAGIC) return undefined;
  const sb = SUPERBLOCK.decode(bytes, SUPERBLOCK_OFFSET);
  const blockSize = 1024 * 2 ** Math.min(sb.logBlockSize, 6);
  const is64 = (sb.incompatible & INCOMPAT_64BIT) !== 0;
  const blocks = sb.blocksCountLow + (is64 ? sb.blocksCountHigh * 2 ** 32 : 0);
  const isWhole = blocks * blockSize <= device.size;
  const needsNothing =
    (sb.incompatible & INCOMPAT_RECOVER) === 0 &&
    (sb.readOnlyCompatible & RO_ORPHAN_PRESENT) === 0 &&
    sb.lastOrphan === 0 &&
    sb.state === STATE_CLEAN;
  const hasJournal = (sb.compatible & COMPAT_JOURNAL) !== 0;
  const isExt4 = (sb.incompatible & INCOMPAT_EXTENTS) !== 0;
  const end = sb.label.indexOf(0);
  return {
    kind: isExt4 ? 'ext4' : hasJournal ? 'ext3' : 'ext2',
    label: new TextDecoder().decode(end < 0 ? sb.label : sb.label.subarray(0, end)),
    blockSize,
    isClean: isWhole && needsNothing,
  };
}
