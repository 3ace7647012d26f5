/** The hash by which blocks are found in memory. */

/** 25 bits for a block of a space. Neighbours do not collide, nor blocks a power of two apart. */
export function hashOf(space: number, block: number): number {
  const high = Math.floor(block / 0x1_0000_0000);
  let hash = Math.imul((block >>> 0) ^ Math.imul(space + high, 0x9e37_79b1), 0x85eb_ca6b);
  hash ^= hash >>> 15;
  return Math.imul(hash, 0xc2b2_ae35) >>> 7;
}
