/** Snapshots of several volumes at one instant, and growing a volume. */
import { createMemoryDevice } from '@palimpsest/block-device';
import { failing } from '@palimpsest/block-device/testing';
import { formatSaveVolume, openSaveVolume, type SaveVolume } from '@palimpsest/save-volume';
import { expect, test } from 'vitest';
import {
  createProductionVolume,
  createSnapshots,
  listProductionVolumes,
  openProductionVolume,
} from '../src/index.js';

const BLOCK = 4096;
const BLOCKS = 16;

async function makeStore() {
  const device = createMemoryDevice({ size: 2 << 20 });
  await formatSaveVolume(device, { journalBytes: 64 << 10 });
  return { device, save: await openSaveVolume(device) };
}

async function makeVolume(save: SaveVolume) {
  const faults = failing(createMemoryDevice({ size: BLOCKS * BLOCK }));
  const volume = await createProductionVolume(save, faults.device);
  return { volume, clone: faults.device, faults };
}

const filled = (value: number) => new Uint8Array(BLOCK).fill(value);

test('a group is one commit, and keeps the order of writes between its members (G1, G3)', async () => {
  const { save } = await makeStore();
  const members = [await makeVolume(save), await makeVolume(save), await makeVolume(save)];
  const volumes = members.map(({ volume }) => volume);
  await createSnapshots(volumes.map((taker) => ({ taker, attributes: {} })));
  // A client that writes n to each in turn, only after the one before was answered.
  let stop = false;
  const writing = (async () => {
    for (let n = 1; !stop && n < 250; n += 1) {
      for (const { device } of [...volumes].reverse()) {
        await device.write(filled(n), 0);
        await Promise.resolve();
      }
    }
  })();
  for (let round = 0; round < 10; round += 1) {
    const group = [...volumes].map((taker) => ({ taker, attributes: { round } }));
    const records = await createSnapshots(group);
    const seen = await Promise.all(
      records.map(async ({ id }, index) => {
        const bytes = new Uint8Array(BLOCK);
        await volumes[index]?.openSnapshot(id).readInto(bytes, 0);
        return bytes[0] as number;
      }),
    );
    // Written last to first: an earlier member never has a later number than the ones after it.
    expect([...seen].sort((a, b) => a - b)).toEqual(seen);
    expect((seen[2] as number) - (seen[0] as number)).toBeLessThanOrEqual(1);
  }
  stop = true;
  await writing;
});

test('a group that cannot drain one member makes no snapshot at all', async () => {
  const { save } = await makeStore();
  const one = await makeVolume(save);
  const two = await makeVolume(save);
  two.faults.fail({ call: 'flush', nth: 1 });
  const group = [one.volume, two.volume].map((taker) => ({ taker, attributes: {} }));
  await expect(createSnapshots(group)).rejects.toMatchObject({ code: 'ERR_IO' });
  expect(listProductionVolumes(save).map(({ snapshots }) => snapshots.length)).toEqual([0, 0]);
});

test('members are of one store, at least one, and each once', async () => {
  const { save } = await makeStore();
  const { volume } = await makeVolume(save);
  const other = await makeVolume((await makeStore()).save);
  const group = (...takers: (typeof volume)[]) =>
    createSnapshots(takers.map((taker) => ({ taker, attributes: {} })));
  await expect(group()).rejects.toMatchObject({ code: 'ERR_INVALID' });
  await expect(group(volume, volume)).rejects.toMatchObject({ code: 'ERR_INVALID' });
  await expect(group(volume, other.volume)).rejects.toMatchObject({ code: 'ERR_INVALID' });
});

test('a volume grows online; its snapshots keep their size', async () => {
  const { save } = await makeStore();
  const { volume, clone } = await makeVolume(save);
  await volume.device.write(filled(1), 0);
  const { id } = await volume.createSnapshot();
  await volume.resize(2 * BLOCKS * BLOCK);
  await volume.device.write(filled(2), (2 * BLOCKS - 1) * BLOCK);
  expect(volume.openSnapshot(id).size).toBe(BLOCKS * BLOCK);
  const { id: later } = await volume.createSnapshot();
  expect(volume.openSnapshot(later).size).toBe(2 * BLOCKS * BLOCK);
  await expect(volume.resize(BLOCK)).rejects.toMatchObject({ code: 'ERR_INVALID' });
  await expect(volume.resize(2 * BLOCKS * BLOCK + 1)).rejects.toMatchObject({
    code: 'ERR_INVALID',
  });
  await volume.close();
  const again = await openProductionVolume(save, volume.id, clone);
  expect(again.size).toBe(2 * BLOCKS * BLOCK);
});

test('a growth that stopped half way is settled when the volume is opened again (X1)', async () => {
  for (const call of ['resize', 'flush'] as const) {
    const { save } = await makeStore();
    const { volume, clone, faults } = await makeVolume(save);
    faults.fail({ call, nth: call === 'flush' ? 2 : 1 });
    await expect(volume.resize(2 * BLOCKS * BLOCK)).rejects.toMatchObject({ code: 'ERR_IO' });
    expect(volume.size).toBe(BLOCKS * BLOCK);
    await volume.close().catch(() => undefined);
    const reopened = failing(clone).device; // the failed flush is the old device's alone
    const size = clone.size;
    const shown = createMemoryDevice({ size });
    const again = await openProductionVolume(save, volume.id, call === 'flush' ? shown : reopened);
    expect(again.size).toBe(call === 'flush' ? 2 * BLOCKS * BLOCK : BLOCKS * BLOCK);
    expect(listProductionVolumes(save)[0]?.size).toBe(again.size);
  }
});
