/** One image that fails or is full: nobody else has to wait for what cannot be written to it. */
import { createMemoryDevice } from '@palimpsest/block-device';
import { failing } from '@palimpsest/block-device/testing';
import { formatSaveVolume, openSaveVolume } from '@palimpsest/save-volume';
import { expect, test, vi } from 'vitest';
import { createProductionVolume } from '../src/index.js';
import { SavedBlocks } from '../src/saved-blocks.js';

const BLOCK = 512;
const BLOCKS = 64;

async function makeWorld() {
  const device = createMemoryDevice({ blockSize: BLOCK, size: 1 << 20 });
  await formatSaveVolume(device, { blockSize: BLOCK });
  const save = await openSaveVolume(device, { dirtyBytes: 16 * BLOCK, commitBytes: 1 << 20 });
  const faults = failing(createMemoryDevice({ blockSize: BLOCK, size: BLOCKS * BLOCK }));
  const volume = await createProductionVolume(save, faults.device);
  const sound = createMemoryDevice({ blockSize: BLOCK, size: BLOCKS * BLOCK });
  const other = await createProductionVolume(save, sound);
  await volume.createSnapshot();
  await other.createSnapshot();
  return { save, faults, volume, other };
}

const filled = (value: number, blocks = 1) => new Uint8Array(blocks * BLOCK).fill(value);

test.each(['read', 'write'] as const)(
  'an image that fails under a %s',
  async (call) => {
    const { save, faults, volume, other } = await makeWorld();
    await volume.device.write(filled(1, 16), 0); // as much as may be held at all
    faults.fail({ call, nth: 1, repeat: 'from-then-on' });
    await expect(volume.device.flush()).rejects.toMatchObject({ code: 'ERR_FAILED' });
    // What is held is read still, and the other volume writes on.
    const bytes = new Uint8Array(BLOCK);
    await volume.device.readInto(bytes, 0);
    expect(bytes).toEqual(filled(1));
    await other.device.write(filled(2, 4), 0);
    await other.device.flush();
    await expect(volume.close()).rejects.toBeDefined();
    expect(save.space().dirtyBytes).toBe(0);
    await other.close();
    await save.close();
  },
  2000,
);

test('an image with no space refuses writes once the memory for them is full', async () => {
  const { save, faults, volume } = await makeWorld();
  faults.fail({ call: 'write', nth: 1, repeat: 'from-then-on', code: 'ERR_NO_SPACE' });
  await volume.device.write(filled(1, 16), 0);
  await expect(volume.device.write(filled(1), 20 * BLOCK)).rejects.toMatchObject({
    code: 'ERR_NO_SPACE',
  });
  faults.heal();
  await volume.device.write(filled(1), 20 * BLOCK);
  await volume.device.flush();
  faults.fail({ call: 'write', nth: 1, repeat: 'from-then-on', code: 'ERR_NO_SPACE' });
  await volume.device.write(filled(1, 4), 30 * BLOCK);
  await expect(volume.close()).rejects.toMatchObject({ code: 'ERR_NO_SPACE' });
  expect(save.space().dirtyBytes).toBe(0);
}, 2000);

test('a write that the image refuses half-way counts what is held of it', async () => {
  const { save, faults, volume } = await makeWorld();
  await volume.device.write(filled(1), BLOCK); // saved from now on: written at once
  await volume.device.flush();
  faults.fail({ call: 'write', nth: 1 });
  await expect(volume.device.write(filled(2, 3), 0)).rejects.toMatchObject({ code: 'ERR_IO' });
  expect(save.space().dirtyBytes).toBe(BLOCK);
  await volume.device.flush();
  expect(save.space().dirtyBytes).toBe(0);
});

test('a block whose region is dropped while it loads is not saved again (I1)', async () => {
  const load = vi.spyOn(SavedBlocks.prototype, 'load');
  const { volume, save } = await makeWorld();
  const [snapshot] = volume.snapshots;
  const past = volume.openSnapshot(snapshot?.id as number);
  // Written again while its first cycle ends: held for the next cycle, by then it is saved.
  const add = vi.spyOn(SavedBlocks.prototype, 'add');
  let again: PromiseLike<void> | undefined;
  add.mockImplementationOnce(function (this: SavedBlocks, block: number) {
    this.add(block);
    again = Promise.resolve(volume.device.write(filled(2), 0));
  });
  await volume.device.write(filled(1), 0);
  await volume.device.flush();
  await again;
  expect(save.space().dirtyBytes).toBe(BLOCK);
  const has = vi.spyOn(SavedBlocks.prototype, 'has').mockReturnValueOnce(undefined);
  has.mockReturnValueOnce(undefined); // dropped again before the cycle went on
  await save.commit();
  expect(load).toHaveBeenCalled();
  vi.restoreAllMocks();
  const bytes = new Uint8Array(BLOCK);
  await past.readInto(bytes, 0);
  expect(bytes).toEqual(filled(0));
});
