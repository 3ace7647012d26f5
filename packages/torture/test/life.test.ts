/**
 * Goal: a full store keeps its promises under each policy, and many snapshots cost what few do.
 * Method: see src/full-store.ts and src/thousand-snapshots.ts; `npm run life` does the rest.
 */
import { expect, test } from 'vitest';
import { lifeWhenFull } from '../src/full-store.js';
import { thousandSnapshots } from '../src/thousand-snapshots.js';

test.each(['fail-writes', 'drop-oldest'] as const)('life when full: %s', async (policy) => {
  const report = await lifeWhenFull(policy, 1, 1500);
  expect(report.refusals).toBeGreaterThan(50);
  expect(report.dropped > 0).toBe(policy === 'drop-oldest');
});

test('making, reading and deleting many snapshots costs what it should', async () => {
  const { snapshots } = await thousandSnapshots(50);
  expect(snapshots).toBe(50);
});
