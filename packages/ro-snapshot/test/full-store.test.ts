/** What deleting and checkpoints promise when the save volume is full (I8). */
import { type BlockDevice, createMemoryDevice } from '@palimpsest/block-device';
import { failing } from '@palimpsest/block-device/testing';
import { formatSaveVolume, openSaveVolume, type SaveVolume } from '@palimpsest/save-volume';
import { expect, test } from 'vitest';
import { createProductionVolume, openProductionVolume } from '../src/index.js';

const BLOCK = 512;
const SAVE_BYTES = 1 << 20;

async function makeWorld() {
  const device = createMemoryDevice({ blockSize: BLOCK, size: SAVE_BYTES });
  await formatSaveVolume(device, { blockSize: BLOCK, journalBytes: 128 << 10 });
  const save = await open(device);
  const clone = createMemoryDevice({ blockSize: BLOCK, size: 4 << 20 });
  for (let at = 0; at < clone.size; at += 1 << 20) {
    await clone.write(new Uint8Array(1 << 20).fill(0x55), at);
  }
  const volume = await createProductionVolume(save, clone);
  return { device, save, clone, volume };
}

const open = (device: BlockDevice): Promise<SaveVolume> =>
  openSaveVolume(device, { growBytes: 1, maximumBytes: SAVE_BYTES });

/** Writes to every third block until the store is full; returns how many were accepted. */
async function fillUp(device: BlockDevice): Promise<number> {
  for (let block = 0; ; block += 1) {
    try {
      await device.write(new Uint8Array(BLOCK).fill(block % 250), block * 3 * BLOCK);
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_NO_SPACE' });
      return block;
    }
  }
}

test('a snapshot whose blocks an older one needs can be deleted in a full store', async () => {
  const { device, save, clone, volume } = await makeWorld();
  const older = await volume.createSnapshot();
  const younger = await volume.createSnapshot();
  expect(await fillUp(volume.device)).toBeGreaterThan(500);
  await volume.device.flush();
  // Nothing comes back: every entry moves to the older snapshot.
  await volume.deleteSnapshot(younger.id);
  await save.checkpoint();
  expect((await save.verify({ data: true })).problems).toEqual([]);
  await volume.close();
  await save.close();
  const again = await open(device);
  const reopened = await openProductionVolume(again, volume.id, clone);
  const bytes = new Uint8Array(BLOCK);
  await reopened.openSnapshot(older.id).readInto(bytes, 0);
  expect(bytes.every((byte) => byte === 0x55)).toBe(true);
  await reopened.deleteSnapshot(older.id);
  expect((await again.verify({ data: true })).problems).toEqual([]);
});

test('snapshots taken in a full store are refused before a checkpoint cannot be written', async () => {
  const { save, volume } = await makeWorld();
  const first = await volume.createSnapshot();
  await fillUp(volume.device);
  await volume.device.flush();
  let refused: unknown;
  for (let count = 0; count < 3000 && refused === undefined; count += 1) {
    await volume.createSnapshot({ note: 'x'.repeat(200) }).catch((error) => {
      refused = error;
    });
  }
  expect(refused).toMatchObject({ code: 'ERR_NO_SPACE' });
  await save.checkpoint();
  await volume.deleteSnapshot(first.id);
  await volume.createSnapshot();
  await save.checkpoint();
  expect((await save.verify({ data: true })).problems).toEqual([]);
}, 20_000);

test('a store that became full while a volume grew can be opened (X3)', async () => {
  const { device, save, volume } = await makeWorld();
  const image = createMemoryDevice({ blockSize: BLOCK, size: 4 << 20 });
  const faults = failing(image);
  const growing = await createProductionVolume(save, faults.device);
  faults.fail({ call: 'resize', nth: 1 });
  await expect(growing.resize(8 << 20)).rejects.toMatchObject({ code: 'ERR_IO' });
  await volume.createSnapshot();
  expect(await fillUp(volume.device)).toBeGreaterThan(500);
  await volume.device.flush();
  for (const each of [growing, volume]) await each.close();
  await save.close();
  const again = await open(device);
  expect((await openProductionVolume(again, growing.id, image)).size).toBe(4 << 20);
});
