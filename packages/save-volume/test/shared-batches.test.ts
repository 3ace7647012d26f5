/**
 * Goal: transactions that are asked for at once share a record only where neither can spoil the other
 * (C7, C8).
 * Method: pairs of transactions in one turn, on a memory device.
 */
import { createMemoryDevice } from '@palimpsest/block-device';
import { expect, test } from 'vitest';
import { formatSaveVolume, LIVE, openSaveVolume, type SaveVolume } from '../src/index.js';

const BLOCK = 512;
const bytes = (value: number) => new Uint8Array(BLOCK).fill(value);

async function openEmpty(): Promise<SaveVolume> {
  const device = createMemoryDevice({ blockSize: BLOCK, size: 4 << 20 });
  await formatSaveVolume(device, { blockSize: BLOCK, journalBytes: 1 << 20 });
  return openSaveVolume(device);
}

test('C7: what a transaction that throws had put into the batch is not committed', async () => {
  const save = await openEmpty();
  const [first, second] = [save.newObjectId(), save.newObjectId()];
  const refused = save.transact((batch) => {
    batch.object(first, bytes(1));
    batch.put(7, 3, LIVE, bytes(1));
    throw new Error('no');
  });
  const accepted = save.transact((batch) => batch.object(second, bytes(2)));
  await expect(refused).rejects.toThrow('no');
  await accepted;
  expect(save.object(first)).toBeUndefined();
  expect(save.object(second)).toEqual(bytes(2));
  expect(await save.find(7, 3, LIVE)).toBeUndefined();
  expect((await save.verify({ data: true })).problems).toEqual([]);
});

test('C8: of two transactions that store a block that is not there, one does', async () => {
  const save = await openEmpty();
  const used = save.allocator.used;
  const storeOnce = (value: number) =>
    save.transact(async (batch) => {
      if ((await save.find(7, 3, LIVE)) === undefined) batch.put(7, 3, LIVE, bytes(value));
    });
  await Promise.all([storeOnce(1), storeOnce(2)]);
  expect(save.allocator.used).toBe(used + 1); // no block that nobody knows of
  const found = new Uint8Array(BLOCK);
  await save.readSaved(7, 3, LIVE, found);
  expect(found).toEqual(bytes(1));
});

test('objects that are changed at once still share a record', async () => {
  const save = await openEmpty();
  const { commits } = save.metrics();
  const ids = Array.from({ length: 8 }, () => save.newObjectId());
  await Promise.all(ids.map((id) => save.transact((batch) => batch.object(id, bytes(1)))));
  expect(save.metrics().commits).toBe(commits + 1);
});
