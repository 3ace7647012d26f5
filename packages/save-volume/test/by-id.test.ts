/**
 * Goal: ById agrees with a map whose keys are sorted when they are asked for, and lists that were
 * handed out stay as they were (BI1).
 * Method: seeded changes, most of them of new ids at the end, as objects come and go.
 */
import { createRandom } from '@palimpsest/block-device/testing';
import { expect, test } from 'vitest';
import { ById } from '../src/by-id.js';

test.each([1, 2, 3, 4])('agrees with a sorted map (seed %i)', (seed) => {
  const random = createRandom(seed);
  const expected = new Map<number, { id: number; step: number }>();
  const items = new ById<{ id: number; step: number }>();
  let next = 1;
  for (let step = 0; step < 500; step += 1) {
    const before = items.list();
    const copy = [...before];
    const id = random.chance(0.4) ? next : 1 + random.below(next);
    next = Math.max(next, id) + random.below(3);
    if (random.chance(0.35)) expect(items.delete(id)).toBe(expected.delete(id));
    else {
      items.set({ id, step });
      expected.set(id, { id, step });
    }
    const sorted = [...expected.values()].sort((a, b) => a.id - b.id);
    expect(items.list()).toEqual(sorted);
    expect(items.size).toBe(sorted.length);
    expect(items.last).toEqual(sorted.at(-1));
    const sought = random.below(next + 2);
    expect(items.get(sought)).toEqual(expected.get(sought));
    expect(items.before(sought)).toEqual(sorted.findLast((each) => each.id < sought));
    expect(before).toEqual(copy); // BI1
  }
  items.clear();
  expect(items.list()).toEqual([]);
});
