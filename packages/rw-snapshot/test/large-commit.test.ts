/**
 * Goal: a commit of many blocks of a branch lets others have their turn in the midst of it, and what they
 * write to the branch then counts, in the branch and not in a snapshot of it taken before.
 * Method: a turn that writes to blocks of the very commit, newer bytes each time.
 */
import { createMemoryDevice } from '@palimpsest/block-device';
import { createProductionVolume } from '@palimpsest/ro-snapshot';
import { formatSaveVolume, openSaveVolume } from '@palimpsest/save-volume';
import { expect, test } from 'vitest';
import { type Beneath, createBranch, openBranch, openBranchSnapshot } from '../src/index.js';

const BLOCK = 4096;
const BLOCKS = 600;

const filled = (value: number) => new Uint8Array(BLOCK).fill(value);

test('a large commit of a branch gives turns, and what is written in them counts', async () => {
  const device = createMemoryDevice({ size: 64 << 20 });
  await formatSaveVolume(device);
  let turns = 0;
  let inTurn: () => Promise<void> = async () => undefined;
  await using save = await openSaveVolume(device, {
    async turn() {
      turns += 1;
      await inTurn();
      await new Promise((resolve) => setImmediate(resolve));
    },
  });
  const volume = await createProductionVolume(save, createMemoryDevice({ size: BLOCKS * BLOCK }));
  const base = { volume: volume.id, snapshot: (await volume.createSnapshot()).id };
  const { id } = await createBranch(save, base);
  const beneath: Beneath = ({ snapshot }) => volume.openSnapshot(snapshot);
  const branch = await openBranch(save, id, beneath);
  const writeAll = async (value: number): Promise<void> => {
    for (let n = 0; n < BLOCKS; n += 1) await branch.device.write(filled(value), n * BLOCK);
  };
  await writeAll(1);
  const before = await branch.createSnapshot();
  await writeAll(2);

  turns = 0;
  const newest = new Map<number, number>();
  inTurn = async () => {
    const block = (turns * 71) % BLOCKS;
    newest.set(block, 2 + turns);
    await branch.device.write(filled(2 + turns), block * BLOCK);
  };
  await branch.device.flush();
  inTurn = async () => undefined;
  expect(turns).toBeGreaterThanOrEqual(Math.floor(BLOCKS / 8));
  expect(turns).toBeLessThan(250);
  await branch.device.flush();

  const bytes = new Uint8Array(BLOCK);
  const snapshot = await openBranchSnapshot(save, before.id, beneath);
  for (let block = 0; block < BLOCKS; block += 1) {
    await branch.device.readInto(bytes, block * BLOCK);
    const now = newest.get(block) ?? 2;
    expect([bytes[0], bytes[BLOCK - 1]], `block ${block}`).toEqual([now, now]);
    await snapshot.readInto(bytes, block * BLOCK);
    expect([bytes[0], bytes[BLOCK - 1]], `block ${block} of the snapshot`).toEqual([1, 1]);
  }
});
