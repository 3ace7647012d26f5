/**
 * The checksum of everything we store: CRC-32 (IEEE 802.3) as `zlib.crc32` computes it with the
 * processor's help, several GB/s. A seed binds bytes to what they are (which block of which space,
 * which page at which address), so that right bytes in the wrong place fail the check.
 */
import { crc32 } from 'node:zlib';

/** CRC-32 of `bytes`, continued from `seed` (0 to 2^32 - 1). */
export function checksum(bytes: Uint8Array, seed = 0): number {
  return crc32(bytes, seed);
}

/**
 * A seed that differs for different pairs of numbers (each up to 2^53): multiplicative hashing of
 * their 32-bit halves. Never 0 for small numbers, so that zeros do not check out as zeros.
 */
export function identitySeed(a: number, b: number): number {
  const high = Math.floor(b / 0x1_0000_0000);
  let hash = Math.imul(a + 1, 0x9e37_79b1);
  hash = Math.imul(hash ^ (hash >>> 15) ^ (b >>> 0), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13) ^ high, 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
