/** Types of files, as the upper bits of an inode's `mode` say them. */
import {
  TYPE_BLOCK_DEVICE,
  TYPE_CHARACTER_DEVICE,
  TYPE_DIRECTORY,
  TYPE_FIFO,
  TYPE_FILE,
  TYPE_MASK,
  TYPE_SOCKET,
  TYPE_SYMLINK,
} from './disk/inode-record.js';
import type { FileType } from './vfs.js';

/** Bits of `mode` below the type's. */
const TYPE_SHIFT = 12;

/** Types as the upper bits of `mode` say them. */
const TYPE_NAMES: ReadonlyMap<number, FileType> = new Map<number, FileType>([
  [TYPE_FIFO, 'fifo'],
  [TYPE_CHARACTER_DEVICE, 'character-device'],
  [TYPE_DIRECTORY, 'directory'],
  [TYPE_BLOCK_DEVICE, 'block-device'],
  [TYPE_FILE, 'file'],
  [TYPE_SYMLINK, 'symlink'],
  [TYPE_SOCKET, 'socket'],
]);

/** The upper bits of `mode` for a type. */
export function modeOfType(type: FileType): number {
  for (const [bits, name] of TYPE_NAMES) if (name === type) return bits;
  return 0;
}

/** The same by the number in those bits: this is asked more often than anything else. */
const TYPES_BY_NUMBER: readonly (FileType | undefined)[] = Array.from({ length: 16 }, (_, i) =>
  TYPE_NAMES.get(i << TYPE_SHIFT),
);

/** The type in the upper bits of `mode`; undefined for bits that make no sense. */
export function typeOfMode(mode: number): FileType | undefined {
  return TYPES_BY_NUMBER[(mode & TYPE_MASK) >>> TYPE_SHIFT];
}
