/**
 * Geometry: what the superblock says of the image's shape, checked, as plain numbers. Nothing here
 * changes while an image is open.
 *
 *   G1  Numbers from the image are believed only after they were checked against each other and the
 *       device: every block and inode number derived from them lies inside.
 */
import { type BlockDevice, StorageError } from '@palimpsest/block-device';
import { viewOf } from '@palimpsest/bytes';
import { CRC_START, crc32c } from './crc32c.js';
import { GROUP_DESCRIPTOR } from './disk/group-descriptor.js';
import { EXT_MAGIC, SUPERBLOCK, SUPERBLOCK_OFFSET } from './disk/superblock.js';
import {
  assertReadable,
  type FeatureBits,
  INCOMPAT_64BIT,
  INCOMPAT_CSUM_SEED,
  RO_METADATA_CSUM,
  RO_SPARSE_SUPER,
} from './features.js';

/** The shape of an image. Blocks are those of the file system. */
export interface Geometry {
  readonly blockSize: number;
  readonly blocks: number;
  readonly firstDataBlock: number;
  readonly blocksPerGroup: number;
  readonly inodesPerGroup: number;
  readonly inodes: number;
  readonly inodeSize: number;
  /** The first inode that is not reserved. */
  readonly firstInode: number;
  readonly groups: number;
  readonly descriptorSize: number;
  /** Blocks of the group descriptor table. */
  readonly descriptorBlocks: number;
  /** Blocks behind each copy of that table that are kept for a longer one. */
  readonly reservedDescriptorBlocks: number;
  readonly features: FeatureBits;
  readonly uuid: Uint8Array;
  readonly label: string;
  readonly journalInode: number;
  /** Bytes that a new inode has beyond 128. */
  readonly extraSize: number;
  /** What the checksums of metadata begin with; undefined without them. */
  readonly checksumSeed: number | undefined;
}

/**
 * Reads the shape out of the 1,024 bytes of a superblock.
 * @throws {StorageError} ERR_FORMAT when it is none, or uses features not known here; ERR_CORRUPT when
 * its numbers make no sense (G1).
 */
export function parseGeometry(bytes: Uint8Array, device: BlockDevice): Geometry {
  const sb = SUPERBLOCK.decode(bytes, 0);
  if (sb.magic !== EXT_MAGIC) {
    throw new StorageError('ERR_FORMAT', 'there is no ext2, ext3 or ext4 superblock');
  }
  assertReadable(sb);
  const is64 = (sb.incompatible & INCOMPAT_64BIT) !== 0;
  const blockSize = 1024 * 2 ** sb.logBlockSize;
  const blocks = sb.blocksCountLow + (is64 ? sb.blocksCountHigh * 2 ** 32 : 0);
  const groups = Math.ceil((blocks - sb.firstDataBlock) / sb.blocksPerGroup);
  const inodeSize = sb.revision === 0 ? 128 : sb.inodeSize;
  const descriptorSize = is64 ? sb.descriptorSize : 32;
  const isSummed = (sb.readOnlyCompatible & RO_METADATA_CSUM) !== 0;
  const hasSeed = (sb.incompatible & INCOMPAT_CSUM_SEED) !== 0;
  const seed = hasSeed ? sb.checksumSeed : crc32c(sb.uuid, CRC_START);
  const facts: readonly [boolean, string][] = [
    [sb.logBlockSize <= 6, `blocks of 2^${sb.logBlockSize} KiB`],
    [
      blockSize % device.blockSize === 0,
      `blocks of ${blockSize} on a device of ${device.blockSize}`,
    ],
    [sb.firstDataBlock === (blockSize === 1024 ? 1 : 0), `first block ${sb.firstDataBlock}`],
    [blocks * blockSize <= device.size, `${blocks} blocks on a device of ${device.size} bytes`],
    [blocks > sb.firstDataBlock + 1, `${blocks} blocks`],
    [sb.blocksPerGroup > 0 && sb.blocksPerGroup <= blockSize * 8, 'its blocks per group'],
    [sb.inodesPerGroup > 0 && sb.inodesPerGroup <= blockSize * 8, 'its inodes per group'],
    [sb.inodesCount === groups * sb.inodesPerGroup, `${sb.inodesCount} inodes in ${groups} groups`],
    [inodeSize >= 128 && inodeSize <= blockSize, `inodes of ${inodeSize} bytes`],
    [(inodeSize & (inodeSize - 1)) === 0, `inodes of ${inodeSize} bytes`],
    [descriptorSize >= 32 && descriptorSize <= 1024, `descriptors of ${descriptorSize} bytes`],
    [(descriptorSize & (descriptorSize - 1)) === 0, `descriptors of ${descriptorSize} bytes`],
    [!isSummed || sb.checksumType === 1, `checksums of type ${sb.checksumType}`],
  ];
  const wrong = facts.find(([holds]) => !holds);
  if (wrong !== undefined) {
    throw new StorageError('ERR_CORRUPT', `the superblock makes no sense: ${wrong[1]}`);
  }
  return {
    blockSize,
    blocks,
    firstDataBlock: sb.firstDataBlock,
    blocksPerGroup: sb.blocksPerGroup,
    inodesPerGroup: sb.inodesPerGroup,
    inodes: sb.inodesCount,
    inodeSize,
    firstInode: sb.revision === 0 ? 11 : sb.firstInode,
    groups,
    descriptorSize,
    descriptorBlocks: Math.ceil((groups * descriptorSize) / blockSize),
    reservedDescriptorBlocks: sb.reservedGdtBlocks,
    features: {
      compatible: sb.compatible,
      incompatible: sb.incompatible,
      readOnlyCompatible: sb.readOnlyCompatible,
    },
    uuid: sb.uuid,
    label: textOf(sb.label),
    journalInode: sb.journalInode,
    extraSize: inodeSize > 128 ? Math.min(32, inodeSize - 128) : 0,
    checksumSeed: isSummed ? seed : undefined,
  };
}

/** Blocks that can be told apart by the numbers of 32 bits that journal-format.ts writes. */
const JOURNALED_MAX = 2 ** 32;

/** Why an image of this size is opened for reading only; undefined if it need not be. */
export function sizeObstacle({ blocks }: Geometry): string | undefined {
  if (blocks <= JOURNALED_MAX) return undefined;
  return `the image has ${blocks} blocks, and changes are journaled up to ${JOURNALED_MAX}`;
}

/** The block that holds the superblock, and the place in it. */
export function superblockPlace(blockSize: number): { block: number; at: number } {
  return blockSize === 1024 ? { block: 1, at: 0 } : { block: 0, at: SUPERBLOCK_OFFSET };
}

/** The first block of a group. */
export function groupStart(geometry: Geometry, group: number): number {
  return geometry.firstDataBlock + group * geometry.blocksPerGroup;
}

/** Blocks in a group: the last one may be short. */
export function groupBlocks(geometry: Geometry, group: number): number {
  return Math.min(geometry.blocksPerGroup, geometry.blocks - groupStart(geometry, group));
}

/** Where the descriptor of `group` is: a block of the table and the place in it. */
export function descriptorPlace(geometry: Geometry, group: number): { block: number; at: number } {
  const byte = group * geometry.descriptorSize;
  return {
    block: geometry.firstDataBlock + 1 + Math.floor(byte / geometry.blockSize),
    at: byte % geometry.blockSize,
  };
}

/** Whether a group holds copies of the superblock and the descriptor table. */
export function hasBackup(geometry: Pick<Geometry, 'features'>, group: number): boolean {
  if ((geometry.features.readOnlyCompatible & RO_SPARSE_SUPER) === 0) return true;
  if (group <= 1) return true;
  return [3, 5, 7].some((base) => {
    let power = base;
    while (power < group) power *= base;
    return power === group;
  });
}

/** Where a group's bitmaps and inode table are. */
export interface GroupPlaces {
  readonly blockBitmap: number;
  readonly inodeBitmap: number;
  readonly inodeTable: number;
}

/** Reads the places out of a descriptor at `at`. @throws {StorageError} ERR_CORRUPT (G1) */
export function parseDescriptor(
  geometry: Geometry,
  group: number,
  bytes: Uint8Array,
  at: number,
): GroupPlaces {
  const view = viewOf(bytes);
  const field = GROUP_DESCRIPTOR.at;
  const wide = geometry.descriptorSize >= 64;
  const block = (low: number, high: number): number => {
    const number =
      view.getUint32(at + low, true) + (wide ? view.getUint32(at + high, true) * 2 ** 32 : 0);
    if (number <= geometry.firstDataBlock || number >= geometry.blocks) {
      throw new StorageError('ERR_CORRUPT', `group ${group} has metadata at block ${number}`);
    }
    return number;
  };
  return {
    blockBitmap: block(field.blockBitmapLow, field.blockBitmapHigh),
    inodeBitmap: block(field.inodeBitmapLow, field.inodeBitmapHigh),
    inodeTable: block(field.inodeTableLow, field.inodeTableHigh),
  };
}

function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}
