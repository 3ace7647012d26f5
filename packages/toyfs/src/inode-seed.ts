/** The one formula that `seals` and `check` share: what a sum of anything of an inode begins with. */
import { crc32cOfU32 } from './crc32c.js';

/** The seed of everything that belongs to one inode, from the image's. */
export function inodeSeed(seed: number, ino: number, generation: number): number {
  return crc32cOfU32(generation, crc32cOfU32(ino, seed));
}
