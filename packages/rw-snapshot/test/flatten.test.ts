/**
 * Goal: a flatten can be paused and goes on where it was (F2), changes what no version of the branch
 * reads (F1), keeps to the quota, and leaves the old base free to go while everybody reads on (G3).
 * Method: small branches on a memory device; writes, snapshots and deletions come between its steps.
 */
import { type BlockDevice, createMemoryDevice } from '@palimpsest/block-device';
import {
  createProductionVolume,
  openProductionVolume,
  type ProductionVolume,
} from '@palimpsest/ro-snapshot';
import { formatSaveVolume, openSaveVolume, type SaveVolume } from '@palimpsest/save-volume';
import { expect, test } from 'vitest';
import {
  type Base,
  branchRestoreSource,
  createBranch,
  createBranchSnapshot,
  deleteBranchSnapshot,
  flattenBranch,
  listBranches,
  openBranch,
  openBranchSnapshot,
  setBranchQuota,
} from '../src/index.js';

const BLOCK = 512;
const BLOCKS = 2048;
const SIZE = BLOCK * BLOCKS;
const data = (blocks: number, byte: number) => new Uint8Array(blocks * BLOCK).fill(byte);

interface Stand {
  readonly save: SaveVolume;
  readonly volume: ProductionVolume;
  readonly clone: BlockDevice;
  /** Of production, all sevens. */
  readonly base: Base;
  readonly beneath: (base: Base) => ReturnType<ProductionVolume['openSnapshot']>;
}

async function build(): Promise<Stand> {
  const device = createMemoryDevice({ blockSize: BLOCK, size: 8 << 20 });
  await formatSaveVolume(device, { blockSize: BLOCK, journalBytes: 256 << 10 });
  const save = await openSaveVolume(device);
  const clone = createMemoryDevice({ blockSize: BLOCK, size: SIZE });
  const volume = await createProductionVolume(save, clone);
  await volume.device.write(data(BLOCKS, 7), 0);
  const { id } = await volume.createSnapshot();
  return {
    save,
    volume,
    clone,
    base: { volume: volume.id, snapshot: id },
    beneath: ({ snapshot }) => volume.openSnapshot(snapshot),
  };
}

async function blockOf(
  device: { readInto(t: Uint8Array, p: number): unknown },
  block: number,
): Promise<number> {
  const bytes = new Uint8Array(BLOCK);
  await device.readInto(bytes, block * BLOCK);
  return bytes[0] as number;
}

test('a flatten is paused, and goes on from there, while the branch is used', async () => {
  const { save, volume, base, beneath } = await build();
  const { id, space } = await createBranch(save, base);
  await using branch = await openBranch(save, id, beneath);
  const taken = await branch.createSnapshot();
  const pause = new AbortController();
  let bytes = 0;
  const paused = flattenBranch(save, id, beneath, {
    signal: pause.signal,
    pace: async (count) => {
      bytes += count;
      // A write before the place that was got to, one after it, and a large zeroing across it.
      await branch.device.write(data(1, 1), 3 * BLOCK);
      await branch.device.write(data(1, 2), 1900 * BLOCK);
      await branch.device.discard(512 * BLOCK, 512 * BLOCK);
      if (bytes >= SIZE / 2) pause.abort(new Error('paused'));
    },
  });
  await expect(paused).rejects.toThrow('paused');
  expect(listBranches(save)[0]?.flattening).toEqual({ done: BLOCKS / 2, total: BLOCKS });
  const later = await branch.createSnapshot();
  await branch.device.write(data(1, 3), 3 * BLOCK);
  const steps: number[] = [];
  await flattenBranch(save, id, beneath, { onProgress: (done) => steps.push(done) });
  expect(Math.min(...steps)).toBeGreaterThan(BLOCKS / 2);
  expect(listBranches(save)[0]).toMatchObject({ base: null, depth: 1 });
  expect(listBranches(save)[0]).not.toHaveProperty('flattening');
  await volume.deleteSnapshot(base.snapshot); // nothing stands on it any more
  await volume.device.write(data(BLOCKS, 9), 0);
  await volume.device.flush();
  const read = async (device: { readInto(t: Uint8Array, p: number): unknown }) =>
    Promise.all([0, 3, 600, 1500, 1900].map((block) => blockOf(device, block)));
  expect(await read(branch.device)).toEqual([7, 3, 0, 7, 2]);
  expect(await read(await openBranchSnapshot(save, later.id, beneath))).toEqual([7, 1, 0, 7, 2]);
  expect(await read(await openBranchSnapshot(save, taken.id, beneath))).toEqual([7, 7, 7, 7, 7]);
  expect(space).toBe(listBranches(save)[0]?.space);
  expect((await save.verify({ data: true })).problems).toEqual([]);
});

test('G3: who stands on a flattened branch reads on when its old base is gone', async () => {
  const { save, volume, beneath, base } = await build();
  const lower = await createBranch(save, base);
  const { id: snapshot } = await createBranchSnapshot(save, lower.id);
  const upper = await createBranch(save, { volume: lower.space, snapshot });
  await using branch = await openBranch(save, upper.id, beneath);
  const opened = await openBranchSnapshot(save, snapshot, beneath);
  expect(await blockOf(branch.device, 40)).toBe(7);
  await flattenBranch(save, lower.id, beneath);
  await volume.deleteSnapshot(base.snapshot);
  await volume.device.write(data(BLOCKS, 9), 0);
  await volume.device.flush();
  expect(await blockOf(branch.device, 40)).toBe(7);
  expect(await blockOf(opened, 41)).toBe(7);
  await flattenBranch(save, upper.id, beneath);
  await opened.close();
  await deleteBranchSnapshot(save, snapshot);
  expect(await blockOf(branch.device, 42)).toBe(7);
  expect((await save.verify({ data: true })).problems).toEqual([]);
});

test('F3: what a restore reads through is not flattened until the restore has ended', async () => {
  const { save, volume, clone, base, beneath } = await build();
  const lower = await createBranch(save, base);
  const onLower = await createBranchSnapshot(save, lower.id);
  const upper = await createBranch(save, { volume: lower.space, snapshot: onLower.id });
  const source = await createBranchSnapshot(save, upper.id);
  const opened = () => branchRestoreSource(save, source.id, beneath);
  await volume.startRestore(await opened(), { undo: {} });
  // A block that the restore need not write, so it does not mark it either.
  await volume.device.write(data(1, 9), 40 * BLOCK);
  await volume.device.flush();
  for (const { id } of [lower, upper]) {
    const busy = { code: 'ERR_BUSY', message: expect.stringContaining(`snapshot ${source.id}`) };
    await expect(flattenBranch(save, id, beneath)).rejects.toMatchObject(busy);
  }
  await volume.close();
  const again = await openProductionVolume(save, volume.id, clone, { openSource: opened });
  expect(await blockOf(again.device, 40)).toBe(9);
  await again.copyBack();
  for (const { id } of [lower, upper]) await flattenBranch(save, id, beneath);
  expect(listBranches(save).map((each) => each.base)).toEqual([null, null]);
  expect(await blockOf(again.device, 40)).toBe(9);
});

test('a flatten and the deletion of a snapshot at once leave no copy unread or unknown', async () => {
  const { save, base, beneath } = await build();
  const { id } = await createBranch(save, base);
  await using branch = await openBranch(save, id, beneath);
  const first = await branch.createSnapshot();
  const second = await branch.createSnapshot();
  await branch.device.write(data(BLOCKS, 1), 0); // every block is read from beneath by both
  await branch.device.flush();
  await Promise.all([
    flattenBranch(save, id, beneath),
    deleteBranchSnapshot(save, second.id),
    flattenBranch(save, id, beneath),
  ]);
  const device = await openBranchSnapshot(save, first.id, beneath);
  for (const block of [0, 255, 256, 1000, BLOCKS - 1]) {
    expect(await blockOf(device, block)).toBe(7);
  }
  await deleteBranchSnapshot(save, first.id);
  await save.checkpoint();
  expect(save.map.byBlock.root.entries).toBe(BLOCKS);
  const { problems } = await save.verify({ data: true });
  expect(problems).toEqual([]);
});

test('K6: a quota counts copies, and what a deleted snapshot gives back', async () => {
  const { save, base, beneath } = await build();
  const quotaBytes = 40 * BLOCK;
  const { id } = await createBranch(save, base, {}, { quotaBytes });
  await expect(flattenBranch(save, id, beneath)).rejects.toThrow(/quota of 20480 bytes is used up/);
  expect(listBranches(save)[0]?.base).toEqual(base);
  await using branch = await openBranch(save, id, beneath);
  await expect(flattenBranch(save, id, beneath)).rejects.toMatchObject({ code: 'ERR_NO_SPACE' });
  await branch.device.write(data(40, 1), 0);
  const taken = await branch.createSnapshot();
  const write = async () => branch.device.write(data(1, 2), 0);
  await expect(write()).rejects.toMatchObject({ code: 'ERR_NO_SPACE' });
  await setBranchQuota(save, id, quotaBytes + BLOCK);
  await write();
  await branch.device.flush();
  await deleteBranchSnapshot(save, taken.id); // gives one block back
  await branch.device.write(data(1, 3), 100 * BLOCK);
  await expect(async () => branch.device.write(data(1, 3), 101 * BLOCK)).rejects.toMatchObject({
    code: 'ERR_NO_SPACE',
  });
  await setBranchQuota(save, id, undefined);
  await branch.device.write(data(1, 3), 101 * BLOCK);
});

test('K6: writers at once are not let in for the same last blocks', async () => {
  const { save, base, beneath } = await build();
  const { id } = await createBranch(save, base, {}, { quotaBytes: 20 * BLOCK });
  await using branch = await openBranch(save, id, beneath);
  await branch.device.write(data(10, 1), 0);
  // Each rewrites five and wins three: three of six fit.
  const writes = Array.from({ length: 6 }, async (_, index) => {
    await branch.device.write(data(8, 2), (5 + index * 100) * BLOCK - (index === 0 ? 0 : BLOCK));
  });
  await Promise.allSettled(writes);
  await branch.device.flush();
  await save.checkpoint();
  expect(save.map.byBlock.root.entries).toBeLessThanOrEqual(20);
  await branch.device.write(data(10, 3), 0); // rewrites go on
});
