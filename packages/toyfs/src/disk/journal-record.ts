/**
 * The journal's records (JBD2). Unlike everything else, its numbers are BIG-endian: read them through
 * a DataView at the offsets of these tables. The journal is a ring of blocks inside inode 8: its
 * superblock, then transactions, each of descriptor blocks with the new contents of blocks behind
 * them, revoke blocks, and at last a commit block, which alone makes it count.
 */
import { type Layout, layout } from '@palimpsest/bytes';

const journalHeadFields = [
  { offset: 0, name: 'magic', type: 'u32', meaning: '0xC03B3998' },
  {
    offset: 4,
    name: 'kind',
    type: 'u32',
    meaning: '1 descriptor, 2 commit, 3 and 4 superblock, 5 revoke',
  },
  { offset: 8, name: 'sequence', type: 'u32', meaning: 'number of the transaction' },
] as const;
/** The head of every block of the journal but the logged contents. */
export const JOURNAL_HEAD: Layout<typeof journalHeadFields> = layout(12, journalHeadFields);

const journalSuperblockFields = [
  { offset: 0, name: 'magic', type: 'u32', meaning: 'as JOURNAL_HEAD' },
  { offset: 4, name: 'kind', type: 'u32', meaning: '4' },
  { offset: 8, name: 'headSequence', type: 'u32', meaning: '0' },
  { offset: 12, name: 'blockSize', type: 'u32', meaning: 'bytes' },
  { offset: 16, name: 'blocks', type: 'u32', meaning: 'blocks in the journal' },
  { offset: 20, name: 'first', type: 'u32', meaning: 'first block of the ring: 1' },
  {
    offset: 24,
    name: 'sequence',
    type: 'u32',
    meaning: 'number of the first transaction that may be in the ring',
  },
  {
    offset: 28,
    name: 'start',
    type: 'u32',
    meaning: 'block where that one begins; 0: the journal is empty',
  },
  { offset: 32, name: 'error', type: 'u32', meaning: 'error number of an aborted journal' },
  { offset: 36, name: 'compatible', type: 'u32', meaning: 'features that may be ignored' },
  {
    offset: 40,
    name: 'incompatible',
    type: 'u32',
    meaning: '1 revoke, 2 64bit, 4 async commit, 8 checksums v2, 16 checksums v3, 32 fast commit',
  },
  { offset: 44, name: 'readOnlyCompatible', type: 'u32', meaning: '0' },
  { offset: 48, name: 'uuid', type: 16, meaning: 'of the file system' },
  { offset: 64, name: 'users', type: 'u32', meaning: '1' },
  { offset: 68, name: 'dynamicSuper', type: 'u32', meaning: '0' },
  { offset: 72, name: 'maxTransaction', type: 'u32', meaning: '0: no limit' },
  { offset: 76, name: 'maxData', type: 'u32', meaning: '0: no limit' },
  { offset: 80, name: 'checksumType', type: 'u8', meaning: '4: CRC-32C' },
  { offset: 81, name: 'padding', type: 3, meaning: '0' },
  { offset: 84, name: 'fastCommitBlocks', type: 'u32', meaning: '0' },
  { offset: 88, name: 'head', type: 'u32', meaning: '0' },
  { offset: 92, name: 'reserved', type: 160, meaning: '0' },
  { offset: 252, name: 'checksum', type: 'u32', meaning: 'with checksums v2 or v3' },
  { offset: 256, name: 'userIds', type: 768, meaning: 'uuid of the user' },
] as const;
/** The journal's superblock, its block 0. */
export const JOURNAL_SUPERBLOCK: Layout<typeof journalSuperblockFields> = layout(
  1024,
  journalSuperblockFields,
);

const journalTagFields = [
  { offset: 0, name: 'block', type: 'u32', meaning: 'home of the contents' },
  { offset: 4, name: 'checksum', type: 'u16', meaning: 'with checksums v2' },
  {
    offset: 6,
    name: 'flags',
    type: 'u16',
    meaning:
      '1 the first 4 bytes were the magic number and are zeroed, 2 no uuid follows, 8 last tag',
  },
] as const;
/** What a descriptor block says of one logged block, in the form we write. A uuid follows the first. */
export const JOURNAL_TAG: Layout<typeof journalTagFields> = layout(8, journalTagFields);

const journalTag3Fields = [
  { offset: 0, name: 'block', type: 'u32', meaning: 'home, low half' },
  { offset: 4, name: 'flags', type: 'u32', meaning: 'as JOURNAL_TAG' },
  { offset: 8, name: 'blockHigh', type: 'u32', meaning: 'high half' },
  { offset: 12, name: 'checksum', type: 'u32', meaning: 'CRC-32C of sequence and contents' },
] as const;
/** The form with checksums v3. A uuid follows unless flag 2 says no. */
export const JOURNAL_TAG3: Layout<typeof journalTag3Fields> = layout(16, journalTag3Fields);

const journalRevokeFields = [
  { offset: 0, name: 'magic', type: 'u32', meaning: 'as JOURNAL_HEAD' },
  { offset: 4, name: 'kind', type: 'u32', meaning: '5' },
  {
    offset: 8,
    name: 'sequence',
    type: 'u32',
    meaning: 'blocks logged up to this transaction are not to be replayed',
  },
  { offset: 12, name: 'bytes', type: 'u32', meaning: 'bytes in use, with this head' },
] as const;
/** The head of a revoke block; block numbers follow, 4 bytes each, 8 with 64bit. */
export const JOURNAL_REVOKE: Layout<typeof journalRevokeFields> = layout(16, journalRevokeFields);

const journalCommitFields = [
  { offset: 0, name: 'magic', type: 'u32', meaning: 'as JOURNAL_HEAD' },
  { offset: 4, name: 'kind', type: 'u32', meaning: '2' },
  { offset: 8, name: 'sequence', type: 'u32', meaning: 'number of the transaction' },
  { offset: 12, name: 'checksumType', type: 'u8', meaning: '0' },
  { offset: 13, name: 'checksumSize', type: 'u8', meaning: '0' },
  { offset: 14, name: 'padding', type: 'u16', meaning: '0' },
  {
    offset: 16,
    name: 'checksum',
    type: 32,
    meaning: 'with checksums v2 or v3, in its first 4 bytes',
  },
  { offset: 48, name: 'seconds', type: 'u64', meaning: 'since 1970' },
  { offset: 56, name: 'nanoseconds', type: 'u32', meaning: 'of the second' },
] as const;
/** A commit block. */
export const JOURNAL_COMMIT: Layout<typeof journalCommitFields> = layout(60, journalCommitFields);

/** `magic` of every block of the journal. */
export const JOURNAL_MAGIC = 0xc03b_3998;
export const KIND_DESCRIPTOR = 1;
export const KIND_COMMIT = 2;
export const KIND_SUPERBLOCK_V1 = 3;
export const KIND_SUPERBLOCK_V2 = 4;
export const KIND_REVOKE = 5;
export const TAG_ESCAPED = 1;
export const TAG_SAME_UUID = 2;
export const TAG_LAST = 8;
/** Incompatible features of a journal. */
export const JOURNAL_REVOKES = 1;
export const JOURNAL_64BIT = 2;
export const JOURNAL_ASYNC_COMMIT = 4;
export const JOURNAL_CHECKSUM_V2 = 8;
export const JOURNAL_CHECKSUM_V3 = 16;
/** `checksumType`: CRC-32C. */
export const TYPE_CRC32C = 4;
