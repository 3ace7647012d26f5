/** Orders of calls that nobody means to make, and that must not cost anybody's blocks all the same. */
import { type BlockDevice, createMemoryDevice } from '@palimpsest/block-device';
import { createProductionVolume } from '@palimpsest/ro-snapshot';
import { formatSaveVolume, openSaveVolume } from '@palimpsest/save-volume';
import { expect, test, vi } from 'vitest';
import { createBranch, deleteBranch, listBranches, openBranch } from '../src/index.js';
import { OwnBlocks } from '../src/own-blocks.js';

const BLOCK = 512;

async function makeWorld(saveBytes = 2 << 20) {
  const device = createMemoryDevice({ blockSize: BLOCK, size: saveBytes });
  await formatSaveVolume(device, { blockSize: BLOCK, journalBytes: 128 << 10 });
  const save = await openSaveVolume(device, { growBytes: 1, maximumBytes: saveBytes });
  const clone = createMemoryDevice({ blockSize: BLOCK, size: 4 << 20 });
  const volume = await createProductionVolume(save, clone);
  const { id } = await volume.createSnapshot();
  const base = volume.openSnapshot(id);
  const record = await createBranch(save, { volume: volume.id, snapshot: id });
  const branch = await openBranch(save, record.id, () => base);
  return { save, base, branch, volume };
}

const filled = (value: number, blocks = 1) => new Uint8Array(blocks * BLOCK).fill(value);

async function byteAt(device: BlockDevice, block: number): Promise<number | undefined> {
  const bytes = new Uint8Array(BLOCK);
  await device.readInto(bytes, block * BLOCK);
  return bytes[0];
}

test('a branch is deleted once, and not opened meanwhile', async () => {
  const { save, base, branch } = await makeWorld();
  await branch.device.write(filled(1, 64), 0);
  await branch.close();
  const outcomes = await Promise.allSettled([
    deleteBranch(save, branch.id),
    deleteBranch(save, branch.id),
    openBranch(save, branch.id, () => base),
  ]);
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected']);
  expect(listBranches(save)).toEqual([]);
  expect((await save.verify({ data: true })).problems).toEqual([]);
});

test('a block that is rewritten while a large zeroing takes it out is given back once', async () => {
  for (let delay = 0; delay < 60; delay += 1) {
    const { save, branch } = await makeWorld();
    await branch.device.write(filled(1, 700), 0);
    await branch.device.flush();
    const zeroing = branch.device.zero(0, 1024 * BLOCK);
    for (let turn = 0; turn < delay; turn += 1) await undefined;
    await branch.device.write(filled(2, 8), 16 * BLOCK);
    const flushed = branch.device.flush();
    await Promise.all([zeroing, flushed]);
    expect([0, 2], `delay ${delay}`).toContain(await byteAt(branch.device, 16));
    await branch.device.flush();
    expect((await save.verify({ data: true })).problems, `delay ${delay}`).toEqual([]);
  }
});

test('zeros written one by one to a branch in a full store leave room for checkpoints', async () => {
  const { save, branch } = await makeWorld(1 << 20);
  let refused: unknown;
  for (let block = 0; refused === undefined; block += 1) {
    await Promise.resolve(branch.device.write(filled(3), block * BLOCK)).catch((error) => {
      refused = error;
    });
  }
  expect(refused).toMatchObject({ code: 'ERR_NO_SPACE' });
  await branch.device.flush();
  for (let block = 8191; block > 2000; block -= 1) {
    await Promise.resolve(branch.device.zero(block * BLOCK, BLOCK)).catch((error) => {
      expect(error).toMatchObject({ code: 'ERR_NO_SPACE' });
    });
    if (block % 64 === 0) await branch.device.flush();
  }
  await branch.device.flush();
  await save.checkpoint();
  expect((await save.verify({ data: true })).problems).toEqual([]);
  await branch.close();
  await deleteBranch(save, branch.id);
  expect((await save.verify({ data: true })).problems).toEqual([]);
});

test('a commit asks only the branches that hold something, and loses none that comes in its midst', async () => {
  const { save, branch, volume } = await makeWorld();
  const asked = new Set<unknown>();
  const { begin } = OwnBlocks.prototype;
  vi.spyOn(OwnBlocks.prototype, 'begin').mockImplementation(function (this: OwnBlocks) {
    asked.add(this);
    begin.call(this);
  });
  const [snapshot] = volume.snapshots;
  const record = await createBranch(save, { volume: volume.id, snapshot: snapshot?.id as number });
  const other = await openBranch(save, record.id, ({ snapshot: id }) => volume.openSnapshot(id));
  await branch.device.write(filled(1), 0);
  await branch.device.flush();
  await save.commit();
  await save.commitIdle();
  expect(asked.size).toBe(1);
  for (let delay = 0; delay < 40; delay += 1) {
    await branch.device.write(filled(1), delay * BLOCK);
    const flushed = branch.device.flush();
    for (let turn = 0; turn < delay; turn += 1) await undefined;
    // In the midst of a commit that saves the first write: this one is for the next.
    await branch.device.write(filled(2), (delay + 1) * BLOCK);
    await other.device.write(filled(3), delay * BLOCK);
    await flushed;
    await Promise.all([branch.device.flush(), other.device.flush()]);
    expect(save.space().dirtyBytes, `delay ${delay}`).toBe(0);
  }
  vi.restoreAllMocks();
  await branch.close();
  await other.close();
  expect(await save.map.count(record.space)).toBe(40);
  expect((await save.verify({ data: true })).problems).toEqual([]);
});
