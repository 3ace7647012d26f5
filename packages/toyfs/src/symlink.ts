/**
 * Symbolic links: a short target lies where the block map would, a longer one in a block.
 */
import { FsError } from './errors.js';
import { inlineContent } from './file-read.js';
import type { Image } from './image.js';
import type { Inode } from './inode.js';

/** Targets of fewer bytes lie in the inode. */
export const SHORT_TARGET = 60;

/** Whether a symbolic link's target lies where the block map would. */
export function isShortSymlink(inode: Inode): boolean {
  return inode.isSymlink && inode.bytes < SHORT_TARGET && !inode.hasInlineData;
}

/** The target of a link. Runs as an operation. @throws {FsError} EINVAL for what is none */
export function readTarget(image: Image, inode: Inode): Uint8Array {
  if (!inode.isSymlink) throw new FsError('EINVAL', `inode ${inode.ino} is no symbolic link`);
  const { bytes } = inode;
  if (inode.hasInlineData) return inlineContent(image, inode).slice(0, bytes);
  if (isShortSymlink(inode)) return inode.block.bytes.slice(inode.root, inode.root + bytes);
  const [place] = image.places(inode, 1) as [number];
  return image.core.cache.get(place).bytes.slice(0, bytes);
}
