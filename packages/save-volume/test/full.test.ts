/**
 * Goal: a store that is full to its brim refuses before anything is touched, lets deletions work at any
 * time, asks the layers above before it refuses, and says when it gets full (I8, C6).
 * Method: tens of thousands of seeded operations on a store of a hundred blocks beside a plain map of
 * what must be there; its audit, and another opening of its bytes, agree with the map at intervals.
 */
import { createMemoryDevice } from '@palimpsest/block-device';
import { createRandom } from '@palimpsest/block-device/testing';
import { expect, test } from 'vitest';
import {
  formatSaveVolume,
  openSaveVolume,
  type SaveVolume,
  type SaveVolumeOptions,
  type SpaceCrossing,
} from '../src/index.js';

const BLOCK = 512;
const VOLUME = new TextEncoder().encode('{"type":"volume"}');

async function small(blocks: number, options: SaveVolumeOptions = {}) {
  const size = 2 * 4096 + 16_384 + blocks * BLOCK;
  const device = createMemoryDevice({ blockSize: BLOCK, size });
  await formatSaveVolume(device, { blockSize: BLOCK, journalBytes: 16_384 });
  const save = await openSaveVolume(device, { maximumBytes: size, ...options });
  await save.transact((batch) => batch.object(1, VOLUME));
  return { device, save, size };
}

const put = (save: SaveVolume, block: number, value: number, relieve = false) =>
  save.transact(
    async (batch) => {
      const old = await save.find(1, block, 1);
      if (old !== undefined) batch.free(old.address);
      batch.put(1, block, 1, new Uint8Array(BLOCK).fill(value));
    },
    { relieve },
  );

/** Deletes up to `most` of the blocks, as many a transaction as there is room for. */
async function drop(save: SaveVolume, blocks: readonly number[]): Promise<void> {
  for (let done = 0; done < blocks.length; ) {
    const step = Math.max(1, Math.floor(save.operationsMax / 2));
    const part = blocks.slice(done, done + step);
    await save.transact(
      async (batch) => {
        for (const block of part) {
          const entry = await save.find(1, block, 1);
          if (entry === undefined) continue;
          batch.remove(1, block, 1);
          batch.free(entry.address);
        }
      },
      { givesBack: true },
    );
    done += part.length;
  }
}

async function agree(save: SaveVolume, model: ReadonlyMap<number, number>): Promise<void> {
  const target = new Uint8Array(BLOCK);
  for (let block = 0; block < 300; block += 1) {
    const value = model.get(block);
    expect(await save.readSaved(1, block, 1, target)).toBe(value !== undefined);
    if (value !== undefined) expect(target[100]).toBe(value);
  }
  expect((await save.verify({ data: true })).problems).toEqual([]);
}

test.each([1, 2])(
  '20,000 operations on a store that is full all the time (seed %i)',
  async (seed) => {
    const random = createRandom(seed);
    const { save, device } = await small(random.between(80, 160));
    const model = new Map<number, number>();
    let refused = 0;
    for (let step = 0; step < 20_000; step += 1) {
      const block = random.below(300);
      const kind = random.below(100);
      if (kind < 75) {
        const value = random.between(1, 255);
        try {
          await put(save, block, value);
          model.set(block, value);
        } catch (error) {
          expect(error).toMatchObject({ code: 'ERR_NO_SPACE' });
          refused += 1;
        }
      } else if (kind < 97) {
        await drop(save, [block]);
        model.delete(block);
      } else if (kind < 99) {
        const from = random.below(300);
        const some = [...model.keys()].filter((each) => each >= from && each < from + 60);
        await drop(save, some);
        for (const each of some) model.delete(each);
      } else await save.checkpoint();
      if (step % 4000 === 3999) {
        await agree(save, model);
        const copy = createMemoryDevice({ blockSize: BLOCK, size: device.size });
        const bytes = new Uint8Array(device.size);
        await device.readInto(bytes, 0);
        await copy.write(bytes, 0);
        await agree(await openSaveVolume(copy, { maximumBytes: device.size }), model);
      }
    }
    expect(refused).toBeGreaterThan(1000);
    await drop(save, [...model.keys()]);
    await save.close();
  },
  60_000,
);

test('the layers above are asked before anything is refused, one at a time', async () => {
  let asked = 0;
  let running = 0;
  const dropped: number[] = [];
  const { save } = await small(120, {
    onPressure: async (needed) => {
      expect(needed).toBeGreaterThan(0);
      running += 1;
      expect(running).toBe(1);
      asked += 1;
      const oldest = await save.map.listSaved(1, 1, 0, 5);
      await drop(save, oldest);
      dropped.push(...oldest);
      running -= 1;
      return oldest.length > 0;
    },
  });
  for (let block = 0; block < 250; block += 1) await put(save, block, block & 255, true);
  expect(asked).toBeGreaterThan(10);
  expect(dropped.slice(0, 5)).toEqual([0, 1, 2, 3, 4]);
  // Those who hold data wait for it too; several at once share one call.
  await Promise.all([1, 2, 3].map(() => save.reserveSlowly(8)));
  save.settled(24);
  // Without being allowed to ask, a transaction is refused.
  const before = asked;
  const fill = async () => {
    for (let block = 250; ; block += 1) await put(save, block, 1);
  };
  await expect(fill()).rejects.toMatchObject({ code: 'ERR_NO_SPACE' });
  expect(asked).toBe(before);
  // Nothing left to give: the refusal says so.
  await drop(save, await save.map.listSaved(1, 1, 0, 1000));
  await expect(save.reserveSlowly(500)).rejects.toMatchObject({ code: 'ERR_NO_SPACE' });
  expect((await save.verify()).problems).toEqual([]);
});

test('thresholds are told once a crossing, growth each time, and the limit can change', async () => {
  const crossings: SpaceCrossing[] = [];
  let grown = 0;
  const { save, size } = await small(200, {
    highWaterPercents: [50, 80],
    onSpace: (crossing) => crossings.push(crossing),
    onGrown: () => {
      grown += 1;
    },
    growBytes: 32 << 10,
  });
  const fill = async () => {
    for (let block = 0; ; block += 1) await put(save, block, 1);
  };
  await expect(fill()).rejects.toMatchObject({ code: 'ERR_NO_SPACE' });
  const told = () => crossings.map(({ percent, rising }) => (rising ? percent : -percent));
  expect(told()).toEqual([50, 80]);
  save.setMaximumBytes(4 * size); // a larger whole: the use is far below again
  expect(told()).toEqual([50, 80, -50, -80]);
  await put(save, 400, 1);
  expect(grown).toBe(1);
  expect(save.space().totalBytes).toBe(size + (32 << 10));
  expect(save.metrics()).toMatchObject({ growths: 1 });
  save.setMaximumBytes(size);
  expect(save.space().canGrow).toBe(true);
  await expect(fill()).rejects.toMatchObject({ code: 'ERR_NO_SPACE' });
  expect(save.space()).toMatchObject({ canGrow: false, totalBytes: size + (32 << 10) });
  save.setHighWater([10]);
  expect(told().at(-1)).toBe(10);
});

test('metrics count what goes to the device', async () => {
  const { save } = await small(200);
  const before = save.metrics();
  await put(save, 1, 1);
  const commit = save.metrics();
  expect(commit.commits - before.commits).toBe(1);
  expect(commit.flushes - before.flushes).toBe(1);
  expect(commit.dataBytes - before.dataBytes).toBe(BLOCK);
  expect(commit.journalBytes - before.journalBytes).toBe(BLOCK);
  expect(commit.allocatedBlocks - before.allocatedBlocks).toBe(1);
  await save.checkpoint();
  const after = save.metrics();
  expect(after.checkpoints - commit.checkpoints).toBe(1);
  expect(after.flushes - commit.flushes).toBe(2);
  expect(after.mapBytes).toBeGreaterThan(commit.mapBytes);
});
