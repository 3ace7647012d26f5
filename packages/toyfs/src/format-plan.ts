/**
 * The plan of a new file system: from a device's size and the options to the sizes of everything.
 */
import { type BlockDevice, StorageError } from '@palimpsest/block-device';

/** What a new file system is to be like. */
export interface FormatOptions {
  /** 16 bytes. @default made of chance */
  readonly uuid?: Uint8Array;
  /** Up to 16 bytes of UTF-8. @default none */
  readonly label?: string;
  /** Bytes of the journal, 4 MiB at least. @default 1/64 of the device, 4 to 128 MiB */
  readonly journalBytes?: number;
  /** Bytes of the device for each inode. @default 16 KiB */
  readonly bytesPerInode?: number;
  /** Milliseconds since 1970. @default the system's clock */
  readonly now?: () => number;
  /** Owner of the root directory. @default 0 */
  readonly uid?: number;
  /** Group of the root directory. @default 0 */
  readonly gid?: number;
}

/** Blocks of the smallest journal that the kernel accepts. */
const JOURNAL_MIN = 1024;
/** Bytes in a block. */
export const BLOCK = 4096;
/** Bytes in an inode. */
export const INODE_SIZE = 256;
/** Bytes of fields that an inode has beyond 128. */
export const EXTRA_SIZE = 32;
/** Blocks in a group: as many as a bitmap block has bits. */
export const PER_GROUP: number = BLOCK * 8;
/** The first inode that is not reserved: lost+found. */
export const FIRST_INODE = 11;
/** Blocks of lost+found, as e2fsck wants it: room to put things without taking blocks. */
export const LOST_FOUND_BLOCKS = 4;

/** The sizes of a new image, in blocks. */
export interface Plan {
  readonly blocks: number;
  readonly groups: number;
  readonly inodesPerGroup: number;
  readonly tableBlocks: number;
  readonly descriptorBlocks: number;
  readonly journalBlocks: number;
}

/** @throws {StorageError} ERR_INVALID for what does not fit */
export function planFor(device: BlockDevice, options: FormatOptions): Plan {
  const blocks = Math.floor(device.size / BLOCK);
  if (BLOCK % device.blockSize !== 0) {
    throw new StorageError('ERR_INVALID', `blocks of ${BLOCK} on a device of ${device.blockSize}`);
  }
  if (blocks < 2048) throw new StorageError('ERR_INVALID', 'a file system takes 8 MiB at least');
  if (blocks >= 2 ** 32)
    throw new StorageError('ERR_INVALID', 'a file system takes 16 TiB at most');
  let groups = Math.ceil(blocks / PER_GROUP);
  const { bytesPerInode = 16_384 } = options;
  const perBlock = BLOCK / INODE_SIZE;
  const wanted = Math.ceil(device.size / bytesPerInode / groups / perBlock) * perBlock;
  const inodesPerGroup = Math.min(PER_GROUP, Math.max(perBlock * 2, wanted));
  const tableBlocks = inodesPerGroup / perBlock;
  let total = blocks;
  const descriptorBlocks = Math.ceil((groups * 32) / BLOCK);
  // A last group without room for its own metadata is left out.
  const rest = total - (groups - 1) * PER_GROUP;
  if (groups > 1 && rest < tableBlocks + descriptorBlocks + 64) {
    groups--;
    total = groups * PER_GROUP;
  }
  const { journalBytes = Math.min(128 << 20, Math.max(4 << 20, device.size / 64)) } = options;
  const journalBlocks = Math.max(
    JOURNAL_MIN,
    Math.floor(Math.min(journalBytes / BLOCK, total / 8)),
  );
  if (total < tableBlocks * groups + journalBlocks + 64) {
    throw new StorageError('ERR_INVALID', 'the inodes and the journal leave no room for files');
  }
  return { blocks: total, groups, inodesPerGroup, tableBlocks, descriptorBlocks, journalBlocks };
}
