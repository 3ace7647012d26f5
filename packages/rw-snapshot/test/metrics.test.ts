/** Goal: what the metrics of a branch say is exactly what was done. Method: a known sequence of writes. */
import { createMemoryDevice } from '@palimpsest/block-device';
import { createProductionVolume } from '@palimpsest/ro-snapshot';
import { formatSaveVolume, openSaveVolume } from '@palimpsest/save-volume';
import { expect, test } from 'vitest';
import { createBranch, openBranch } from '../src/index.js';

const BLOCK = 4096;

test('a branch tells what users wrote, and what its commits stored', async () => {
  const disk = createMemoryDevice({ size: 4 << 20 });
  await formatSaveVolume(disk, { journalBytes: 256 << 10 });
  const save = await openSaveVolume(disk);
  const volume = await createProductionVolume(save, createMemoryDevice({ size: 64 * BLOCK }));
  const { id: snapshot } = await volume.createSnapshot();
  const { id } = await createBranch(save, { volume: volume.id, snapshot });
  const branch = await openBranch(save, id, () => volume.openSnapshot(snapshot));
  const write = async (block: number): Promise<void> => {
    await branch.device.write(new Uint8Array(BLOCK).fill(1), block * BLOCK);
  };
  const { dataBytes } = save.metrics();
  for (let block = 0; block < 20; block += 1) await write(block);
  for (let block = 0; block < 10; block += 1) await write(block); // held still: in place
  await branch.device.zero(30 * BLOCK, 3 * BLOCK);
  expect(branch.metrics()).toMatchObject({ storedBlocks: 0, zeroBlocks: 0 });
  await branch.device.flush();
  expect(branch.metrics()).toMatchObject({
    users: { writtenBytes: 30 * BLOCK, writes: 30, zeroedBytes: 3 * BLOCK, flushes: 1 },
    storedBlocks: 20,
    zeroBlocks: 3,
  });
  await write(0);
  await branch.device.flush();
  expect(branch.metrics()).toMatchObject({ storedBlocks: 21, zeroBlocks: 3 });
  expect(save.metrics().dataBytes - dataBytes).toBe(21 * BLOCK);
  await branch.close();
});
