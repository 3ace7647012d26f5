/** What a restore promises, one promise a test, with the devices beneath watched. */
import { type BlockDevice, createMemoryDevice } from '@palimpsest/block-device';
import { failing } from '@palimpsest/block-device/testing';
import { formatSaveVolume, openSaveVolume } from '@palimpsest/save-volume';
import { describe, expect, test } from 'vitest';
import { createProductionVolume, openProductionVolume, type RestoreSource } from '../src/index.js';

const BLOCK = 4096;
const BLOCKS = 64;

async function makeWorld(saveBytes = 4 << 20) {
  const saveFaults = failing(createMemoryDevice({ size: saveBytes }));
  const cloneFaults = failing(createMemoryDevice({ size: BLOCKS * BLOCK }));
  await formatSaveVolume(saveFaults.device, { journalBytes: 64 << 10 });
  const save = await openSaveVolume(saveFaults.device, { growBytes: 1, maximumBytes: saveBytes });
  const volume = await createProductionVolume(save, cloneFaults.device);
  return { save, volume, clone: cloneFaults.device, saveFaults, cloneFaults };
}

const filled = (value: number, blocks = 1) => new Uint8Array(blocks * BLOCK).fill(value);

async function read(device: BlockDevice, block: number): Promise<number> {
  const bytes = new Uint8Array(BLOCK);
  await device.readInto(bytes, block * BLOCK);
  expect(bytes).toEqual(filled(bytes[0] as number));
  return bytes[0] as number;
}

/** A volume of ones, a snapshot of it, and `changed` blocks of twos since. */
async function makeChanged(changed: number, saveBytes?: number) {
  const world = await makeWorld(saveBytes);
  const { volume } = world;
  await volume.device.write(filled(1, BLOCKS), 0);
  const { id } = await volume.createSnapshot();
  if (changed > 0) await volume.device.write(filled(2, changed), 0);
  await volume.device.flush();
  return { ...world, id };
}

test('what is read changes at once, before a byte of the image does (I7, RS7)', async () => {
  const { volume, cloneFaults, id } = await makeChanged(8);
  const before = cloneFaults.calls.write;
  const { undo } = await volume.startRestore(id, { undo: { name: 'before' } });
  expect(await read(volume.device, 3)).toBe(1);
  expect(await read(volume.openSnapshot(undo.id), 3)).toBe(2);
  expect(undo.attributes).toEqual({ name: 'before' });
  expect(cloneFaults.calls.write).toBe(before);
  await volume.device.write(filled(3), 3 * BLOCK);
  expect(await read(volume.device, 3)).toBe(3);
  expect(await read(volume.device, 4)).toBe(1);
});

test('only blocks that may differ are copied, and the image is plain at the end', async () => {
  const { volume, clone, cloneFaults, id } = await makeChanged(8);
  await volume.startRestore(id, { undo: {}, attributes: { by: 'me' } });
  expect(volume.restores).toMatchObject([
    { source: { snapshot: id }, doneBlocks: 0, totalBlocks: 8, attributes: { by: 'me' } },
  ]);
  const before = cloneFaults.calls.write;
  const seen: number[] = [];
  await volume.copyBack({
    stepBytes: 2 * BLOCK,
    onProgress: ({ doneBlocks }) => seen.push(doneBlocks),
  });
  expect(cloneFaults.calls.write - before).toBe(4);
  expect(seen).toEqual([2, 4, 6, 8]);
  expect(volume.restores).toEqual([]);
  for (const block of [0, 7, 8]) expect(await read(clone, block)).toBe(1);
});

test('a step costs one flush of each device (R23)', async () => {
  const { volume, saveFaults, cloneFaults, id } = await makeChanged(32);
  await volume.startRestore(id, { undo: {} });
  const before = { save: saveFaults.calls.flush, clone: cloneFaults.calls.flush };
  await volume.copyBack({ stepBytes: 4 * BLOCK });
  // Eight steps, the drain before the end, the end itself, and what gives marks back.
  expect(saveFaults.calls.flush - before.save).toBeLessThanOrEqual(8 + 3);
  expect(cloneFaults.calls.flush - before.clone).toBeLessThanOrEqual(8 + 2);
});

test('source and undo snapshot stay while they are needed, others may go', async () => {
  const { volume, id } = await makeChanged(8);
  const other = await volume.createSnapshot();
  const { undo } = await volume.startRestore(id, { undo: {} });
  for (const needed of [id, undo.id]) {
    await expect(volume.deleteSnapshot(needed)).rejects.toMatchObject({ code: 'ERR_IN_USE' });
  }
  await volume.deleteSnapshot(other.id);
  expect(await read(volume.device, 0)).toBe(1);
  await volume.copyBack();
  await volume.deleteSnapshot(id);
  await volume.deleteSnapshot(undo.id);
  expect(await read(volume.device, 0)).toBe(1);
});

test('restoring to the undo snapshot cancels, bit for bit, and drops what was written since', async () => {
  const { volume, clone, id } = await makeChanged(8);
  const { undo } = await volume.startRestore(id, { undo: {} });
  await volume.device.write(filled(9), 20 * BLOCK);
  await volume.device.write(filled(9), 2 * BLOCK);
  const mid = await volume.createSnapshot();
  await volume.startRestore(undo.id, { undo: {} });
  expect(volume.restores).toHaveLength(2);
  const state = async (device: BlockDevice) =>
    Promise.all([0, 2, 7, 8, 20].map((block) => read(device, block)));
  expect(await state(volume.device)).toEqual([2, 2, 2, 1, 1]);
  expect(await state(volume.openSnapshot(mid.id))).toEqual([1, 9, 1, 1, 9]);
  await volume.copyBack({ stepBytes: BLOCK });
  expect(await state(clone)).toEqual([2, 2, 2, 1, 1]);
  expect(await state(volume.openSnapshot(mid.id))).toEqual([1, 9, 1, 1, 9]);
});

test('a source that cannot be read ends the copy-back, and is never taken for zeros (R24)', async () => {
  const { volume, save, clone, saveFaults, id } = await makeChanged(8);
  await volume.startRestore(id, { undo: {} });
  const entry = await save.find(volume.id, 5, id);
  saveFaults.unreadable((entry?.address as number) * BLOCK);
  await expect(volume.copyBack({ stepBytes: BLOCK })).rejects.toMatchObject({ code: 'ERR_IO' });
  await expect(read(volume.device, 5)).rejects.toMatchObject({ code: 'ERR_IO' });
  expect(await read(clone, 5)).toBe(2);
  expect(volume.restores).toHaveLength(1);
  saveFaults.heal();
  await volume.copyBack();
  expect(await read(clone, 5)).toBe(1);
});

test('a restore that there is no space for does not start, and says so (RS4)', async () => {
  const { volume, id } = await makeChanged(60, 560 << 10);
  const starting = volume.startRestore(id, { undo: {} });
  await expect(starting).rejects.toMatchObject({ code: 'ERR_NO_SPACE' });
  await expect(starting).rejects.toThrow(`up to ${60 * BLOCK} bytes`);
  expect(volume.restores).toEqual([]);
  expect(volume.snapshots).toHaveLength(1);
  expect(await read(volume.device, 0)).toBe(2);
});

test('a copy-back can be stopped, paced, and run once at a time', async () => {
  const { volume, id } = await makeChanged(8);
  await volume.startRestore(id, { undo: {} });
  const stop = new AbortController();
  let paced = 0;
  const copying = volume.copyBack({
    stepBytes: BLOCK,
    signal: stop.signal,
    pace: (bytes) => {
      paced += bytes;
      if (paced === 3 * BLOCK) stop.abort(new Error('paused'));
      return paced < 3 * BLOCK ? Promise.resolve() : new Promise(() => undefined);
    },
  });
  await expect(volume.copyBack()).rejects.toMatchObject({ code: 'ERR_BUSY' });
  await expect(copying).rejects.toThrow('paused');
  expect(volume.restores).toMatchObject([{ doneBlocks: 2 }]);
  await volume.copyBack();
  expect(volume.restores).toEqual([]);
});

test('a volume can be closed in the midst, and goes on when it is opened again (RS8)', async () => {
  const { volume, save, clone, id } = await makeChanged(8);
  const { undo } = await volume.startRestore(id, { undo: {} });
  let steps = 0;
  const copying = volume.copyBack({
    stepBytes: BLOCK,
    pace: () => {
      steps += 1;
      return steps < 4 ? Promise.resolve() : new Promise(() => undefined);
    },
  });
  const ended = expect(copying).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  while (steps < 4) await new Promise(setImmediate);
  await volume.close();
  await ended;
  const again = await openProductionVolume(save, volume.id, clone);
  expect(again.restores).toHaveLength(1);
  expect(await read(again.device, 7)).toBe(1);
  await again.copyBack();
  expect(await read(clone, 7)).toBe(1);
  expect(await read(again.openSnapshot(undo.id), 7)).toBe(2);
});

test('a block that was saved and not overwritten before a crash is not saved twice (I2, RS3)', async () => {
  const { volume, save, clone, cloneFaults, id } = await makeChanged(4);
  await volume.startRestore(id, { undo: {} });
  cloneFaults.fail({ call: 'write', nth: 1, repeat: 'from-then-on' });
  await expect(volume.copyBack()).rejects.toMatchObject({ code: 'ERR_FAILED' });
  expect(volume.metrics().copiedOutBlocks).toBe(4 + 4);
  await volume.close().catch(() => undefined);
  cloneFaults.heal();
  const again = await openProductionVolume(save, volume.id, clone);
  await again.copyBack();
  expect(again.metrics().copiedOutBlocks).toBe(0);
  expect(await read(clone, 3)).toBe(1);
});

/** Writes blocks of a volume until one is refused; tells how many were not. */
async function fillUp(device: BlockDevice): Promise<number> {
  for (let block = 0; ; block += 1) {
    const written = await Promise.allSettled([device.write(filled(8), block * BLOCK)]);
    await device.flush();
    if (written[0]?.status === 'rejected') return block;
  }
}

/**
 * A restore of 60 blocks that has just begun in a store that another volume filled. `crash` opens the store
 * again, and both volumes, as what is on the devices has them; it cannot grow.
 */
async function restoringInFullStore() {
  const saveBytes = 1 << 20;
  const made = await makeChanged(60, saveBytes);
  const { save, volume, clone, saveFaults } = made;
  const greedy = createMemoryDevice({ size: 256 * BLOCK });
  await greedy.write(filled(7, 256), 0);
  const other = await createProductionVolume(save, greedy);
  await other.createSnapshot();
  await volume.startRestore(made.id, { undo: {} });
  expect(await fillUp(other.device)).toBeGreaterThan(10);
  const crash = async () => {
    const options = { growBytes: 1, maximumBytes: saveBytes };
    const store = await openSaveVolume(saveFaults.device, options);
    const again = await openProductionVolume(store, volume.id, clone);
    const greedier = await openProductionVolume(store, other.id, greedy);
    return { store, again, greedier };
  };
  return { ...made, crash };
}

test('in a store that is full to the brim a copy-back ends, also after a crash (RS4, I8)', async () => {
  const { volume, clone, cloneFaults, crash } = await restoringInFullStore();
  // Saved, and not overwritten: what a crash between the two leaves.
  cloneFaults.fail({ call: 'write', nth: 3, repeat: 'from-then-on' });
  const stepBytes = 10 * BLOCK;
  await expect(volume.copyBack({ stepBytes })).rejects.toMatchObject({ code: 'ERR_FAILED' });
  cloneFaults.heal();
  const { store, again, greedier } = await crash();
  await greedier.createSnapshot().catch(() => undefined);
  await fillUp(greedier.device);
  await again.copyBack({ stepBytes });
  expect(again.restores).toEqual([]);
  expect(await read(clone, 59)).toBe(1);
  expect((await store.verify({ data: true })).problems).toEqual([]);
});

/**
 * A client's blocks that are written between the flush of a step and the batch that has its cursor count
 * as done there, and are not marked: a crash makes them pending again. They are saved already, but one of
 * them at a time needs room in hand before that is known.
 */
test('blocks that were done and not marked at a crash need no more room than there is (RS4)', async () => {
  const { save, volume, clone, cloneFaults, crash } = await restoringInFullStore();
  const flush = clone.flush.bind(clone);
  let flushes = 0;
  clone.flush = async () => {
    flushes += 1;
    if (flushes === 1) {
      await volume.device.write(filled(3, 50), 10 * BLOCK);
      await save.commit();
      cloneFaults.fail({ call: 'write', nth: 1, repeat: 'from-then-on' });
    }
    return flush();
  };
  const stepBytes = BLOCK;
  await expect(volume.copyBack({ stepBytes })).rejects.toMatchObject({ code: 'ERR_FAILED' });
  cloneFaults.heal();
  clone.flush = flush;
  const { again, greedier } = await crash();
  // Whatever becomes free is taken at once.
  await again.copyBack({ stepBytes, pace: async () => void (await fillUp(greedier.device)) });
  expect(again.restores).toEqual([]);
});

describe('sizes', () => {
  test('beyond the end of a source that is smaller there are zeros', async () => {
    const { volume, clone, id } = await makeChanged(1);
    await volume.resize(2 * BLOCKS * BLOCK);
    await volume.device.write(filled(5, 2), (BLOCKS - 1) * BLOCK);
    await volume.startRestore(id, { undo: {} });
    expect([await read(volume.device, BLOCKS - 1), await read(volume.device, BLOCKS)]).toEqual([
      1, 0,
    ]);
    await volume.copyBack();
    expect([await read(clone, BLOCKS - 1), await read(clone, BLOCKS)]).toEqual([1, 0]);
    expect(volume.size).toBe(2 * BLOCKS * BLOCK);
  });

  test('blocks beyond a source that stands on nothing are counted, those of a later growth are not to do (RS4, RS9)', async () => {
    const { volume, clone } = await makeWorld();
    await volume.device.write(filled(5, BLOCKS), 0);
    const { id } = await volume.createSnapshot();
    const blocks = BLOCKS / 2;
    const base = createMemoryDevice({ size: blocks * BLOCK });
    const source: RestoreSource = {
      ...sourceOf(base, id, new Map()),
      root: 0,
      nextDiffering: async (from, limit, before = blocks) =>
        Array.from({ length: Math.min(limit, before - from) }, (_, index) => from + index),
      countDiffering: async () => blocks,
    };
    await volume.startRestore(source, { undo: {} });
    expect(volume.restores).toMatchObject([{ totalBlocks: BLOCKS }]);
    await volume.resize(2 * BLOCKS * BLOCK);
    const done: number[] = [];
    await volume.copyBack({ onProgress: ({ doneBlocks }) => done.push(doneBlocks) });
    expect(done.at(-1)).toBe(BLOCKS);
    for (const block of [0, blocks, 2 * BLOCKS - 1]) expect(await read(clone, block)).toBe(0);
  });

  test('a source that is larger is refused', async () => {
    const { volume, id } = await makeChanged(1);
    const source = sourceOf(volume.openSnapshot(id), id, new Map());
    const larger = { ...source, size: 2 * BLOCKS * BLOCK };
    const starting = volume.startRestore(larger, { undo: {} });
    await expect(starting).rejects.toMatchObject({ code: 'ERR_INVALID' });
  });
});

/** A source like a branch's snapshot: some blocks of its own over a snapshot of the volume. */
function sourceOf(
  base: BlockDevice,
  root: number,
  own: ReadonlyMap<number, number>,
  most = own.size,
): RestoreSource {
  return {
    ref: { volume: 0, snapshot: root },
    root,
    size: base.size,
    readInto: async (target, position) => {
      await base.readInto(target, position);
      for (let at = 0; at < target.length; at += BLOCK) {
        const value = own.get((position + at) / BLOCK);
        if (value !== undefined) target.fill(value, at, at + BLOCK);
      }
    },
    nextDiffering: async (from, limit) =>
      [...own.keys()].filter((block) => block >= from).slice(0, limit),
    countDiffering: async () => most,
  };
}

test('a source with blocks of its own is restored, and opened again by who knows it', async () => {
  const { volume, save, clone, id } = await makeChanged(4);
  const own = new Map([
    [2, 7],
    [30, 8],
  ]);
  await volume.startRestore(sourceOf(volume.openSnapshot(id), id, own), { undo: {} });
  const expected = [1, 7, 1, 8, 1];
  const state = async (device: BlockDevice) =>
    Promise.all([0, 2, 3, 30, 31].map((block) => read(device, block)));
  expect(await state(volume.device)).toEqual(expected);
  await volume.device.write(filled(9), 31 * BLOCK);
  await volume.close();
  const opening = openProductionVolume(save, volume.id, clone);
  await expect(opening).rejects.toMatchObject({ code: 'ERR_INVALID' });
  const again = await openProductionVolume(save, volume.id, clone, {
    openSource: (ref, opened) => sourceOf(opened.openSnapshot(ref.snapshot), ref.snapshot, own),
  });
  expect(await state(again.device)).toEqual([1, 7, 1, 8, 9]);
  await again.copyBack();
  expect(await state(clone)).toEqual([1, 7, 1, 8, 9]);
});

test('where there is no room for as many blocks as may differ, those that do are counted (RS4)', async () => {
  const { volume, save, id } = await makeChanged(4, 400 << 10);
  const own = new Map([[20, 7]]);
  const base = volume.openSnapshot(id);
  const room = () => save.setAside(BLOCKS);
  expect(room()).toBeUndefined();
  const { restore } = await volume.startRestore(sourceOf(base, id, own, BLOCKS), { undo: {} });
  expect(volume.restores).toMatchObject([{ id: restore, totalBlocks: 5 }]);
  await volume.copyBack();
  expect(await read(volume.device, 20)).toBe(7);
  const all = new Map(Array.from({ length: BLOCKS }, (_, block) => [block, 8]));
  const starting = volume.startRestore(sourceOf(base, id, all), { undo: {} });
  await expect(starting).rejects.toMatchObject({ code: 'ERR_NO_SPACE' });
});

test('what lies between blocks that differ is passed over, and none of them is, in a large volume', async () => {
  const save = createMemoryDevice({ size: 64 << 20 });
  await formatSaveVolume(save);
  const store = await openSaveVolume(save);
  const clone = createMemoryDevice({ size: 2 ** 42 });
  const volume = await createProductionVolume(store, clone);
  const end = volume.size / BLOCK;
  const places = [0, 1, 32_767, 32_768, 90_000, 2 ** 20, 2 ** 24 + 5, 2 ** 28, end - 1];
  for (const block of places) await volume.device.write(filled(1), block * BLOCK);
  const { id } = await volume.createSnapshot();
  const [changed, own] = [places.filter((_, n) => n % 2 === 0), [90_001, 2 ** 23, end - 2]];
  for (const block of changed) await volume.device.write(filled(2), block * BLOCK);
  await store.checkpoint();
  const source = sourceOf(volume.openSnapshot(id), id, new Map(own.map((block) => [block, 7])));
  await volume.startRestore(source, { undo: { name: 'first' } });
  const { undo } = await volume.startRestore(id, { undo: { name: 'second' } }); // over the first
  const before = store.metrics().commits;
  await volume.copyBack();
  expect(store.metrics().commits - before).toBeLessThan(100);
  for (const block of places) expect(await read(clone, block), `${block}`).toBe(1);
  for (const block of own) expect(await read(clone, block), `${block}`).toBe(0);
  const second = volume.openSnapshot(undo.id);
  for (const block of own) expect(await read(second, block), `${block}`).toBe(7);
  await volume.startRestore(source, { undo: { name: 'third' } });
  await volume.copyBack();
  for (const block of own) expect(await read(clone, block), `${block}`).toBe(7);
});

test('what a snapshot has as unused is restored all over its spans, however large', async () => {
  const save = createMemoryDevice({ size: 64 << 20 });
  await formatSaveVolume(save);
  const store = await openSaveVolume(save);
  const clone = createMemoryDevice({ size: 2 ** 38 });
  const volume = await createProductionVolume(store, clone);
  const span = { first: 2 ** 22, count: 512 * 512 };
  // In the third region that is looked at as one, the entry of the span being in the first; the same code
  // goes on to all others, and 1 GiB of zeros would take its time.
  const block = span.first + 2 * 4096 + 1500;
  await volume.device.write(filled(1), block * BLOCK);
  const { id } = await volume.createSnapshot({}, { unused: [span] });
  await volume.startRestore(id, { undo: {} });
  const stop = new AbortController();
  let copied = 0;
  const onProgress = ({ doneBlocks }: { doneBlocks: number }) => {
    copied = doneBlocks;
    if (copied > block - span.first) stop.abort();
  };
  await expect(volume.copyBack({ signal: stop.signal, onProgress })).rejects.toThrow(/abort/i);
  expect(copied).toBe(19 * 512);
  expect(await read(clone, block)).toBe(0);
});
