/**
 * Goal: what the metrics of a production volume say is exactly what was done. Method: a known sequence
 * of writes, with each number worked out by hand.
 */
import { createMemoryDevice } from '@palimpsest/block-device';
import { failing } from '@palimpsest/block-device/testing';
import { formatSaveVolume, openSaveVolume } from '@palimpsest/save-volume';
import { expect, test } from 'vitest';
import { createProductionVolume } from '../src/index.js';

const BLOCK = 4096;
const BLOCKS = 256;

async function makeVolume() {
  const disk = failing(createMemoryDevice({ size: 8 << 20 }));
  await formatSaveVolume(disk.device, { journalBytes: 512 << 10 });
  const save = await openSaveVolume(disk.device);
  const image = failing(createMemoryDevice({ size: BLOCKS * BLOCK }));
  const volume = await createProductionVolume(save, image.device);
  const write = async (block: number, fill: number): Promise<void> => {
    await volume.device.write(new Uint8Array(BLOCK).fill(fill), block * BLOCK);
  };
  return { save, volume, write, image };
}

test('a hundred first writes are a hundred blocks copied out, and rewrites cost nothing more', async () => {
  const { save, volume, write } = await makeVolume();
  for (let block = 0; block < 100; block += 1) await write(block, 1);
  await volume.createSnapshot();
  const before = volume.metrics();
  expect(before).toMatchObject({ firstWrittenBlocks: 0, copiedOutBlocks: 0, savedAsZeroBlocks: 0 });
  expect(before.users.writtenBytes).toBe(100 * BLOCK);
  expect(before.clone.writtenBytes).toBe(100 * BLOCK);
  const saved = save.metrics();

  for (let block = 0; block < 100; block += 1) await write(block, 2);
  for (let block = 0; block < 50; block += 1) await write(block, 3); // held still: in place
  await volume.device.flush();
  const first = volume.metrics();
  expect(first).toMatchObject({
    firstWrittenBlocks: 100,
    copiedOutBlocks: 100,
    savedAsZeroBlocks: 0,
  });
  expect(first.users.writtenBytes - before.users.writtenBytes).toBe(150 * BLOCK);
  expect(first.clone.writtenBytes - before.clone.writtenBytes).toBe(100 * BLOCK);
  expect(first.clone.readBytes - before.clone.readBytes).toBe(100 * BLOCK);
  expect(first.users.flushes - before.users.flushes).toBe(1);
  expect(first.clone.flushes - before.clone.flushes).toBe(1);
  const firstSaved = save.metrics();
  expect(firstSaved.dataBytes - saved.dataBytes).toBe(100 * BLOCK);
  expect(firstSaved.entries - saved.entries).toBe(100);
  expect(firstSaved.flushes - saved.flushes).toBe(1);
  // A record: its header and 100 entries of 32 bytes, in whole blocks.
  expect(firstSaved.journalBytes - saved.journalBytes).toBe(BLOCK);

  for (let block = 0; block < 100; block += 1) await write(block, 4);
  await volume.device.flush();
  const rewritten = volume.metrics();
  expect(rewritten.firstWrittenBlocks).toBe(100);
  expect(rewritten.users.writtenBytes - first.users.writtenBytes).toBe(100 * BLOCK);
  expect(rewritten.clone.writtenBytes - first.clone.writtenBytes).toBe(100 * BLOCK);
  expect(save.metrics()).toEqual(firstSaved);

  await volume.createSnapshot();
  await write(7, 5);
  await volume.device.flush();
  expect(volume.metrics()).toMatchObject({ firstWrittenBlocks: 101, copiedOutBlocks: 101 });
});

test('blocks that were zeros are recorded, and take no block', async () => {
  const { save, volume, write } = await makeVolume();
  for (let block = 0; block < 10; block += 1) await write(block, 1);
  await volume.createSnapshot();
  const { dataBytes } = save.metrics();
  for (let block = 5; block < 25; block += 1) await write(block, 2);
  await volume.device.zero(30 * BLOCK, 2 * BLOCK);
  await volume.device.flush();
  expect(volume.metrics()).toMatchObject({
    firstWrittenBlocks: 22,
    copiedOutBlocks: 5,
    savedAsZeroBlocks: 17,
    users: { zeroedBytes: 2 * BLOCK },
    clone: { zeroedBytes: 2 * BLOCK },
  });
  expect(save.metrics().dataBytes - dataBytes).toBe(5 * BLOCK);
});

test('what could not be written to the image is tried again, and was saved once', async () => {
  const { volume, write, image } = await makeVolume();
  for (let block = 0; block < 4; block += 1) await write(block, 1);
  await volume.createSnapshot();
  image.fail({ call: 'write', nth: 1, code: 'ERR_NO_SPACE' });
  for (let block = 0; block < 4; block += 1) await write(block, 2);
  await expect(volume.device.flush()).rejects.toMatchObject({ code: 'ERR_NO_SPACE' });
  await volume.device.flush();
  expect(volume.metrics()).toMatchObject({ firstWrittenBlocks: 4, copiedOutBlocks: 4 });
});
