/**
 * Extended attributes: entries one after the other from the front, their values from the back. In
 * the inode a magic number stands before them; in a block of their own, a head.
 */
import { type Layout, layout } from '@palimpsest/bytes';

const xattrHeadFields = [
  { offset: 0, name: 'magic', type: 'u32', meaning: '0xEA020000' },
  { offset: 4, name: 'references', type: 'u32', meaning: 'inodes that share the block' },
  { offset: 8, name: 'blocks', type: 'u32', meaning: '1' },
  { offset: 12, name: 'hash', type: 'u32', meaning: 'of all entries; 0: not to be shared' },
  { offset: 16, name: 'checksum', type: 'u32', meaning: 'with metadata_csum' },
  { offset: 20, name: 'reserved', type: 12, meaning: '0' },
] as const;
/** The head of an xattr block. */
export const XATTR_HEAD: Layout<typeof xattrHeadFields> = layout(32, xattrHeadFields);

const xattrEntryFields = [
  { offset: 0, name: 'nameLength', type: 'u8', meaning: 'bytes of the name without its prefix' },
  {
    offset: 1,
    name: 'nameIndex',
    type: 'u8',
    meaning: 'prefix: 1 `user.`, 2 and 3 the ACLs, 4 `trusted.`, 6 `security.`, 7 `system.`',
  },
  {
    offset: 2,
    name: 'valueOffset',
    type: 'u16',
    meaning: "from the block's start, or from the first entry in an inode",
  },
  { offset: 4, name: 'valueInode', type: 'u32', meaning: 'inode with the value, 0: here' },
  { offset: 8, name: 'valueSize', type: 'u32', meaning: 'bytes' },
  { offset: 12, name: 'hash', type: 'u32', meaning: 'of name and value' },
] as const;
/** An entry; the rest of the name follows, padded to 4 bytes. Four zero bytes end the list. */
export const XATTR_ENTRY: Layout<typeof xattrEntryFields> = layout(16, xattrEntryFields);

/** `magic` of a block with xattrs, and of those in an inode. */
export const XATTR_MAGIC = 0xea02_0000;
