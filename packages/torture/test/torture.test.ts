/**
 * Goal: I1..I8 under power cuts, a few seconds' worth; `npm run torture` does the rest.
 * Method: see src/sweep.ts. A failure names its seed; `npm run torture -- --seed N` runs that one at
 * every point. Cases that ever failed are in regress/, shrunk.
 */
import fs from 'node:fs';
import { describe, expect, test } from 'vitest';
import { begin, exhaust, SEQUENCES, sequenceOf } from '../src/exhaustive.js';
import { crashCase, interleave, newTally, soak, torture } from '../src/index.js';
import { THOROUGH } from '../src/work.js';

const QUICK = {
  operations: 50,
  everyPoint: 5,
  policies: 5,
  nestedEvery: 20,
  continueEvery: 20,
  continueOperations: 30,
};
const REGRESS = new URL('../regress/', import.meta.url);

describe('power cuts', () => {
  const tally = newTally();
  const totals = { seen: new Set<number>(), tally };
  test.each([1, 2, 3, 4, 5, 6, 7, 8])('seed %i', async (seed) => {
    await torture(seed, QUICK, totals);
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])('seed %i, none, all calls delayed', async (seed) => {
    await interleave(seed, 50, tally);
  });

  test.each([1, 2, 3, 4])('seed %i, none, nothing delayed', async (seed) => {
    await soak(seed, 200, tally);
  });

  test('were many enough, and hit recoveries and first overwrites too', () => {
    expect(tally.images).toBeGreaterThan(400);
    expect(tally.recoveryImages).toBeGreaterThan(150);
    expect(tally.survivors).toBeGreaterThan(20);
    expect(tally.kills).toBeGreaterThan(10);
    expect(tally.firstOverwrites).toBeGreaterThan(50);
  });
});

test('sequences of operations on a tiny store: all of one, some of two and three', async () => {
  const totals = { seen: new Set<number>(), tally: newTally() };
  const beginning = await begin();
  for (let index = 0; index < SEQUENCES; index += index < 20 ? 1 : 37) {
    await exhaust(sequenceOf(index), beginning, totals);
  }
  expect(totals.tally.images).toBeGreaterThan(200);
});

test.each(fs.readdirSync(REGRESS).filter((name) => name.endsWith('.json')))(
  'what once failed does not any more: %s',
  async (name) => {
    const { case: run } = JSON.parse(fs.readFileSync(new URL(name, REGRESS), 'utf8'));
    const totals = { seen: new Set<number>(), tally: newTally() };
    await crashCase(run, {}, THOROUGH, totals); // as it was shrunk: others would live on
  },
);
