/**
 * Goal: a restore from a branch is told at once how many blocks can differ at most, and never too few:
 * it sets space aside for so many (RS4).
 * Method: seeded histories of a branch and a branch of a snapshot of it, with writes, spans of zeros,
 * snapshots; the bound of every snapshot is held against a walk of the blocks, and of those a larger
 * volume has beyond its end.
 */
import { createMemoryDevice } from '@palimpsest/block-device';
import { createRandom } from '@palimpsest/block-device/testing';
import { createProductionVolume } from '@palimpsest/ro-snapshot';
import { formatSaveVolume, openSaveVolume } from '@palimpsest/save-volume';
import { expect, test } from 'vitest';
import { type Beneath, branchRestoreSource, createBranch, openBranch } from '../src/index.js';

const BLOCK = 4096;
const BLOCKS = 3000;

test.each([1, 2, 3, 4, 5])('no fewer than there are (seed %i)', async (seed) => {
  const random = createRandom(seed);
  const device = createMemoryDevice({ size: 256 << 20 });
  await formatSaveVolume(device);
  const save = await openSaveVolume(device);
  const clone = createMemoryDevice({ size: BLOCKS * BLOCK });
  const volume = await createProductionVolume(save, clone);
  const root = await volume.createSnapshot();
  const beneath: Beneath = ({ snapshot }) => volume.openSnapshot(snapshot);
  let base = { volume: volume.id, snapshot: root.id };
  const snapshots: number[] = [];
  for (let depth = 0; depth < 2; depth += 1) {
    const record = await createBranch(save, base);
    const branch = await openBranch(save, record.id, beneath);
    for (let step = 0; step < 12; step += 1) {
      const first = random.below(BLOCKS - 1100);
      if (random.chance(0.2)) await branch.device.zero(first * BLOCK, 1100 * BLOCK);
      else await branch.device.write(new Uint8Array(9 * BLOCK).fill(step + 1), first * BLOCK);
      if (random.chance(0.4)) {
        const { id } = await branch.createSnapshot();
        snapshots.push(id);
        base = { volume: record.space, snapshot: id };
      }
      if (random.chance(0.2)) await save.checkpoint();
    }
    await branch.close();
  }
  expect(snapshots.length).toBeGreaterThan(1);
  for (const snapshot of snapshots) {
    const source = await branchRestoreSource(save, snapshot, beneath);
    // As a volume asks that is larger than the source: beyond its end nothing differs from the root.
    const walked = await source.nextDiffering(0, 2 * BLOCKS, 2 * BLOCKS);
    expect(await source.countDiffering()).toBeGreaterThanOrEqual(walked.length);
    source.close?.();
  }
});

test('exactly as many, where a branch was only written to and a checkpoint has passed', async () => {
  const device = createMemoryDevice({ size: 64 << 20 });
  await formatSaveVolume(device);
  const save = await openSaveVolume(device);
  const volume = await createProductionVolume(save, createMemoryDevice({ size: BLOCKS * BLOCK }));
  const beneath: Beneath = ({ snapshot }) => volume.openSnapshot(snapshot);
  const root = await volume.createSnapshot();
  const record = await createBranch(save, { volume: volume.id, snapshot: root.id });
  const branch = await openBranch(save, record.id, beneath);
  const counts: number[] = [];
  for (const blocks of [10, 30, 5]) {
    await branch.device.write(new Uint8Array(blocks * BLOCK).fill(blocks), 100 * BLOCK);
    const { id } = await branch.createSnapshot();
    await save.checkpoint();
    const source = await branchRestoreSource(save, id, beneath);
    counts.push(await source.countDiffering());
    source.close?.();
  }
  expect(counts).toEqual([10, 30, 30]);
});
