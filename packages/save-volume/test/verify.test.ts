/**
 * Goal: an audit finds each kind of damage and names whose it is, finds nothing in a sound store however
 * much goes on beside it (O1), never keeps commits waiting for its whole length, and can be slowed
 * down, ended and gone on with.
 * Method: stores with tiny pages; contradictions are made through the format's own writers.
 */
import { type BlockDevice, createMemoryDevice } from '@palimpsest/block-device';
import { createRandom, jitter } from '@palimpsest/block-device/testing';
import { describe, expect, test } from 'vitest';
import {
  formatSaveVolume,
  LIVE,
  openSaveVolume,
  type SaveVolume,
  type VerifyCursor,
} from '../src/index.js';
import { Ownership } from '../src/ownership.js';

const BLOCK = 512;
const object = new TextEncoder().encode('{"type":"volume"}');

async function filled(blocks: number, late = false) {
  const memory = createMemoryDevice({ blockSize: BLOCK, size: 2 << 20 });
  await formatSaveVolume(memory, { blockSize: BLOCK, journalBytes: 64 << 10 });
  const device = late ? jitter(memory, { random: createRandom(2) }) : memory;
  const save = await openSaveVolume(device, { cacheBytes: 0 });
  for (const id of [1, 2]) await save.transact((batch) => batch.object(id, object));
  for (let from = 0; from < blocks; from += 100) {
    await save.transact((batch) => {
      for (let block = from; block < Math.min(blocks, from + 100); block += 1) {
        const space = block % 3 === 0 ? 2 : 1;
        const version = space === 2 ? LIVE : 1 + (block % 2);
        batch.put(space, block, version, new Uint8Array(BLOCK).fill(block));
      }
    });
  }
  await save.checkpoint();
  return { memory, save };
}

async function spoil(device: BlockDevice, address: number): Promise<void> {
  const bytes = new Uint8Array(BLOCK);
  await device.readInto(bytes, address * BLOCK);
  bytes[200] = (bytes[200] as number) ^ 4;
  await device.write(bytes, address * BLOCK);
}

/** Addresses of the pages of the by-block tree, the root first. */
async function pagesOf(save: SaveVolume): Promise<number[]> {
  const addresses: number[] = [];
  await save.map.byBlock.eachAddress((address) => addresses.push(address));
  return addresses;
}

describe('damage is found and named', () => {
  test('a saved block', async () => {
    const { memory, save } = await filled(600);
    const entry = await save.find(2, 300, LIVE);
    await spoil(memory, entry?.address as number);
    expect((await save.verify()).problems).toEqual([]);
    const { problems, objects } = await save.verify({ data: true });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(/block 300 of object 2, .* do not pass their checksum/);
    expect(objects).toEqual([2]);
  });

  test('a leaf: the rest is read all the same', async () => {
    const { memory, save } = await filled(600);
    await spoil(memory, (await pagesOf(save)).at(-1) as number);
    const again = await openSaveVolume(memory, { cacheBytes: 0 });
    const { problems, objects, entries } = await again.verify({ data: true });
    expect(problems[0]).toMatch(/page \d+ of the block map .* is lost/);
    expect(problems.filter((each) => each.includes("nobody's"))).toEqual([]);
    expect(objects).toEqual([2]);
    expect(entries).toBeGreaterThan(550);
  });

  test('an inner page', async () => {
    const { memory, save } = await filled(1500);
    const inner = (await pagesOf(save))[1] as number;
    await spoil(memory, inner);
    const again = await openSaveVolume(memory, { cacheBytes: 0 });
    const { problems, objects } = await again.verify();
    expect(problems[0]).toContain(`page ${inner} of the block map`);
    expect(objects.length).toBeGreaterThan(0);
  });

  test('a bit map, a block in use that is nobody’s, one that is used twice', async () => {
    const { memory, save } = await filled(300);
    const [lost] = await save.allocator.allocate(1);
    const shared = (await save.find(1, 1, 0))?.address as number;
    const free = (await save.find(1, 2, 0))?.address as number;
    await save.transact((batch) => {
      batch.set(1, 900, { version: 1, address: shared, flags: 0, checksum: 0 });
    });
    await save.allocator.release(free);
    const { problems } = await save.verify();
    expect(problems).toEqual(
      [
        `block ${shared} has a second owner: block 900 of object 1, version 1`,
        `block ${free} is owned but free`,
        `block ${lost?.address} is in use but nobody's`,
      ].sort((a, b) => problems.indexOf(a) - problems.indexOf(b)),
    );
    await save.checkpoint();
    const { dataStart } = save.superblock;
    await spoil(memory, dataStart);
    await spoil(memory, dataStart + 1);
    const again = await openSaveVolume(memory);
    expect((await again.verify()).problems).toContain(
      'the bit map of allocation group 0 is damaged',
    );
  });

  test('trees that do not agree', async () => {
    const { save } = await filled(300);
    const roots = { blocks: save.map.byBlock.root, versions: save.map.byVersion.root };
    await save.transact((batch) => batch.putZero(1, 7000, 1));
    await save.checkpoint();
    const grown = save.map.byVersion.root;
    save.map.byVersion.root = roots.versions;
    const { problems } = await save.verify();
    expect(problems.join()).toContain('block 7000 of object 1, version 1, is in the by-block tree');
    save.map.byVersion.root = grown;
    save.map.byBlock.root = roots.blocks;
    expect((await save.verify()).problems.join()).toContain('in the by-version tree alone');
  });
});

test.each([1, 2, 3])(
  'nothing is found in a sound store while it is changed (seed %i)',
  async (seed) => {
    const random = createRandom(seed);
    const { save } = await filled(1200, true);
    let busy = true;
    let commits = 0;
    const change = async () => {
      while (busy) {
        await save.transact(async (batch) => {
          const touched = new Set<number>();
          for (let count = random.between(1, 40); count > 0; count -= 1) {
            const block = random.below(1200) * 3 + 1;
            if (touched.has(block)) continue;
            touched.add(block);
            const old = await save.find(1, block, 5);
            if (old !== undefined && old.version === 5) {
              batch.free(old.address);
              if (random.chance(0.5)) {
                batch.remove(1, block, 5);
                continue;
              }
            }
            batch.put(1, block, 5, new Uint8Array(BLOCK).fill(random.below(256)));
          }
        });
        commits += 1;
        if (random.chance(0.2)) await save.checkpoint();
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    const changing = change();
    let slices = 0;
    try {
      for (let round = 0; round < 3; round += 1) {
        const { problems } = await save.verify({
          data: true,
          pace: async () => {
            slices += 1;
            for (let turn = 0; turn < 5; turn += 1) await new Promise((go) => setImmediate(go));
          },
        });
        expect(problems).toEqual([]);
      }
    } finally {
      busy = false;
      await changing;
    }
    expect(commits).toBeGreaterThan(10);
    expect(slices).toBeGreaterThan(10);
    expect((await save.verify({ data: true })).problems).toEqual([]);
  },
  60_000,
);

test('it can be ended and gone on with', async () => {
  const { memory, save } = await filled(1500);
  const bad = await save.find(1, 1400, 0);
  await spoil(memory, bad?.address as number);
  const controller = new AbortController();
  let cursor: VerifyCursor | undefined;
  const ended = save.verify({
    data: true,
    signal: controller.signal,
    onProgress: (done, total, at) => {
      expect(total).toBe(1500);
      cursor = at;
      if (done > 700) controller.abort(new Error('enough'));
    },
  });
  await expect(ended).rejects.toThrow('enough');
  expect(cursor?.space).toBe(1);
  const rest = await save.verify({ data: true, from: cursor as VerifyCursor });
  expect(rest.problems).toHaveLength(1);
  expect(rest.entries).toBeLessThan(1000);
  expect(rest.entries).toBeGreaterThan(500);
});

test('owners are counted in several passes where there are too many groups (O3)', async () => {
  const { save } = await filled(600);
  const { allocator, superblock } = save;
  expect(allocator.groupCount).toBe(2);
  const found: string[] = [];
  const owned = new Ownership(allocator, superblock.dataStart, (each) => found.push(each), 1);
  await owned.compare({ orphans: false });
  expect(owned.count).toBe(2);
  expect(owned.next()).toBe(true);
  await owned.compare({ orphans: false });
  expect(owned.count).toBe(4);
  expect(owned.next()).toBe(false);
  expect(found).toEqual([]);
});
