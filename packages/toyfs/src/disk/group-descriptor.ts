/**
 * Group descriptors: the device is cut into block groups, and this says for each where its two
 * bitmaps and its inode table are, and how much of it is free. The table follows the superblock.
 */
import { type Layout, layout } from '@palimpsest/bytes';

const groupDescriptorFields = [
  { offset: 0, name: 'blockBitmapLow', type: 'u32', meaning: 'block of the block bitmap' },
  { offset: 4, name: 'inodeBitmapLow', type: 'u32', meaning: 'block of the inode bitmap' },
  { offset: 8, name: 'inodeTableLow', type: 'u32', meaning: 'first block of the inode table' },
  { offset: 12, name: 'freeBlocksLow', type: 'u16', meaning: 'free blocks' },
  { offset: 14, name: 'freeInodesLow', type: 'u16', meaning: 'free inodes' },
  { offset: 16, name: 'directoriesLow', type: 'u16', meaning: 'directories' },
  {
    offset: 18,
    name: 'flags',
    type: 'u16',
    meaning:
      '1: the inode bitmap is not written yet, 2: the block bitmap is not, 4: the inode table is zeros',
  },
  { offset: 20, name: 'excludeBitmapLow', type: 'u32', meaning: '0' },
  { offset: 24, name: 'blockBitmapChecksumLow', type: 'u16', meaning: 'with metadata_csum' },
  { offset: 26, name: 'inodeBitmapChecksumLow', type: 'u16', meaning: 'with metadata_csum' },
  { offset: 28, name: 'unusedInodesLow', type: 'u16', meaning: 'inodes at the end never used' },
  { offset: 30, name: 'checksum', type: 'u16', meaning: 'of the descriptor' },
  { offset: 32, name: 'blockBitmapHigh', type: 'u32', meaning: 'high half' },
  { offset: 36, name: 'inodeBitmapHigh', type: 'u32', meaning: 'high half' },
  { offset: 40, name: 'inodeTableHigh', type: 'u32', meaning: 'high half' },
  { offset: 44, name: 'freeBlocksHigh', type: 'u16', meaning: 'high half' },
  { offset: 46, name: 'freeInodesHigh', type: 'u16', meaning: 'high half' },
  { offset: 48, name: 'directoriesHigh', type: 'u16', meaning: 'high half' },
  { offset: 50, name: 'unusedInodesHigh', type: 'u16', meaning: 'high half' },
  { offset: 52, name: 'excludeBitmapHigh', type: 'u32', meaning: '0' },
  { offset: 56, name: 'blockBitmapChecksumHigh', type: 'u16', meaning: 'high half' },
  { offset: 58, name: 'inodeBitmapChecksumHigh', type: 'u16', meaning: 'high half' },
  { offset: 60, name: 'reserved', type: 'u32', meaning: '0' },
] as const;
/** Flags: what is not on the device yet, only with checksums of groups. */
export const INODES_UNWRITTEN = 1;
export const BLOCKS_UNWRITTEN = 2;

/** A group descriptor. Without the feature 64bit only the first 32 bytes are there. */
export const GROUP_DESCRIPTOR: Layout<typeof groupDescriptorFields> = layout(
  64,
  groupDescriptorFields,
);
