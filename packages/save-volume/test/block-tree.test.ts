/**
 * Goal: the tree agrees with a sorted list after any updates, keeps its shape (keys in order, below
 * their bounds, counts right, no page withering), and leaves the tree before it whole (T1, T3).
 * Method: seeded batches on 512-byte pages, where splits, merges and collapses happen all the time.
 */
import { createMemoryDevice } from '@palimpsest/block-device';
import { createRandom, jitter } from '@palimpsest/block-device/testing';
import { describe, expect, test } from 'vitest';
import { BlockTree, EMPTY_ROOT, readKey, type TreeRoot, writeKey } from '../src/block-tree.js';
import { EntryList } from '../src/entry-list.js';
import { KEY } from '../src/format.js';
import { MISS, PageCache } from '../src/page-cache.js';

const BLOCK = 512;
type Key = readonly [number, number, number];

function world(late: boolean) {
  const memory = createMemoryDevice({ blockSize: BLOCK, size: 64 << 20 });
  const device = late ? jitter(memory, { random: createRandom(1) }) : memory;
  let next = 1;
  const free: number[] = [];
  const released: number[] = [];
  const supply = {
    take: async () => free.pop() ?? next++,
    turn: () => Promise.resolve(),
    release: (address: number) => {
      released.push(address);
    },
  };
  const treeOf = (root: TreeRoot) =>
    new BlockTree(
      { tree: 2, stride: KEY.size, blockSize: BLOCK },
      device,
      new PageCache(device, BLOCK, 0),
      root,
    );
  return { device, free, released, supply, treeOf, tree: treeOf(EMPTY_ROOT) };
}

function updates(changes: readonly { key: Key; removed: boolean }[]) {
  const entries = new EntryList(KEY.size, changes.length);
  for (const { key } of changes) writeKey(entries.view, entries.extend(), ...key);
  return { entries, removed: Uint8Array.from(changes, ({ removed }) => (removed ? 1 : 0)) };
}

async function keysOf(tree: BlockTree): Promise<string[]> {
  const keys: string[] = [];
  await tree.scan([0, 0, 0], [2 ** 32, 0, 0], (view, at) => {
    keys.push(readKey(view, at).join(' '));
  });
  return keys;
}

const compare = (a: Key, b: Key) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2];

describe.each([false, true])('late device: %s', (late) => {
  test.each([1, 2, 3, 4, 5, 6])(
    'batches of updates agree with a sorted list (seed %i)',
    async (seed) => {
      const random = createRandom(seed);
      const { tree, treeOf, supply, released, free } = world(late);
      const model = new Map<string, Key>();
      for (let batch = 0; batch < 25; batch += 1) {
        const shrinking = batch > 15;
        const changes = new Map<string, { key: Key; removed: boolean }>();
        const clustered = random.chance(0.5) ? random.below(5000) : undefined;
        for (let count = random.between(1, 400); count > 0; count -= 1) {
          const second =
            clustered === undefined ? random.below(2 ** 32) * 3 : clustered + random.below(300);
          const known = [...model.values()];
          const key: Key =
            known.length > 0 && random.chance(shrinking ? 0.95 : 0.3)
              ? random.pick(known)
              : [random.below(3), second, random.below(4)];
          changes.set(key.join(' '), { key, removed: random.chance(shrinking ? 0.9 : 0.3) });
        }
        const sorted = [...changes.values()].sort((a, b) => compare(a.key, b.key));
        const before = tree.root;
        const keysBefore = [...model.values()].sort(compare).map((key) => key.join(' '));
        tree.root = await tree.apply(updates(sorted), supply, batch + 1);
        expect(await keysOf(treeOf(before))).toEqual(keysBefore); // T3
        free.push(...released.splice(0));
        for (const { key, removed } of sorted) {
          if (removed) model.delete(key.join(' '));
          else model.set(key.join(' '), key);
        }
        const keys = [...model.values()].sort(compare);
        expect(await keysOf(tree)).toEqual(keys.map((key) => key.join(' ')));
        expect(tree.root.entries).toBe(keys.length);
        let pages = 0;
        await tree.eachPage((page) => {
          pages += 1;
          for (let index = 1; index < page.count; index += 1) {
            const stride = page.level === 0 ? KEY.size : 32;
            const at = (i: number) => readKey(page.view, 32 + i * stride);
            expect(compare(at(index - 1), at(index))).toBeLessThan(0);
          }
        });
        expect(pages).toBe(tree.root.pages);
        // A page holds 30 entries; a tree of well-filled pages has no more than one for each 7 or so.
        expect(pages).toBeLessThanOrEqual(4 + keys.length / 6);
        for (let probe = 0; probe < 20; probe += 1) {
          const key: Key = [random.below(3), random.below(2 ** 32) * 3, random.below(4)];
          const found = await tree.find(...key);
          const expected = keys.find((other) => compare(other, key) >= 0);
          expect(found && readKey(found.view, found.at)).toEqual(expected && [...expected]);
        }
      }
    },
  );
});

test('a tree emptied of everything takes no page', async () => {
  const { tree, supply } = world(false);
  const keys = Array.from({ length: 5000 }, (_, index): Key => [1, index, 0]);
  tree.root = await tree.apply(updates(keys.map((key) => ({ key, removed: false }))), supply, 1);
  expect(tree.root.levels).toBeGreaterThan(2);
  tree.root = await tree.apply(updates(keys.map((key) => ({ key, removed: true }))), supply, 2);
  expect(tree.root).toEqual(EMPTY_ROOT);
});

describe('more look-ups at once than the cache has pages (P2)', () => {
  const count = 6000;

  /** A cold cache of 32 pages over a tree of hundreds, on a device that refuses to be read without end. */
  async function cold() {
    const { tree, supply, device } = world(false);
    const keys = Array.from({ length: count }, (_, index): Key => [1, index, 0]);
    tree.root = await tree.apply(updates(keys.map((key) => ({ key, removed: false }))), supply, 1);
    expect(tree.root.pages).toBeGreaterThan(200);
    const reads = { done: 0, most: 0 };
    const counting = {
      size: device.size,
      readInto: (target: Uint8Array, position: number) => {
        reads.done += 1;
        if (reads.done > reads.most) throw new Error(`${reads.done} reads: no end`);
        return device.readInto(target, position);
      },
    };
    const shape = { tree: 2, stride: KEY.size, blockSize: BLOCK };
    const pages = new PageCache(counting, BLOCK, 0);
    return { tree: new BlockTree(shape, device, pages, tree.root), reads };
  }

  test.each([200, 1000])('%i in step all end, each page read once for all', async (many) => {
    const { tree, reads } = await cold();
    reads.most = tree.root.pages;
    const wanted = Array.from({ length: many }, (_, index) => Math.floor((index * count) / many));
    const found = await Promise.all(wanted.map((second) => tree.find(1, second, 0)));
    expect(found.map((each) => each && readKey(each.view, each.at)[1])).toEqual(wanted);
  });

  test('one that needs every page at once ends, and reads each once', async () => {
    const { tree, reads } = await cold();
    reads.most = tree.root.pages;
    const wanted = Array.from({ length: count / 10 }, (_, index) => 10 * index);
    const all = await tree.withPages(() => {
      const found: number[] = [];
      for (const second of wanted) {
        const entry = tree.seek(1, second, 0);
        if (entry === MISS) return MISS;
        if (entry !== undefined) found.push(readKey(entry.view, entry.at)[1]);
      }
      return found;
    });
    expect(all).toEqual(wanted);
  });

  test('all who look for the same wait for the same pages', async () => {
    const { tree, reads } = await cold();
    reads.most = tree.root.levels;
    await Promise.all(Array.from({ length: 100 }, () => tree.find(1, 77, 0)));
    expect(reads.done).toBe(tree.root.levels);
  });
});

test('a damaged page is an error that names it, not a wrong answer (T2)', async () => {
  const { tree, supply, device, treeOf } = world(false);
  const keys = Array.from({ length: 300 }, (_, index): Key => [1, index, 0]);
  tree.root = await tree.apply(updates(keys.map((key) => ({ key, removed: false }))), supply, 1);
  const page = new Uint8Array(BLOCK);
  const other = new Uint8Array(BLOCK);
  await device.readInto(page, BLOCK);
  await device.readInto(other, 2 * BLOCK);
  await device.write(other, BLOCK); // a whole, valid page in another's place
  await expect(keysOf(treeOf(tree.root))).rejects.toMatchObject({ code: 'ERR_CORRUPT' });
  page[100] = (page[100] as number) ^ 1;
  await device.write(page, BLOCK);
  await expect(keysOf(treeOf(tree.root))).rejects.toThrow(/page 1 of the block map/);
});
