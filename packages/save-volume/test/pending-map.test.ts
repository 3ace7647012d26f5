/**
 * Goal: what is pending of a part of a space is what a plain list says, whether it is looked up by
 * stretch or among all, while rows are added and the tables grow.
 * Method: seeded changes of three spaces, close together and 2^40 blocks apart, and ranges around them.
 */
import { createRandom } from '@palimpsest/block-device/testing';
import { expect, test } from 'vitest';
import { PendingMap } from '../src/pending-map.js';

test.each([1, 2, 3, 4])('ranges agree with a list (seed %i)', (seed) => {
  const random = createRandom(seed);
  const pending = new PendingMap();
  let model = new Map<
    string,
    { space: number; block: number; version: number; removed: boolean }
  >();
  for (let step = 0; step < 1500; step += 1) {
    const space = 1 + random.below(3);
    const block = random.below(random.pick([10, 3000, 2 ** 30])) + random.pick([0, 2 ** 40]);
    const version = random.below(3);
    const removed = random.chance(0.3);
    const entry = { version, address: step, flags: 0, checksum: step };
    pending.set(space, block, entry, removed);
    model.set(`${space} ${block} ${version}`, { space, block, version, removed });
    if (random.chance(0.002)) {
      pending.clear();
      model = new Map();
    }
    if (step % 5 !== 0) continue;
    const from = Math.max(0, block - random.below(random.pick([3, 2000])));
    const to = from + random.pick([1, 2, 1024, 5000, 2 ** 41]);
    const found: string[] = [];
    pending.eachIn(space, from, to, (each, { version: of, removed: isGone }) => {
      found.push(`${each} ${of} ${isGone}`);
    });
    const inSpace = [...model.values()].filter((each) => each.space === space);
    const expected = inSpace.filter((each) => each.block >= from && each.block < to);
    expect(found.sort()).toEqual(
      expected.map((each) => `${each.block} ${each.version} ${each.removed}`).sort(),
    );
    const kept = inSpace.filter((each) => !each.removed && each.version >= 1);
    expect(pending.countOf(space, 1, 3)).toBe(kept.length);
  }
});
