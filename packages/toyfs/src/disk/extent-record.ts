/**
 * Extents: a file's block map as a tree. Each node is a head and entries of 12 bytes; the root lies in
 * the inode and has four. A leaf's entries say "so many blocks of the file from here lie there"; what
 * no extent covers is a hole. A length above 32,768 marks an extent that is set aside and not written.
 */
import { type Layout, layout } from '@palimpsest/bytes';

const extentHeadFields = [
  { offset: 0, name: 'magic', type: 'u16', meaning: '0xF30A' },
  { offset: 2, name: 'entries', type: 'u16', meaning: 'entries in use' },
  { offset: 4, name: 'max', type: 'u16', meaning: 'entries that fit' },
  { offset: 6, name: 'depth', type: 'u16', meaning: '0: a leaf' },
  { offset: 8, name: 'generation', type: 'u32', meaning: '0' },
] as const;
/** The head of a node. */
export const EXTENT_HEAD: Layout<typeof extentHeadFields> = layout(12, extentHeadFields);

const extentFields = [
  { offset: 0, name: 'logical', type: 'u32', meaning: 'first block of the file' },
  {
    offset: 4,
    name: 'length',
    type: 'u16',
    meaning: 'blocks; more than 32,768: less 32,768, and not written',
  },
  { offset: 6, name: 'startHigh', type: 'u16', meaning: 'first block on the device, high part' },
  { offset: 8, name: 'startLow', type: 'u32', meaning: 'low half' },
] as const;
/** An entry of a leaf. */
export const EXTENT: Layout<typeof extentFields> = layout(12, extentFields);

const extentIndexFields = [
  {
    offset: 0,
    name: 'logical',
    type: 'u32',
    meaning: 'first block of the file that the subtree may cover',
  },
  { offset: 4, name: 'childLow', type: 'u32', meaning: 'block of the node' },
  { offset: 8, name: 'childHigh', type: 'u16', meaning: 'high part' },
  { offset: 10, name: 'unused', type: 'u16', meaning: '0' },
] as const;
/** An entry of an inner node. */
export const EXTENT_INDEX: Layout<typeof extentIndexFields> = layout(12, extentIndexFields);

/** `magic` of a node. */
export const EXTENT_MAGIC = 0xf30a;
/** Blocks of a written extent at most; one that is not written has one less. */
export const EXTENT_MAX = 32_768;
/** Levels below the root at most. */
export const DEPTH_MAX = 5;
/** Entries of a root in an inode. */
export const ROOT_ENTRIES = 4;
