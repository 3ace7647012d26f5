/**
 * Random: numbers from a seed (the generator sfc32), the same on every machine. Everything random
 * in a test comes from one, so that a seed is a whole history. Draw one `fork` per concern
 * (workload, faults, schedule): then taking away a fault leaves the workload alone.
 */

/** A seeded source of numbers. */
export interface Random {
  /** An integer from 0 to 2^32 - 1. */
  uint32(): number;
  /** An integer from 0 to `limit` - 1. `limit` is at least 1 and at most 2^32. */
  below(limit: number): number;
  /** An integer from `low` to `high`, both included. */
  between(low: number, high: number): number;
  /** True with the given probability. */
  chance(probability: number): boolean;
  /** One of `items`, which is not empty. */
  pick<T>(items: readonly T[]): T;
  /** Fills `target` with random bytes and returns it. */
  fill(target: Uint8Array): Uint8Array;
  /** Another source, which depends on this one's seed and `label` alone, not on what was drawn. */
  fork(label: string | number): Random;
}

/** Makes a source from a seed. */
export function createRandom(seed: number | string): Random {
  const text = String(seed);
  let a = hash(text, 0x9e3779b9);
  let b = hash(text, 0x243f6a88);
  let c = hash(text, 0xb7e15162);
  let counter = 1;
  const uint32 = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  };
  for (let round = 0; round < 12; round++) uint32(); // mixes the seed into all of the state
  const below = (limit: number): number => Math.floor((uint32() / 2 ** 32) * limit);
  return {
    uint32,
    below,
    between: (low, high) => low + below(high - low + 1),
    chance: (probability) => uint32() < probability * 2 ** 32,
    pick: <T>(items: readonly T[]): T => items[below(items.length)] as T,
    fill(target) {
      for (let index = 0; index < target.length; index += 4) {
        const word = uint32();
        for (let byte = 0; byte < 4 && index + byte < target.length; byte++) {
          target[index + byte] = word >>> (8 * byte);
        }
      }
      return target;
    },
    fork: (label) => createRandom(`${text}/${label}`),
  };
}

/** FNV-1a over the characters, from a basis of the caller's. */
function hash(text: string, basis: number): number {
  let value = basis | 0;
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  }
  return value;
}
