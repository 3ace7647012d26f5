/** A seeded generator (xoshiro128**), so that a harness can replay what it did. */

/**
 * @param {number} seed
 * @returns {{ next(): number, below(limit: number): number, chance(p: number): boolean, pick<T>(from: readonly T[]): T }}
 */
export function random(seed) {
  // splitmix32 spreads the seed over the state.
  let mixed = seed >>> 0;
  const spread = () => {
    mixed = (mixed + 0x9e3779b9) >>> 0;
    let z = mixed;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
  const state = [spread(), spread(), spread(), spread()];
  const rotate = (x, k) => (x << k) | (x >>> (32 - k));
  const next = () => {
    const [a, b, c, d] = state;
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    state[2] = c ^ a;
    state[3] = d ^ b;
    state[1] = b ^ state[2];
    state[0] = a ^ state[3];
    state[2] ^= b << 9;
    state[3] = rotate(state[3], 11);
    return result;
  };
  return {
    next,
    below: (limit) => next() % limit,
    chance: (p) => next() / 2 ** 32 < p,
    pick: (from) => from[next() % from.length],
  };
}
