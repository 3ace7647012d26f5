/**
 * Goal: the index by type tells what a look at every object would, and lists that were handed out
 * stay as they were (OI1).
 * Method: seeded changes, compared with a plain map after each few.
 */
import { createRandom } from '@palimpsest/block-device/testing';
import { expect, test } from 'vitest';
import { ObjectIndex } from '../src/object-index.js';

test.each([1, 2, 3])('lists by type agree with a plain map (seed %i)', (seed) => {
  const random = createRandom(seed);
  const objects = new Map<number, Uint8Array>();
  const hearers: ((id: number) => void)[] = [];
  const index = new ObjectIndex(
    {
      object: (id) => objects.get(id),
      objects: () => [...objects.keys()].map((id) => ({ id })),
      watchObjects: (hear) => void hearers.push(hear),
    },
    { parse: objectOf, ownerOf: ({ owner }) => owner, needsOf: ({ needs }) => needs },
  );
  const types = [undefined, 'type 0', 'type 1', 'type 2'];
  for (let step = 0; step < 400; step += 1) {
    const before = types.map((type) => ({ list: index.list(type), copy: [...index.list(type)] }));
    for (let change = random.below(4); change >= 0; change -= 1) {
      const id = random.below(40);
      if (random.chance(0.3)) objects.delete(id);
      else objects.set(id, Uint8Array.of(random.below(3), random.below(4), random.below(3)));
      for (const hear of hearers) hear(id);
    }
    for (const type of types) {
      const expected = [...objects]
        .map(([id, bytes]) => ({ id, object: objectOf(id, bytes) }))
        .filter(({ object }) => type === undefined || object.type === type)
        .sort((a, b) => a.id - b.id);
      expect(index.list(type)).toEqual(expected);
      for (const one of [0, 1, 2]) {
        const owned = expected.filter(({ object }) => object.owner === one);
        expect(index.listOf(type ?? 'type 0', one)).toEqual(
          owned.filter(({ object }) => object.type === (type ?? 'type 0')),
        );
        const needing = expected.filter(({ object }) => object.needs.includes(one));
        if (type === undefined) expect(index.needing(one)).toEqual(needing);
      }
    }
    for (const { list, copy } of before) expect(list).toEqual(copy);
  }
});

/** Of no object at all, or of 0 to 2; needs one snapshot twice, another once. */
function objectOf(_id: number, bytes: Uint8Array) {
  const [kind, owner = 0, need = 0] = bytes;
  return {
    type: `type ${kind}`,
    owner: owner < 3 ? owner : undefined,
    needs: [need, need, (need + 1) % 3],
  };
}
