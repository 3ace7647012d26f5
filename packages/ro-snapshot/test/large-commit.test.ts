/**
 * Goal: a commit of many blocks lets others have their turn in the midst of it, and nothing is lost of
 * what they write then: a few reads or writes of the image are done between two turns, a few checksums.
 * Method: an image in memory that counts its calls, a turn that looks at the count and then writes to
 * blocks of the very commit, newer bytes each time.
 */
import { createMemoryDevice } from '@palimpsest/block-device';
import { formatSaveVolume, openSaveVolume } from '@palimpsest/save-volume';
import { expect, test } from 'vitest';
import { createProductionVolume } from '../src/index.js';

const BLOCK = 4096;
/** Every other block is written, so that none is a neighbour of another. */
const WRITTEN = 700;
/** In one turn: the last part of the reads, and the first of the writes. */
const MOST = 2 * 2;

const filled = (value: number) => new Uint8Array(BLOCK).fill(value);

test('a large commit gives turns, and what is written in them counts', async () => {
  let calls = 0;
  let most = 0;
  let turns = 0;
  let inTurn: () => Promise<void> = async () => undefined;
  const memory = createMemoryDevice({ size: 2 * WRITTEN * BLOCK });
  const image = new Proxy(memory, {
    get(target, name) {
      if (name === 'readInto' || name === 'write') calls += 1;
      const value = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const device = createMemoryDevice({ size: 64 << 20 });
  await formatSaveVolume(device);
  await using save = await openSaveVolume(device, {
    async turn() {
      most = Math.max(most, calls);
      turns += 1;
      await inTurn();
      await new Promise((resolve) => setImmediate(resolve));
      calls = 0;
    },
  });
  const volume = await createProductionVolume(save, image);
  for (let block = 0; block < 2 * WRITTEN; block += 1) await memory.write(filled(1), block * BLOCK);
  const { id } = await volume.createSnapshot();
  for (let n = 0; n < WRITTEN; n += 1) await volume.device.write(filled(2), 2 * n * BLOCK);

  calls = 0;
  turns = 0;
  const newest = new Map<number, number>();
  inTurn = async () => {
    // One that was moved already, or will be, and one after it that is not held.
    for (const block of [(turns * 74) % (2 * WRITTEN), (2 * turns + 1) % (2 * WRITTEN)]) {
      const value = 3 + (turns % 250);
      newest.set(block, value);
      await volume.device.write(filled(value), block * BLOCK);
    }
  };
  await volume.device.flush();
  most = Math.max(most, calls);
  inTurn = async () => undefined;
  // Of the three passes, old blocks read, put into the batch and new ones written.
  expect(turns).toBeGreaterThanOrEqual(WRITTEN / 2 - 1 + Math.floor(WRITTEN / 8) + WRITTEN / 2 - 1);
  expect(most).toBeLessThanOrEqual(MOST);
  await volume.device.flush();

  const bytes = new Uint8Array(BLOCK);
  const snapshot = volume.openSnapshot(id);
  for (let block = 0; block < 2 * WRITTEN; block += 1) {
    await volume.device.readInto(bytes, block * BLOCK);
    const now = newest.get(block) ?? (block % 2 === 0 ? 2 : 1);
    expect([bytes[0], bytes[BLOCK - 1]], `block ${block}`).toEqual([now, now]);
    await memory.readInto(bytes, block * BLOCK);
    expect(bytes[0], `block ${block} of the image`).toBe(now);
    await snapshot.readInto(bytes, block * BLOCK);
    expect(bytes[0], `block ${block} of the snapshot`).toBe(1);
  }
  expect(newest.size).toBeGreaterThan(30);
});
