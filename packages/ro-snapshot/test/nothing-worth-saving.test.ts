/**
 * Goal: blocks that hold nothing are not saved, and read as zeros, never as stale bytes.
 * Method: one promise a test with the devices watched, then seeded histories of a volume of several
 * spans with unused runs, restores, deletions and reopenings, compared with plain arrays.
 */
import { type BlockDevice, checked, createMemoryDevice } from '@palimpsest/block-device';
import { createRandom, failing } from '@palimpsest/block-device/testing';
import { formatSaveVolume, openSaveVolume } from '@palimpsest/save-volume';
import { describe, expect, test } from 'vitest';
import { createProductionVolume, openProductionVolume } from '../src/index.js';

const BLOCK = 512;
const SPAN = 512;
const BLOCKS = 4 * SPAN;
const SAVE_BYTES = 16 << 20;

async function makeWorld(cloneOver: (clone: BlockDevice) => BlockDevice = (clone) => clone) {
  const device = createMemoryDevice({ blockSize: BLOCK, size: SAVE_BYTES });
  await formatSaveVolume(device, { blockSize: BLOCK, journalBytes: 64 << 10 });
  const save = await openSaveVolume(device, { growBytes: 1, maximumBytes: SAVE_BYTES });
  const faults = failing(cloneOver(createMemoryDevice({ blockSize: BLOCK, size: BLOCKS * BLOCK })));
  const volume = await createProductionVolume(save, faults.device);
  return { device, save, volume, clone: faults.device, faults };
}

const filled = (value: number, blocks = 1) => new Uint8Array(blocks * BLOCK).fill(value);

async function read(device: BlockDevice, block: number): Promise<number> {
  const bytes = new Uint8Array(BLOCK);
  await device.readInto(bytes, block * BLOCK);
  expect(bytes).toEqual(filled(bytes[0] as number));
  return bytes[0] as number;
}

/** A disk that does nothing for a discard. */
const ignoringDiscards = (clone: BlockDevice): BlockDevice =>
  checked({
    blockSize: clone.blockSize,
    size: clone.size,
    readOnly: false,
    readInto: (target, position) => clone.readInto(target, position),
    write: (source, position) => clone.write(source, position),
    flush: () => clone.flush(),
    close: () => clone.close(),
  });

describe('discards on production (P4)', () => {
  test('what no snapshot needs reads as zeros, also where the disk ignores discards', async () => {
    const { volume, clone } = await makeWorld(ignoringDiscards);
    await volume.device.write(filled(1, 8), 0);
    await volume.device.discard(2 * BLOCK, 4 * BLOCK);
    for (const [block, value] of [1, 1, 0, 0, 0, 0, 1].entries()) {
      expect(await read(clone, block)).toBe(value);
    }
  });

  test('zeros that are there already are not written', async () => {
    const { volume, faults } = await makeWorld(ignoringDiscards);
    await volume.device.discard(0, 64 * BLOCK);
    expect(faults.calls.write).toBe(0); // asked for without writing, and refused
  });

  test('what a snapshot needs is saved and zeroed, and not saved again by the next write', async () => {
    const { volume } = await makeWorld();
    await volume.device.write(filled(1, 8), 0);
    const first = await volume.createSnapshot();
    await volume.device.discard(0, 4 * BLOCK);
    expect(await read(volume.device, 3)).toBe(0);
    expect(await read(volume.openSnapshot(first.id), 3)).toBe(1);
    const second = await volume.createSnapshot();
    expect(volume.metrics().copiedOutBlocks).toBe(4);
    await volume.device.write(filled(2, 4), 0);
    await volume.device.flush();
    expect([volume.metrics().copiedOutBlocks, volume.metrics().savedAsZeroBlocks]).toEqual([4, 4]);
    expect(await read(volume.openSnapshot(second.id), 3)).toBe(0);
    expect(await read(volume.openSnapshot(first.id), 3)).toBe(1);
  });

  test('in a large one, what a snapshot needs is left as it is, and the rest zeroed', async () => {
    const blocks = 3 * 8192;
    const device = createMemoryDevice({ blockSize: BLOCK, size: 4 << 20 });
    await formatSaveVolume(device, { blockSize: BLOCK });
    const save = await openSaveVolume(device);
    const clone = createMemoryDevice({ blockSize: BLOCK, size: blocks * BLOCK });
    const volume = await createProductionVolume(save, clone);
    await volume.device.write(filled(1, blocks), 0);
    const { id } = await volume.createSnapshot();
    await volume.device.write(filled(2, 8), 100 * BLOCK); // saved: no snapshot needs it any more
    await volume.device.flush();
    const before = volume.metrics().copiedOutBlocks;
    await volume.device.discard(0, blocks * BLOCK);
    await volume.device.flush();
    expect(volume.metrics().copiedOutBlocks).toBe(before);
    expect(await read(volume.device, 103)).toBe(0);
    expect(await read(volume.device, 99)).toBe(1);
    expect(await read(volume.openSnapshot(id), 99)).toBe(1);
    expect(await read(volume.openSnapshot(id), 103)).toBe(1);
  });

  test('with no space to save it, what a snapshot needs is left as it is', async () => {
    const device = createMemoryDevice({ blockSize: BLOCK, size: 256 << 10 });
    await formatSaveVolume(device, { blockSize: BLOCK, journalBytes: 16 << 10 });
    const save = await openSaveVolume(device, { growBytes: 1, maximumBytes: 256 << 10 });
    const clone = createMemoryDevice({ blockSize: BLOCK, size: BLOCKS * BLOCK });
    const volume = await createProductionVolume(save, clone);
    await volume.device.write(filled(1, BLOCKS), 0);
    const { id } = await volume.createSnapshot();
    await volume.device.discard(0, BLOCKS * BLOCK);
    await volume.device.flush();
    const values = new Set<number>();
    for (let block = 0; block < BLOCKS; block += 1) {
      values.add(await read(volume.device, block));
      expect(await read(volume.openSnapshot(id), block)).toBe(1);
    }
    expect(values).toEqual(new Set([0, 1]));
  });
});

describe('runs that a file system calls unused', () => {
  test('they read as zeros from the snapshot and are not copied out', async () => {
    const { volume } = await makeWorld();
    await volume.device.write(filled(1, BLOCKS), 0);
    const { id } = await volume.createSnapshot({}, { unused: [{ first: 10, count: 2 * SPAN }] });
    // One whole span lies in the run, the rest is ignored.
    expect(await read(volume.openSnapshot(id), SPAN)).toBe(0);
    expect(await read(volume.openSnapshot(id), SPAN - 1)).toBe(1);
    expect(await read(volume.device, SPAN)).toBe(1);
    await volume.device.write(filled(2, SPAN), SPAN * BLOCK);
    await volume.device.flush();
    expect([volume.metrics().copiedOutBlocks, volume.metrics().savedAsZeroBlocks]).toEqual([
      0,
      SPAN,
    ]);
    expect(await read(volume.openSnapshot(id), SPAN)).toBe(0);
  });

  test('an older snapshot that needs the bytes has them saved', async () => {
    const { volume } = await makeWorld();
    await volume.device.write(filled(1, BLOCKS), 0);
    const older = await volume.createSnapshot();
    const unused = await volume.createSnapshot({}, { unused: [{ first: 0, count: SPAN }] });
    const younger = await volume.createSnapshot();
    await volume.device.write(filled(2), 5 * BLOCK);
    await volume.device.flush();
    const states = async (block: number) =>
      Promise.all([older, unused, younger].map(({ id }) => read(volume.openSnapshot(id), block)));
    for (const block of [5, 6]) expect(await states(block)).toEqual([1, 0, 1]);
    await volume.deleteSnapshot(unused.id);
    for (const block of [5, 6]) {
      expect(await read(volume.openSnapshot(older.id), block)).toBe(1);
      expect(await read(volume.openSnapshot(younger.id), block)).toBe(1);
    }
  });

  test('they are restored as zeros', async () => {
    const { volume, clone } = await makeWorld();
    await volume.device.write(filled(1, BLOCKS), 0);
    const { id } = await volume.createSnapshot({}, { unused: [{ first: 0, count: SPAN }] });
    const { undo } = await volume.startRestore(id, { undo: {} });
    expect([await read(volume.device, 3), await read(volume.device, SPAN)]).toEqual([0, 1]);
    await volume.copyBack();
    expect([await read(clone, 3), await read(volume.openSnapshot(undo.id), 3)]).toEqual([0, 1]);
  });
});

const INTERESTING = [0, 1, 511, 512, 513, 700, 1023, 1024, 1100, 1535, 1536, 2047];

test.each(Array.from({ length: 3 }, (_, index) => index + 1))(
  'a history with unused runs agrees with plain arrays (seed %i)',
  { timeout: 30_000 },
  async (seed) => {
    const random = createRandom(seed);
    const world = await makeWorld();
    let { save, volume } = world;
    let content = new Map(INTERESTING.map((block) => [block, 0]));
    const snapshots = new Map<number, Map<number, number>>();
    let value = 0;
    const oneOf = (): number => [...snapshots.keys()][random.below(snapshots.size)] as number;
    const copy = () => volume.copyBack({ stepBytes: 400 * BLOCK });
    for (let step = 0; step < 80; step += 1) {
      const kind = random.below(100);
      const block = INTERESTING[random.below(INTERESTING.length)] as number;
      if (kind < 45) {
        value = (value % 250) + 1;
        await volume.device.write(filled(value), block * BLOCK);
        content.set(block, value);
      } else if (kind < 52) await volume.device.flush();
      else if (kind < 55) await save.checkpoint();
      else if (kind < 70 && snapshots.size < 7) {
        const first = random.below(4) * SPAN;
        const count = random.between(1, 3) * SPAN;
        const unused = random.chance(0.6) ? [{ first, count }] : [];
        const { id } = await volume.createSnapshot({}, { unused });
        const seen = new Map(content);
        for (const each of unused.length > 0 ? seen.keys() : []) {
          if (each >= first && each < first + count) seen.set(each, 0);
        }
        snapshots.set(id, seen);
      } else if (kind < 80 && snapshots.size > 0) {
        const id = oneOf();
        const deleted = await volume.deleteSnapshot(id).then(
          () => true,
          () => false,
        );
        if (deleted) snapshots.delete(id);
        else expect(volume.restores).not.toEqual([]);
      } else if (kind < 86 && snapshots.size > 0 && volume.restores.length < 3) {
        const id = oneOf();
        const { undo } = await volume.startRestore(id, { undo: {} });
        snapshots.set(undo.id, content);
        content = new Map(snapshots.get(id));
      } else if (kind < 91) await copy();
      else if (kind < 95) {
        await volume.close();
        await save.close();
        save = await openSaveVolume(world.device, { growBytes: 1, maximumBytes: SAVE_BYTES });
        volume = await openProductionVolume(save, volume.id, world.clone);
      }
      if (step % 4 > 0) continue;
      for (const each of INTERESTING) {
        expect(await read(volume.device, each), `step ${step} block ${each}`).toBe(
          content.get(each),
        );
        for (const [id, seen] of snapshots) {
          const found = await read(volume.openSnapshot(id), each);
          expect(found, `step ${step} snapshot ${id} block ${each}`).toBe(seen.get(each));
        }
      }
    }
    await copy();
    expect((await save.verify({ data: true })).problems).toEqual([]);
  },
);
