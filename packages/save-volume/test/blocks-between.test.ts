/**
 * Goal: what changed between two versions, and how much, is what a plain list says, whichever tree
 * answers it, with changes pending, in the trees, or both, and removed ones among them.
 * Method: seeded batches of puts and removals on a store with 512-byte pages; every range of versions
 * is asked for with several limits and starts.
 */
import { createMemoryDevice } from '@palimpsest/block-device';
import { createRandom } from '@palimpsest/block-device/testing';
import { expect, test } from 'vitest';
import { atLevel, formatSaveVolume, LIVE, openSaveVolume } from '../src/index.js';

const BLOCK = 512;
const SPACE = 3;

test.each([1, 2, 3, 4])('agrees with a list (seed %i)', async (seed) => {
  const random = createRandom(seed);
  const device = createMemoryDevice({ blockSize: BLOCK, size: 4 << 20 });
  await formatSaveVolume(device, { blockSize: BLOCK, journalBytes: 64 << 10 });
  const save = await openSaveVolume(device, { cacheBytes: 0 });
  const model = new Map<string, { block: number; version: number }>();
  const blocks = random.pick([40, 4000]);
  for (let round = 0; round < 12; round += 1) {
    await save.transact((batch) => {
      for (let count = 0; count < 120; count += 1) {
        const block = random.below(blocks);
        const version = random.pick([1, 2, 5, 6, 7, 11, LIVE, atLevel(1, 5)]);
        const key = `${block} ${version}`;
        if (model.has(key) && random.chance(0.6)) {
          batch.remove(SPACE, block, version);
          model.delete(key);
        } else {
          batch.putZero(SPACE, block, version);
          model.set(key, { block, version });
        }
      }
      batch.putZero(SPACE + 1, round, 5); // a neighbour that must not show
    });
    if (random.chance(0.5)) await save.checkpoint();
    for (let probe = 0; probe < 12; probe += 1) {
      const from = random.below(9);
      const to = random.pick([from, from + 1, from + 3, 12, LIVE, LIVE + 1]);
      const start = random.below(blocks);
      const limit = random.pick([1, 7, 300, 5000]);
      const inRange = [...model.values()].filter(
        ({ block, version }) => block >= start && version >= from && version < to,
      );
      const expected = [...new Set(inRange.map(({ block }) => block))].sort((a, b) => a - b);
      const found = await save.map.blocksBetween(SPACE, from, to, start, limit);
      expect(found).toEqual(expected.slice(0, limit));
      const saved = [...model.values()].filter(
        ({ version }) => version >= from && version < to && version !== LIVE,
      );
      const most = await save.map.countAtMost(SPACE, from, to);
      expect(most).toBeGreaterThanOrEqual(saved.length);
      if (save.map.pending.count === 0) expect(most).toBe(saved.length);
      const later = [...model.values()].filter(({ version }) => version >= from);
      const mostLater = await save.map.countFrom(SPACE, from);
      expect(mostLater).toBeGreaterThanOrEqual(later.length);
      if (save.map.pending.count === 0) expect(mostLater).toBe(later.length);
    }
  }
  await save.checkpoint();
  expect(await save.map.count(SPACE)).toBe(model.size);
  expect((await save.verify()).problems.filter((each) => !each.includes('no such'))).toEqual([]);
});
