/**
 * Goal: what is kept of look-ups is what the map tells, after whatever was changed (W1). Method: random
 * changes and look-ups of a few blocks, near and beyond what 32 bits hold, beside a map of JavaScript's.
 */
import { createRandom } from '@palimpsest/block-device/testing';
import { expect, test } from 'vitest';
import { KnownPlaces, type Place, UNKNOWN } from '../src/known-places.js';
import { LIVE } from '../src/versions.js';

const SPACES = [1, 2, 0xffff_ffff];
const BLOCKS = [0, 1, 0xffff_ffff, 2 ** 32, 2 ** 32 + 1, 2 ** 48 - 1];
const VERSIONS = [1, 2, 2 ** 32 + 1, LIVE];

test('W1: what is known is what was kept last, unless the block was changed since', () => {
  const random = createRandom(1);
  const places = new KnownPlaces();
  const map = new Map<string, Place | undefined>();
  let told = 0;
  for (let step = 0; step < 20_000; step += 1) {
    const space = random.pick(SPACES);
    const block = random.pick(BLOCKS);
    const keyOf = (version: number) => `${space} ${block} ${version}`;
    if (random.chance(0.2)) {
      places.forget(space, block);
      for (const version of VERSIONS) map.delete(keyOf(version));
      continue;
    }
    const version = random.pick(VERSIONS);
    const known = places.find(space, block, version);
    if (known !== UNKNOWN) {
      told += 1;
      expect([map.has(keyOf(version)), known]).toEqual([true, map.get(keyOf(version))]);
    }
    const place: Place | undefined = random.chance(0.3)
      ? undefined
      : {
          address: random.pick([0, 7, 2 ** 32 + 7, 2 ** 48 - 1]),
          flags: random.pick([0, 1, 0xffff]),
          checksum: random.pick([0, 0xffff_ffff]),
        };
    places.keep(space, block, version, place);
    map.set(keyOf(version), place);
    expect(places.find(space, block, version)).toEqual(place);
  }
  expect(told).toBeGreaterThan(1000);
});
