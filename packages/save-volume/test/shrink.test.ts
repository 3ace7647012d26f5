/**
 * Goal: space that a deletion gave back is given back to the device, as holes by itself and as a
 * shorter device by `shrink`, and no crash on the way loses or brings back anything (A4, A5).
 * Method: a store with tiny limits on a crash world's disk; a large part of what is in it is deleted,
 * commits go on beside the trimming; after every event the power is cut and all is read and audited.
 */
import { type BlockDevice, slice } from '@palimpsest/block-device';
import { createCrashWorld, createRandom } from '@palimpsest/block-device/testing';
import { expect, test } from 'vitest';
import { formatSaveVolume, openSaveVolume, type SaveVolume } from '../src/index.js';

const BLOCK = 512;
const SIZE = 640 << 10;
const LIMITS = { discardBytes: 2048, trimBytes: 8192, growBytes: 16_384 };

const object = new TextEncoder().encode('{"type":"volume"}');

async function put(save: SaveVolume, from: number, to: number, value: number): Promise<void> {
  await save.transact((batch) => {
    for (let block = from; block < to; block += 1) {
      batch.put(1, block, 1, new Uint8Array(BLOCK).fill(value + block));
    }
  });
}

async function drop(save: SaveVolume, blocks: readonly number[]): Promise<void> {
  const entries = await Promise.all(blocks.map((block) => save.find(1, block, 1)));
  await save.transact(
    (batch) => {
      for (const [index, block] of blocks.entries()) {
        batch.remove(1, block, 1);
        batch.free(entries[index]?.address as number);
      }
    },
    { givesBack: true },
  );
}

/** Everything that is stored, block by block. */
async function contentOf(device: BlockDevice): Promise<Map<number, number>> {
  const save = await openSaveVolume(device, LIMITS);
  const { problems } = await save.verify({ data: true });
  expect(problems).toEqual([]);
  const content = new Map<number, number>();
  const target = new Uint8Array(BLOCK);
  for (let block = 0; block < 400; block += 1) {
    if (!(await save.readSaved(1, block, 1, target))) continue;
    expect(new Set(target).size).toBe(1);
    content.set(block, target[0] as number);
  }
  return content;
}

const range = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => from + index);

test.each([1, 2])(
  'a crash at any moment of trimming and shrinking loses nothing (seed %i)',
  async (seed) => {
    const random = createRandom(seed);
    const world = createCrashWorld({ seed });
    const disk = world.device('save', { blockSize: BLOCK, size: SIZE });
    await formatSaveVolume(disk, { blockSize: BLOCK, journalBytes: 16_384 });
    const save = await openSaveVolume(disk, LIMITS);
    await save.transact((batch) => batch.object(1, object));
    for (let from = 0; from < 400; from += 50) await put(save, from, from + 50, seed);
    await save.checkpoint();
    // What must be there from which point of the trace on; what comes next may be there.
    const states: { point: number; content: Map<number, number> }[] = [];
    const note = async () => {
      states.push({ point: world.point, content: new Map(current) });
    };
    const current = new Map(range(0, 400).map((block) => [block, (seed + block) & 255]));
    await note();
    const start = world.point;
    for (let from = 20; from < 400; from += 95) {
      const gone = range(from, from + random.between(60, 90));
      await drop(save, gone);
      for (const block of gone) current.delete(block);
      await note();
      await put(save, from, from + 3, seed + 7);
      for (const block of range(from, from + 3)) current.set(block, (seed + 7 + block) & 255);
      await note();
    }
    expect(save.metrics().discardedBytes).toBeGreaterThan(0); // by itself
    const shrinkage = await save.shrink();
    expect(shrinkage.removedBytes).toBeGreaterThan(SIZE / 4);
    expect(disk.size).toBe(SIZE - shrinkage.removedBytes);
    await note();
    await put(save, 30, 33, seed + 9);
    for (const block of range(30, 33)) current.set(block, (seed + 9 + block) & 255);
    await note();
    for (let point = start; point <= world.point; point += 1) {
      for (const policy of world.policies(point, { most: 3 })) {
        const seen = await contentOf(world.crash(point, policy).device('save'));
        const at = states.findLastIndex((state) => state.point <= point);
        const allowed = states.slice(at, at + 2).map(({ content }) => content);
        const matches = allowed.some(
          (content) =>
            content.size === seen.size && [...content].every(([k, v]) => seen.get(k) === v),
        );
        expect(matches, `point ${point} of ${start}..${world.point}`).toBe(true);
      }
    }
  },
  60_000,
);

test('a store that was made smaller grows again, and an empty one keeps next to nothing', async () => {
  const world = createCrashWorld({ seed: 3 });
  const disk = world.device('save', { blockSize: BLOCK, size: 64 << 10 });
  await formatSaveVolume(disk, { blockSize: BLOCK, journalBytes: 16_384 });
  const save = await openSaveVolume(disk, LIMITS);
  await save.transact((batch) => batch.object(1, object));
  for (let round = 0; round < 3; round += 1) {
    for (let from = 0; from < 1500; from += 100) await put(save, from, from + 100, round);
    const large = disk.size;
    expect(large).toBeGreaterThan(1500 * BLOCK);
    await drop(save, range(0, 200));
    for (let from = 200; from < 1500; from += 100) await drop(save, range(from, from + 100));
    await save.shrink();
    expect(disk.size).toBeLessThan(160 << 10);
    expect((await save.verify()).problems).toEqual([]);
  }
  await save.close();
  const again = await openSaveVolume(disk);
  expect((await again.verify()).problems).toEqual([]);
});

test('a device that cannot shrink stays as it is', async () => {
  const world = createCrashWorld({ seed: 4 });
  const disk = world.device('save', { blockSize: BLOCK, size: SIZE });
  await formatSaveVolume(disk, { blockSize: BLOCK, journalBytes: 16_384 });
  const save = await openSaveVolume(slice(disk, 0, SIZE), LIMITS);
  await save.transact((batch) => batch.object(1, object));
  const before = save.space().totalBytes;
  expect((await save.shrink()).removedBytes).toBe(0);
  expect(save.space().totalBytes).toBe(before);
  for (let from = 0; from < 800; from += 100) await put(save, from, from + 100, 1);
  expect((await save.verify({ data: true })).problems).toEqual([]);
});
