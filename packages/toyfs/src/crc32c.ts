/**
 * CRC-32C (Castagnoli), as ext4's metadata and journal checksums use it: reflected, and without the
 * final inversion, so that a sum can be continued as the seed of the next. Eight bytes a step: table n
 * says what a byte does to the sum when n more follow it.
 */
const TABLES: Uint32Array = new Uint32Array(8 * 256);
for (let index = 0; index < 256; index++) {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f6_3b78 : value >>> 1;
  TABLES[index] = value;
}
for (let at = 256; at < TABLES.length; at++) {
  const before = TABLES[at - 256] as number;
  TABLES[at] = (before >>> 8) ^ (TABLES[before & 0xff] as number);
}

/** What ext4 begins a sum with. */
export const CRC_START = 0xffff_ffff;

/** The sum of `bytes` from `from` to `to`, continued from `seed`. */
export function crc32c(
  bytes: Uint8Array,
  seed: number,
  from = 0,
  to: number = bytes.length,
): number {
  const t = TABLES;
  let sum = seed;
  let i = from;
  for (; i + 8 <= to; i += 8) {
    sum ^=
      (bytes[i] as number) |
      ((bytes[i + 1] as number) << 8) |
      ((bytes[i + 2] as number) << 16) |
      ((bytes[i + 3] as number) << 24);
    sum =
      (t[1792 + (sum & 0xff)] as number) ^
      (t[1536 + ((sum >>> 8) & 0xff)] as number) ^
      (t[1280 + ((sum >>> 16) & 0xff)] as number) ^
      (t[1024 + (sum >>> 24)] as number) ^
      (t[768 + (bytes[i + 4] as number)] as number) ^
      (t[512 + (bytes[i + 5] as number)] as number) ^
      (t[256 + (bytes[i + 6] as number)] as number) ^
      (t[bytes[i + 7] as number] as number);
  }
  for (; i < to; i++) sum = (sum >>> 8) ^ (t[(sum ^ (bytes[i] as number)) & 0xff] as number);
  return sum >>> 0;
}

/** The sum of the four bytes of a number, low first, continued from `seed`. */
export function crc32cOfU32(number: number, seed: number): number {
  let sum = seed;
  for (let shift = 0; shift < 32; shift += 8) {
    sum = (sum >>> 8) ^ (TABLES[(sum ^ (number >>> shift)) & 0xff] as number);
  }
  return sum >>> 0;
}
