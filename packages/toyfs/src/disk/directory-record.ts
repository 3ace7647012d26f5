/**
 * Directory records: a directory is a file of them, each block filled by its own. A record's length
 * leads to the next and may be more than its name needs; an unused one has inode 0.
 */
import { type Layout, layout } from '@palimpsest/bytes';

const directoryRecordFields = [
  { offset: 0, name: 'inode', type: 'u32', meaning: '0: unused' },
  { offset: 4, name: 'length', type: 'u16', meaning: 'bytes to the next record' },
  { offset: 6, name: 'nameLength', type: 'u8', meaning: 'bytes of the name' },
  {
    offset: 7,
    name: 'type',
    type: 'u8',
    meaning:
      '1 file, 2 directory, 3 character device, 4 block device, 5 fifo, 6 socket, 7 symbolic link',
  },
] as const;
/** The head of a record; the name follows, padded to 4 bytes. */
export const DIRECTORY_RECORD: Layout<typeof directoryRecordFields> = layout(
  8,
  directoryRecordFields,
);

const directoryTailFields = [
  { offset: 0, name: 'inode', type: 'u32', meaning: '0' },
  { offset: 4, name: 'length', type: 'u16', meaning: '12' },
  { offset: 6, name: 'nameLength', type: 'u8', meaning: '0' },
  { offset: 7, name: 'type', type: 'u8', meaning: '0xDE' },
  { offset: 8, name: 'checksum', type: 'u32', meaning: 'of the block up to this record' },
] as const;
/** The last record of each block, with metadata_csum: it looks unused, and is not. */
export const DIRECTORY_TAIL: Layout<typeof directoryTailFields> = layout(12, directoryTailFields);

/** `type` of the last record. */
export const TAIL_TYPE = 0xde;
