/**
 * Goal: I1..I6 and I8 under power cuts, a few seconds' worth; `npm run torture` does the rest.
 * Method: see src/crash-driver.ts. A failure names its seed; `npm run torture -- --seed N`
 * runs that one at every point.
 */
import { describe, expect, test } from 'vitest';
import { interleave, newTally, torture } from '../src/index.js';

const QUICK = {
  operations: 50,
  everyPoint: 5,
  policies: 5,
  nestedEvery: 20,
  continueEvery: 20,
  continueOperations: 30,
};

describe('power cuts', () => {
  const tally = newTally();
  const seen = new Set<number>();
  test.each([1, 2, 3, 4, 5, 6, 7, 8])('seed %i', async (seed) => {
    await torture(seed, QUICK, seen, tally);
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])('seed %i, none, all calls delayed', async (seed) => {
    await interleave(seed, 50, tally);
  });

  test('were many enough, and hit recoveries and first overwrites too', () => {
    expect(tally.images).toBeGreaterThan(400);
    expect(tally.recoveryImages).toBeGreaterThan(150);
    expect(tally.survivors).toBeGreaterThan(30);
    expect(tally.kills).toBeGreaterThan(10);
    expect(tally.firstOverwrites).toBeGreaterThan(50);
  });
});
