/**
 * CRC-16 as group descriptors have it with the feature uninit_bg: reflected, without a final inversion.
 */

/** The sum of `bytes`, continued from `seed` (0xFFFF to begin with). */
export function crc16(bytes: Uint8Array, seed: number): number {
  let sum = seed;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0xa001 : sum >>> 1;
  }
  return sum;
}
