/**
 * Every record of the save volume's format, described once; docs/FORMAT.md shows these tables and
 * a test compares the two. Numbers are little-endian; addresses count blocks from the start of the
 * save volume; a checksum is CRC-32 with the record's own checksum field taken as zero.
 */
import { layout } from '@palimpsest/bytes';

export const FORMAT_VERSION = 2;

/** ASCII "PALIMPS" and 0x1A, which ends a file for programs that show it as text. */
export const SUPERBLOCK_MAGIC: Uint8Array = Uint8Array.of(
  0x50,
  0x41,
  0x4c,
  0x49,
  0x4d,
  0x50,
  0x53,
  0x1a,
);

/** Bytes between the two superblock slots: at least 4 KiB, so that one torn page cannot hit both. */
export function superblockStride(blockSize: number): number {
  return Math.max(4096, blockSize);
}

/** What a store is right now, as of one generation. */
export const SUPERBLOCK = layout(256, [
  { offset: 0, name: 'magic', type: 8, meaning: 'ASCII "PALIMPS" and 0x1A' },
  { offset: 8, name: 'version', type: 'u16', meaning: 'format version, now 2' },
  { offset: 10, name: 'blockShift', type: 'u8', meaning: 'block size is 2^blockShift, 9 to 16' },
  { offset: 11, name: 'clean', type: 'u8', meaning: '1 after a clean close: nothing to replay' },
  { offset: 12, name: 'features', type: 'u32', meaning: 'incompatible features, must be 0' },
  { offset: 16, name: 'storeId', type: 16, meaning: 'random, seeds the journal checksums' },
  {
    offset: 32,
    name: 'generation',
    type: 'u64',
    meaning: 'grows by one with each superblock written; its lowest bit is the slot',
  },
  {
    offset: 40,
    name: 'epoch',
    type: 'u32',
    meaning: 'grows by one with each opening; marks the owner',
  },
  { offset: 44, name: 'journalBlocks', type: 'u32', meaning: 'blocks in the journal' },
  { offset: 48, name: 'journalStart', type: 'u64', meaning: 'address of the journal' },
  { offset: 56, name: 'dataStart', type: 'u64', meaning: 'address of allocation group 0' },
  { offset: 64, name: 'totalBlocks', type: 'u64', meaning: 'blocks of the save volume, all told' },
  {
    offset: 72,
    name: 'allocatedBlocks',
    type: 'u64',
    meaning: 'blocks in use at and after dataStart',
  },
  {
    offset: 80,
    name: 'firstSequence',
    type: 'u64',
    meaning: 'sequence of the record at the start of the journal',
  },
  {
    offset: 88,
    name: 'durableSequence',
    type: 'u64',
    meaning: 'records below it are known to be durable',
  },
  { offset: 96, name: 'nextObject', type: 'u64', meaning: 'the next object id' },
  {
    offset: 104,
    name: 'blocksRoot',
    type: 'u64',
    meaning: 'root page of the by-block tree, 0 when empty',
  },
  { offset: 112, name: 'blocksChecksum', type: 'u32', meaning: 'checksum of that page' },
  { offset: 116, name: 'blocksLevels', type: 'u32', meaning: 'levels of the by-block tree' },
  { offset: 120, name: 'blocksPages', type: 'u64', meaning: 'pages of the by-block tree' },
  { offset: 128, name: 'blocksEntries', type: 'u64', meaning: 'entries of the by-block tree' },
  {
    offset: 136,
    name: 'versionsRoot',
    type: 'u64',
    meaning: 'the same five for the by-version tree',
  },
  { offset: 144, name: 'versionsChecksum', type: 'u32', meaning: '' },
  { offset: 148, name: 'versionsLevels', type: 'u32', meaning: '' },
  { offset: 152, name: 'versionsPages', type: 'u64', meaning: '' },
  { offset: 160, name: 'versionsEntries', type: 'u64', meaning: '' },
  {
    offset: 168,
    name: 'objectsStart',
    type: 'u64',
    meaning: 'first page of the object list, 0 when empty',
  },
  { offset: 176, name: 'objectsBytes', type: 'u64', meaning: 'bytes in the object list' },
  {
    offset: 184,
    name: 'groupsStart',
    type: 'u64',
    meaning: 'first page of the group list, 0 when empty',
  },
  { offset: 192, name: 'groupsBytes', type: 'u64', meaning: 'bytes in the group list' },
  { offset: 200, name: 'objectsChecksum', type: 'u32', meaning: 'checksum of the object list' },
  { offset: 204, name: 'groupsChecksum', type: 'u32', meaning: 'checksum of the group list' },
  { offset: 208, name: 'reserved', type: 44, meaning: 'zero' },
  { offset: 252, name: 'checksum', type: 'u32', meaning: 'of these 256 bytes' },
]);

export const JOURNAL_MAGIC = 0x4e524a50; // "PJRN"

/** Opens a journal record; its operations follow, padded to whole blocks with zeros. */
export const JOURNAL_HEADER = layout(64, [
  { offset: 0, name: 'magic', type: 'u32', meaning: 'ASCII "PJRN"' },
  { offset: 4, name: 'epoch', type: 'u32', meaning: 'the superblock’s when it was written' },
  { offset: 8, name: 'sequence', type: 'u64', meaning: 'grows by one with each record' },
  { offset: 16, name: 'generation', type: 'u64', meaning: 'of the superblock it builds on' },
  { offset: 24, name: 'bodyBytes', type: 'u32', meaning: 'bytes of operations, a multiple of 32' },
  {
    offset: 28,
    name: 'bodyChecksum',
    type: 'u32',
    meaning: 'of the operations, seeded with the store',
  },
  { offset: 32, name: 'reserved', type: 28, meaning: 'zero' },
  {
    offset: 60,
    name: 'checksum',
    type: 'u32',
    meaning: 'of these 64 bytes, seeded with the store',
  },
]);

/**
 * One change, in the journal (with `kind`) and in a leaf of the by-block tree (where `kind` is 0).
 * An object operation (kind 4) is followed by its bytes, padded to a multiple of 32.
 */
export const ENTRY = layout(32, [
  { offset: 0, name: 'space', type: 'u32', meaning: 'the volume or branch the block belongs to' },
  {
    offset: 4,
    name: 'block',
    type: 'u48',
    meaning: 'block of that volume (object: its id; free: blocks in the run)',
  },
  {
    offset: 10,
    name: 'version',
    type: 'u48',
    meaning: 'level x 2^45 + snapshot, or + 2^45 - 1: current (object: bytes, 0 deletes it)',
  },
  {
    offset: 16,
    name: 'address',
    type: 'u48',
    meaning: 'where its bytes are; 0 when flags say that it has none',
  },
  {
    offset: 22,
    name: 'flags',
    type: 'u16',
    meaning: 'bit 0: the block is zeros and takes no space; bit 1: it is read from beneath',
  },
  {
    offset: 24,
    name: 'checksum',
    type: 'u32',
    meaning: 'of its bytes, seeded with space and block',
  },
  {
    offset: 28,
    name: 'kind',
    type: 'u32',
    meaning: 'journal: 1 put, 2 remove, 3 free, 4 object, 5 put of bytes stored earlier; tree: 0',
  },
]);

/** Kinds of journal operation. */
export const PUT = 1;
export const REMOVE = 2;
export const FREE = 3;
export const OBJECT = 4;
export const MOVE = 5;

/** Bit of `flags`: the block is zeros and takes no space. */
export const ZERO = 1;
/** Bit of `flags`: the block was not the space's own; it is read from what lies beneath. */
export const BENEATH = 2;
/** Entries with one of these have no bytes of their own. */
export const NO_BYTES: number = ZERO | BENEATH;

export const PAGE_MAGIC = 0x50414d50; // "PMAP"

/** Opens a page of a tree. A leaf's entries or an inner page's children follow, in key order. */
export const PAGE_HEADER = layout(32, [
  { offset: 0, name: 'magic', type: 'u32', meaning: 'ASCII "PMAP"' },
  { offset: 4, name: 'tree', type: 'u8', meaning: '1 by-block, 2 by-version' },
  { offset: 5, name: 'level', type: 'u8', meaning: '0 for a leaf' },
  { offset: 6, name: 'count', type: 'u16', meaning: 'entries in the page' },
  { offset: 8, name: 'address', type: 'u64', meaning: 'of this page' },
  { offset: 16, name: 'generation', type: 'u64', meaning: 'of the superblock that first names it' },
  { offset: 24, name: 'reserved', type: 'u32', meaning: 'zero' },
  { offset: 28, name: 'checksum', type: 'u32', meaning: 'of the whole page' },
]);

/** The key of an entry of the by-version tree, and of every child; entries have nothing more. */
export const KEY = layout(16, [
  { offset: 0, name: 'space', type: 'u32', meaning: 'first part of the key' },
  {
    offset: 4,
    name: 'second',
    type: 'u48',
    meaning: 'block (by-block tree) or version (by-version tree)',
  },
  {
    offset: 10,
    name: 'third',
    type: 'u48',
    meaning: 'version (by-block tree) or block (by-version tree)',
  },
]);

/** One child in an inner page: no key in it is below this key (the first child takes what is). */
export const CHILD = layout(32, [
  { offset: 0, name: 'key', type: 16, meaning: 'as above' },
  { offset: 16, name: 'address', type: 'u48', meaning: 'of the child page' },
  { offset: 22, name: 'entries', type: 'u48', meaning: 'in all the leaves beneath the child' },
  { offset: 28, name: 'checksum', type: 'u32', meaning: 'of the child page' },
]);

export const GROUP_MAGIC = 0x54494250; // "PBIT"

/** Opens a bit map block of an allocation group: one bit a block follows, set when in use. */
export const GROUP_HEADER = layout(32, [
  { offset: 0, name: 'magic', type: 'u32', meaning: 'ASCII "PBIT"' },
  { offset: 4, name: 'group', type: 'u32', meaning: 'which group' },
  {
    offset: 8,
    name: 'generation',
    type: 'u64',
    meaning: 'of the superblock that first relies on it',
  },
  { offset: 16, name: 'reserved', type: 12, meaning: 'zero' },
  { offset: 28, name: 'checksum', type: 'u32', meaning: 'of the whole block' },
]);

/** One group in the group list. */
export const GROUP_STATE = layout(16, [
  {
    offset: 0,
    name: 'slot',
    type: 'u32',
    meaning:
      '0 or 1: which of the group’s first two blocks holds its bit map; 2: none yet, all free',
  },
  {
    offset: 4,
    name: 'used',
    type: 'u32',
    meaning: 'blocks in use, the two bit map blocks included',
  },
  { offset: 8, name: 'checksum', type: 'u32', meaning: 'of that block' },
  { offset: 12, name: 'reserved', type: 'u32', meaning: 'zero' },
]);

export const CHAIN_MAGIC = 0x4e484350; // "PCHN"

/** Opens a page of a list (of objects or of groups): its bytes follow. */
export const CHAIN_HEADER = layout(48, [
  { offset: 0, name: 'magic', type: 'u32', meaning: 'ASCII "PCHN"' },
  { offset: 4, name: 'kind', type: 'u32', meaning: '1 objects, 2 groups' },
  { offset: 8, name: 'address', type: 'u64', meaning: 'of this page' },
  { offset: 16, name: 'next', type: 'u64', meaning: 'address of the next page, 0 for the last' },
  { offset: 24, name: 'generation', type: 'u64', meaning: 'of the superblock that first names it' },
  { offset: 32, name: 'bytes', type: 'u32', meaning: 'bytes of the list in this page' },
  { offset: 36, name: 'reserved', type: 8, meaning: 'zero' },
  { offset: 44, name: 'checksum', type: 'u32', meaning: 'of the whole page' },
]);

/** One object in the object list; its bytes follow, unpadded. */
export const OBJECT_HEADER = layout(16, [
  { offset: 0, name: 'id', type: 'u64', meaning: 'of the object' },
  { offset: 8, name: 'bytes', type: 'u32', meaning: 'of JSON that follow' },
  { offset: 12, name: 'reserved', type: 'u32', meaning: 'zero' },
]);
