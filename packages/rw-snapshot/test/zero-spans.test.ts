/**
 * Goal: zeroing or discarding large ranges of a branch costs a few entries, reads as zeros, and
 * mixes with writes, reopening and deletion as plain arrays say (Z1, K3).
 * Method: seeded operations on a branch of four thousand 512-byte blocks, compared each time.
 */
import { createMemoryDevice } from '@palimpsest/block-device';
import { createRandom } from '@palimpsest/block-device/testing';
import { createProductionVolume } from '@palimpsest/ro-snapshot';
import { formatSaveVolume, openSaveVolume } from '@palimpsest/save-volume';
import { expect, test } from 'vitest';
import { createBranch, deleteBranch, openBranch } from '../src/index.js';
import { spanBlocks, spansWithin } from '../src/zero-spans.js';

const BLOCK = 512;
const BLOCKS = 4096;

async function makeWorld(blocks: number, journalBytes = 16_384) {
  const saveDevice = createMemoryDevice({ blockSize: BLOCK, size: 256 << 10 });
  await formatSaveVolume(saveDevice, { blockSize: BLOCK, journalBytes });
  const save = await openSaveVolume(saveDevice, { growBytes: 256 << 10, dirtyBytes: 64 << 10 });
  const clone = createMemoryDevice({ blockSize: BLOCK, size: blocks * BLOCK });
  const volume = await createProductionVolume(save, clone);
  return { save, volume };
}

test('spans cover the aligned middle of a run and no more', () => {
  expect(spansWithin(0, 511)).toEqual([]);
  expect(spansWithin(1, 1023)).toEqual([{ first: 512, level: 1 }]);
  expect(spansWithin(0, spanBlocks(2) + 700)).toEqual([
    { first: 0, level: 2 },
    { first: spanBlocks(2), level: 1 },
  ]);
  expect(spansWithin(0, spanBlocks(3) * 2)).toHaveLength(2);
});

test.each(Array.from({ length: 6 }, (_, index) => index + 1))(
  'a history with large zeroings agrees with a plain array (seed %i)',
  async (seed) => {
    const random = createRandom(seed);
    const { save, volume } = await makeWorld(BLOCKS);
    const model = new Uint8Array(BLOCKS * BLOCK).fill(3);
    for (let at = 0; at < model.length; at += 1 << 18) {
      await volume.device.write(model.subarray(at, at + (1 << 18)), at);
    }
    const { id: snapshot } = await volume.createSnapshot();
    const { id } = await createBranch(save, { volume: volume.id, snapshot });
    const base = volume.openSnapshot(snapshot);
    let branch = await openBranch(save, id, () => base);
    const bytes = new Uint8Array(BLOCKS * BLOCK);
    for (let step = 0; step < 40; step += 1) {
      const first = random.below(BLOCKS);
      const long = random.chance(0.4);
      const count = random.between(1, Math.min(long ? 3000 : 40, BLOCKS - first));
      const kind = random.below(10);
      if (kind < 5) {
        const data = new Uint8Array(count * BLOCK).fill(random.between(1, 251));
        await branch.device.write(data, first * BLOCK);
        model.set(data, first * BLOCK);
      } else if (kind < 8) {
        if (kind === 5) await branch.device.discard(first * BLOCK, count * BLOCK);
        else await branch.device.zero(first * BLOCK, count * BLOCK);
        model.fill(0, first * BLOCK, (first + count) * BLOCK);
      } else if (kind === 8) await save.checkpoint();
      else {
        await branch.close();
        branch = await openBranch(save, id, () => base);
      }
      await branch.device.readInto(bytes, 0);
      const wrong =
        Buffer.compare(bytes, model) === 0 ? -1 : bytes.findIndex((b, i) => b !== model[i]);
      expect(wrong, `seed ${seed}, step ${step}`).toBe(-1);
      const extents = await branch.device.extents(0, bytes.length);
      let at = 0;
      for (const { length, zero } of extents) {
        if (zero) expect(model.subarray(at, at + length).every((byte) => byte === 0)).toBe(true);
        at += length;
      }
      expect(at).toBe(bytes.length);
    }
    expect((await save.verify({ data: true })).problems).toEqual([]);
    await branch.close();
    await deleteBranch(save, id);
    await volume.deleteSnapshot(snapshot);
    await save.checkpoint();
    expect(save.map.byBlock.root.entries).toBe(0);
    expect((await save.verify()).problems).toEqual([]);
  },
);

test('discarding a whole 1 TiB branch takes a handful of entries', async () => {
  const blocks = 2 ** 40 / BLOCK;
  const { save, volume } = await makeWorld(blocks);
  const { id: snapshot } = await volume.createSnapshot();
  const { id } = await createBranch(save, { volume: volume.id, snapshot });
  const branch = await openBranch(save, id, () => volume.openSnapshot(snapshot));
  const used = save.space().usedBytes;
  await branch.device.discard(0, blocks * BLOCK);
  await save.checkpoint();
  expect(save.map.byBlock.root.entries).toBe(16);
  expect(save.space().usedBytes - used).toBeLessThan(16 * BLOCK);
  const extents = await branch.device.extents(0, blocks * BLOCK);
  expect(extents).toEqual([{ length: blocks * BLOCK, zero: true, hole: true }]);
});
