/** The allocator against a set of addresses, across saving, reopening and growing (A1-A3). */
import { createMemoryDevice } from '@palimpsest/block-device';
import { createRandom } from '@palimpsest/block-device/testing';
import { expect, test } from 'vitest';
import { Allocator } from '../src/allocator.js';

const BLOCK = 512;
const START = 10;

test.each([1, 2, 3])('hands out each block once, forgets none (seed %i)', async (seed) => {
  const random = createRandom(seed);
  const device = createMemoryDevice({ blockSize: BLOCK, size: 16_384 * BLOCK });
  let allocator = new Allocator(device, BLOCK, START);
  let total = 3000;
  allocator.grow(total);
  const owned = new Set<number>();
  let generation = 1;
  for (let step = 0; step < 300; step += 1) {
    const kind = random.below(10);
    if (kind < 5) {
      const count = Math.min(random.between(1, 200), allocator.free);
      for (const run of count > 0 ? await allocator.allocate(count) : []) {
        for (let address = run.address; address < run.address + run.count; address += 1) {
          expect(owned.has(address)).toBe(false);
          expect(address).toBeGreaterThanOrEqual(START);
          expect(address).toBeLessThan(total);
          owned.add(address);
        }
      }
    } else if (kind < 8 && owned.size > 0) {
      for (let count = random.below(100); count > 0 && owned.size > 0; count -= 1) {
        const address = random.pick([...owned]);
        owned.delete(address);
        await allocator.release(address);
      }
    } else if (kind === 8) {
      total = Math.min(16_384, total + random.below(700));
      allocator.grow(total);
    } else {
      await allocator.save(generation);
      generation += 1;
      const list = allocator.encode();
      allocator = new Allocator(device, BLOCK, START);
      allocator.decode(list, total);
    }
    const bitMaps = allocator.groupCount * 2;
    expect(allocator.used).toBe(owned.size + bitMaps);
    expect(allocator.free + allocator.used).toBe(allocator.totalBlocks - START);
  }
  for (const address of owned) expect(await allocator.isUsed(address)).toBe(true);
});

test('more than there is is refused, and nothing is taken', async () => {
  const allocator = new Allocator(
    createMemoryDevice({ blockSize: BLOCK, size: 100 * BLOCK }),
    BLOCK,
    START,
  );
  allocator.grow(100);
  const { free } = allocator;
  await expect(allocator.allocate(free + 1)).rejects.toMatchObject({ code: 'ERR_NO_SPACE' });
  expect(allocator.free).toBe(free);
  await allocator.allocate(free);
  expect(allocator.free).toBe(0);
});

test('releasing or taking twice changes nothing the second time (J3)', async () => {
  const allocator = new Allocator(
    createMemoryDevice({ blockSize: BLOCK, size: 100 * BLOCK }),
    BLOCK,
    START,
  );
  allocator.grow(100);
  const before = allocator.free;
  expect(await allocator.take(50)).toBe(true);
  expect(await allocator.take(50)).toBe(false);
  expect(allocator.free).toBe(before - 1);
  await allocator.release(50);
  await allocator.release(50);
  expect(allocator.free).toBe(before);
});
