/**
 * The inode record: everything about a file but its name. 256 bytes; what lies behind `extraSize`
 * holds small xattrs. Older images have 128 bytes, without nanoseconds.
 */
import { type Layout, layout } from '@palimpsest/bytes';

const inodeFields = [
  { offset: 0, name: 'mode', type: 'u16', meaning: 'type and permission bits' },
  { offset: 2, name: 'uidLow', type: 'u16', meaning: 'owner' },
  { offset: 4, name: 'sizeLow', type: 'u32', meaning: 'bytes, low half' },
  { offset: 8, name: 'atime', type: 'u32', meaning: 'seconds' },
  { offset: 12, name: 'ctime', type: 'u32', meaning: 'seconds' },
  { offset: 16, name: 'mtime', type: 'u32', meaning: 'seconds' },
  {
    offset: 20,
    name: 'dtime',
    type: 'u32',
    meaning: 'seconds of deletion; in the orphan list, the next inode of it',
  },
  { offset: 24, name: 'gidLow', type: 'u16', meaning: 'group' },
  {
    offset: 26,
    name: 'links',
    type: 'u16',
    meaning: 'names; 1 for a directory that has more than 65,000',
  },
  {
    offset: 28,
    name: 'blocksLow',
    type: 'u32',
    meaning: '512-byte units taken, or blocks with the flag HUGE_FILE',
  },
  { offset: 32, name: 'flags', type: 'u32', meaning: 'see below' },
  { offset: 36, name: 'version', type: 'u32', meaning: 'low half' },
  {
    offset: 40,
    name: 'block',
    type: 60,
    meaning:
      'root of the extent tree, or block numbers, or the target of a short symbolic link, or a device number',
  },
  {
    offset: 100,
    name: 'generation',
    type: 'u32',
    meaning: 'differs each time the number is reused',
  },
  { offset: 104, name: 'xattrBlockLow', type: 'u32', meaning: 'block with xattrs, 0: none' },
  { offset: 108, name: 'sizeHigh', type: 'u32', meaning: 'high half' },
  { offset: 112, name: 'fragment', type: 'u32', meaning: '0' },
  { offset: 116, name: 'blocksHigh', type: 'u16', meaning: 'high part' },
  { offset: 118, name: 'xattrBlockHigh', type: 'u16', meaning: 'high part' },
  { offset: 120, name: 'uidHigh', type: 'u16', meaning: 'high half' },
  { offset: 122, name: 'gidHigh', type: 'u16', meaning: 'high half' },
  { offset: 124, name: 'checksumLow', type: 'u16', meaning: 'with metadata_csum' },
  { offset: 126, name: 'reserved', type: 'u16', meaning: '0' },
  {
    offset: 128,
    name: 'extraSize',
    type: 'u16',
    meaning: 'bytes of this record beyond 128 that are valid: 32',
  },
  { offset: 130, name: 'checksumHigh', type: 'u16', meaning: 'with metadata_csum' },
  {
    offset: 132,
    name: 'ctimeExtra',
    type: 'u32',
    meaning: 'nanoseconds << 2, and 2 bits that extend the seconds',
  },
  { offset: 136, name: 'mtimeExtra', type: 'u32', meaning: 'as ctimeExtra' },
  { offset: 140, name: 'atimeExtra', type: 'u32', meaning: 'as ctimeExtra' },
  { offset: 144, name: 'birthtime', type: 'u32', meaning: 'seconds' },
  { offset: 148, name: 'birthtimeExtra', type: 'u32', meaning: 'as ctimeExtra' },
  { offset: 152, name: 'versionHigh', type: 'u32', meaning: 'high half' },
  { offset: 156, name: 'project', type: 'u32', meaning: '0' },
] as const;
/** An inode. */
export const INODE: Layout<typeof inodeFields> = layout(160, inodeFields);

/** The type in the upper bits of `mode`. */
export const TYPE_MASK = 0xf000;
export const TYPE_FIFO = 0x1000;
export const TYPE_CHARACTER_DEVICE = 0x2000;
export const TYPE_DIRECTORY = 0x4000;
export const TYPE_BLOCK_DEVICE = 0x6000;
export const TYPE_FILE = 0x8000;
export const TYPE_SYMLINK = 0xa000;
export const TYPE_SOCKET = 0xc000;

/** The directory has a hash index, hidden in records that look unused. */
export const FLAG_INDEX = 0x1000;
/** `blocks` counts blocks of the file system, not 512-byte units. */
export const FLAG_HUGE_FILE = 0x4_0000;
/** `block` holds an extent tree. */
export const FLAG_EXTENTS = 0x8_0000;
/** `block` and the xattr system.data hold the content itself. */
export const FLAG_INLINE_DATA = 0x1000_0000;

/** Inodes with a fixed role. */
export const INO_JOURNAL = 8;
export const INO_LOST_FOUND = 11;
/** Names of one inode at most. */
export const LINK_MAX = 65_000;
