/**
 * Bits of a bitmap block: 1 is taken. Bit n is bit n % 8 of byte n / 8. A second map of the same size,
 * where there is one, takes bits too.
 */

/** Whether bit `n` is set. */
export function isSet(map: Uint8Array, n: number): boolean {
  return ((map[n >>> 3] as number) & (1 << (n & 7))) !== 0;
}

/** Sets or clears `count` bits from `n` on. */
export function setBits(map: Uint8Array, n: number, count: number, value: boolean): void {
  for (let bit = n; bit < n + count; ) {
    if ((bit & 7) === 0 && bit + 8 <= n + count) {
      map[bit >>> 3] = value ? 0xff : 0;
      bit += 8;
    } else {
      const mask = 1 << (bit & 7);
      map[bit >>> 3] = value
        ? (map[bit >>> 3] as number) | mask
        : (map[bit >>> 3] as number) & ~mask;
      bit++;
    }
  }
}

/** The first bit in `from..to` that both maps have clear; -1: none. */
export function findClear(
  map: Uint8Array,
  second: Uint8Array | undefined,
  from: number,
  to: number,
): number {
  for (let bit = from; bit < to; ) {
    const byte = (map[bit >>> 3] as number) | (second?.[bit >>> 3] ?? 0);
    if (byte === 0xff) {
      bit = (bit | 7) + 1;
      continue;
    }
    if ((byte & (1 << (bit & 7))) === 0) return bit;
    bit++;
  }
  return -1;
}

/** How many bits from `from` on both maps have clear, up to `limit`. */
export function clearRun(
  map: Uint8Array,
  second: Uint8Array | undefined,
  from: number,
  limit: number,
): number {
  let bit = from;
  while (bit < limit) {
    const byte = (map[bit >>> 3] as number) | (second?.[bit >>> 3] ?? 0);
    if (byte === 0 && (bit & 7) === 0 && bit + 8 <= limit) {
      bit += 8;
      continue;
    }
    if ((byte & (1 << (bit & 7))) !== 0) break;
    bit++;
  }
  return bit - from;
}
