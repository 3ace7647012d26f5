/**
 * CRC-32C (Castagnoli), as ext4's metadata and journal checksums use it: reflected, and without the
 * final inversion, so that a sum can be continued as the seed of the next.
 */
const TABLE: Uint32Array = new Uint32Array(256).map((_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f6_3b78 : value >>> 1;
  return value;
});

/** The sum of `bytes`, continued from `seed` (ext4 begins with 0xFFFFFFFF). */
export function crc32c(bytes: Uint8Array, seed: number): number {
  let sum = seed;
  for (let i = 0; i < bytes.length; i++) {
    sum = (sum >>> 8) ^ (TABLE[(sum ^ (bytes[i] as number)) & 0xff] as number);
  }
  return sum >>> 0;
}
