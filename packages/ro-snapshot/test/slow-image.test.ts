/**
 * Goal: an image that does not answer delays nobody but its own volume (C10, C11): others' first writes,
 * flushes, snapshots and deletions end; and nothing is lost of what waits for it.
 * Method: two volumes of one store, one on a device that answers nothing until it is told. A test that
 * waited for it would never end.
 */
import { createMemoryDevice } from '@palimpsest/block-device';
import { type StalledCall, stalling } from '@palimpsest/block-device/testing';
import { formatSaveVolume, openSaveVolume, type SaveVolumeOptions } from '@palimpsest/save-volume';
import { describe, expect, test } from 'vitest';
import { createProductionVolume, type ProductionVolume } from '../src/index.js';

const BLOCK = 4096;
const BLOCKS = 256;

const filled = (value: number, blocks = 1) => new Uint8Array(blocks * BLOCK).fill(value);

async function makeWorld(options: SaveVolumeOptions = {}) {
  const device = createMemoryDevice({ size: 16 << 20 });
  await formatSaveVolume(device, { journalBytes: 256 << 10 });
  const save = await openSaveVolume(device, options);
  const image = stalling(createMemoryDevice({ size: BLOCKS * BLOCK }));
  const slow = await createProductionVolume(save, image.device);
  const other = await createProductionVolume(save, createMemoryDevice({ size: BLOCKS * BLOCK }));
  for (const volume of [slow, other]) {
    for (let block = 0; block < 100; block += 1)
      await volume.device.write(filled(1), block * BLOCK);
    await volume.createSnapshot();
  }
  return { save, image, slow, other };
}

/** The byte that fills a block, as production or as the volume's first snapshot. */
async function byteOf(volume: ProductionVolume, block: number, past = false): Promise<number> {
  const { id } = volume.snapshots[0] as { id: number };
  const device = past ? volume.openSnapshot(id) : volume.device;
  const bytes = new Uint8Array(BLOCK);
  await device.readInto(bytes, block * BLOCK);
  expect(bytes.every((byte) => byte === bytes[0])).toBe(true);
  return bytes[0] as number;
}

/** Whether it has ended after a while of turns. */
async function hasEnded(work: Promise<unknown> | undefined): Promise<boolean> {
  let ended = false;
  const note = (): void => {
    ended = true;
  };
  Promise.resolve(work).then(note, note);
  for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  return ended;
}

/** The image stands still while its old blocks are read, or while they are overwritten. */
describe.each<[string, StalledCall]>([
  ['reads', 'read'],
  ['writes', 'write'],
])('an image that does not answer %s', (_what, call) => {
  test('keeps nobody else waiting, and loses nothing', async () => {
    const { save, image, slow, other } = await makeWorld();
    image.stall(call);
    await slow.device.write(filled(2, 10), 0);
    const slowFlush = slow.device.flush();
    expect(await hasEnded(slowFlush)).toBe(false);
    expect(image.waiting).toBeGreaterThan(0);

    await other.device.write(filled(2, 10), 0);
    await other.device.flush();
    const { id } = await other.createSnapshot();
    await other.device.write(filled(3), 0);
    await other.device.flush();
    await save.checkpoint();
    expect(await byteOf(other, 0)).toBe(3);
    expect(await byteOf(other, 0, true)).toBe(1);
    await other.deleteSnapshot(id);
    expect(await byteOf(other, 0, true)).toBe(1);

    // What waits is read as it was written, by clients; the snapshot has what was before.
    expect(await byteOf(slow, 3)).toBe(2);
    await slow.device.write(filled(4), 3 * BLOCK); // held for the round after
    expect(await byteOf(slow, 3)).toBe(4);
    expect(await hasEnded(slowFlush)).toBe(false);

    image.release();
    await slowFlush;
    await slow.device.flush();
    expect([await byteOf(slow, 0), await byteOf(slow, 3)]).toEqual([2, 4]);
    expect([await byteOf(slow, 0, true), await byteOf(slow, 3, true)]).toEqual([1, 1]);
    expect(slow.metrics()).toMatchObject({ firstWrittenBlocks: 10, copiedOutBlocks: 10 });
    expect(save.space().dirtyBytes).toBe(0);
    expect((await save.verify({ data: true })).problems).toEqual([]);
    await slow.close();
    await other.close();
    await save.close();
  });

  test('is waited for by its own snapshot, deletion and closing', async () => {
    const { image, slow, save } = await makeWorld();
    image.stall(call);
    await slow.device.write(filled(2), 0);
    const snapshot = slow.createSnapshot();
    expect(await hasEnded(snapshot)).toBe(false);
    image.release();
    await snapshot;
    image.stall(call);
    await slow.device.write(filled(3), 0);
    const closing = slow.close();
    expect(await hasEnded(closing)).toBe(false);
    image.release();
    await closing;
    expect(save.space().dirtyBytes).toBe(0);
    await save.close();
  });

  test('takes no more than its share of the memory for writes', async () => {
    const { save, image, slow, other } = await makeWorld({ dirtyBytes: 64 * BLOCK });
    image.stall(call);
    let held = 0;
    let write: Promise<void>;
    for (; ; held += 1) {
      write = Promise.resolve(slow.device.write(filled(2), held * BLOCK));
      if (!(await hasEnded(write))) break;
    }
    expect(held).toBeGreaterThan(16);
    expect(held).toBeLessThan(64);
    // Far more than is left, a block at a time, and then in large requests.
    for (let block = 0; block < 100; block += 1) {
      await other.device.write(filled(2), block * BLOCK);
    }
    await other.device.flush();
    await other.createSnapshot();
    await other.device.write(filled(3, 100), 0);
    await other.device.write(filled(3, 100), 100 * BLOCK);
    await other.device.flush();
    expect(await byteOf(other, 99)).toBe(3);
    expect(save.space().dirtyBytes).toBe(held * BLOCK);
    image.release();
    await write;
    await slow.device.flush();
    expect(save.space().dirtyBytes).toBe(0);
  });
});

test('what several hold is committed together', async () => {
  const { save, slow, other } = await makeWorld();
  await slow.device.write(filled(2, 5), 0);
  await other.device.write(filled(2, 5), 0);
  const { commits, flushes } = save.metrics();
  await Promise.all([slow.device.flush(), other.device.flush()]);
  expect(save.metrics()).toMatchObject({ commits: commits + 1, flushes: flushes + 1 });
});

test('a flush that comes while one runs shares the next with others that come', async () => {
  const { save, image, slow } = await makeWorld();
  image.stall('read');
  await slow.device.write(filled(2), 0);
  const first = slow.device.flush();
  await slow.device.write(filled(2), BLOCK);
  const second = slow.device.flush();
  await slow.device.write(filled(2), 2 * BLOCK);
  const third = slow.device.flush();
  const { commits } = save.metrics();
  image.release();
  await Promise.all([first, second, third]);
  expect(save.metrics().commits).toBe(commits + 2);
});

test('more than a round can gather at a time is committed piece by piece', async () => {
  const device = createMemoryDevice({ size: 64 << 20 });
  await formatSaveVolume(device, { journalBytes: 1 << 20 });
  const save = await openSaveVolume(device, { commitBytes: 1 << 30, dirtyBytes: 1 << 30 });
  const blocks = 5000; // of which 2048 go together
  const volume = await createProductionVolume(save, createMemoryDevice({ size: blocks * BLOCK }));
  await volume.device.write(filled(1, blocks), 0);
  await volume.createSnapshot();
  await volume.device.write(filled(2, blocks), 0);
  const { commits } = save.metrics();
  await volume.device.flush();
  expect(save.metrics().commits).toBe(commits + 3);
  expect([await byteOf(volume, 4999), await byteOf(volume, 4999, true)]).toEqual([2, 1]);
});
