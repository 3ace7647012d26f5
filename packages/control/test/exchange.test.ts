/**
 * Goal: what one store exports another has after the import, bit for bit, under the same identity; an
 * import that breaks off is seen by nobody and goes on where it was; what does not fit is refused and
 * changes nothing. Differences and space are told by reference.
 */
import { expect, test } from 'vitest';
import { createStore, openStore, type Store } from '../src/index.js';
import type { MemoryMachine } from '../src/testing/memory-machine.js';
import {
  BLOCK,
  createMachineWithStore,
  readBlock,
  refusal,
  SAVE_SIZE,
  SIZE,
  withDevice,
  writeBlock,
} from './fixture.js';

async function twoStores(): Promise<{ machine: MemoryMachine; store: Store; other: Store }> {
  const { machine, store } = await createMachineWithStore();
  await createStore('/other', { saveSize: SAVE_SIZE }, machine.process());
  await store.createVolume({ name: 'prod', size: SIZE });
  return { machine, store, other: await openStore('/other', machine.process()) };
}

async function write(
  store: Store,
  reference: string,
  fills: Record<number, number>,
): Promise<void> {
  await withDevice(store, reference, async (device) => {
    for (const [block, fill] of Object.entries(fills))
      await writeBlock(device, Number(block), fill);
  });
}

async function fills(store: Store, reference: string): Promise<number[]> {
  return withDevice(store, reference, async (device) => {
    const all: number[] = [];
    for (let block = 0; block < device.size / BLOCK; block += 1) {
      all.push(await readBlock(device, block));
    }
    return all;
  });
}

async function gathered(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part.slice());
  return Uint8Array.from(Buffer.concat(parts));
}

/** The bytes as a stream, in small pieces, that breaks off after `until`. */
async function* pieces(bytes: Uint8Array, until = bytes.length): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < until; at += 1000) yield bytes.slice(at, Math.min(until, at + 1000));
  if (until < bytes.length) throw new Error('the line is dead');
}

test('a full and two incremental streams make the same snapshots in another store', async () => {
  const { store, other } = await twoStores();
  await write(store, 'prod', { 0: 1, 3: 2 });
  await store.createSnapshot({ volume: 'prod', name: 'a', message: 'first' });
  const full = await gathered(store.exportChanges('prod@a'));
  const imported = await other.importChanges(pieces(full), { volume: 'copy' });
  expect(imported).toMatchObject({ snapshot: 'copy@a', dataBytes: 2 * BLOCK });
  expect(await fills(other, 'copy@a')).toEqual([1, 0, 0, 2, 0, 0, 0, 0]);
  expect(other.listSnapshots('copy')[0]).toMatchObject({ name: 'a', message: 'first' });

  await write(store, 'prod', { 3: 0, 5: 7, 6: 7 });
  await store.createSnapshot({ volume: 'prod', name: 'b' });
  await write(store, 'prod', { 6: 8 });
  await store.createSnapshot({ volume: 'prod', name: 'c' });
  for (const [from, to] of [
    ['a', 'b'],
    ['b', 'c'],
  ] as const) {
    const stream = await gathered(store.exportChanges(`prod@${to}`, { from: `prod@${from}` }));
    expect(stream.length).toBeLessThan(4 * BLOCK); // what changed, and not the rest
    await other.importChanges(pieces(stream), { volume: 'copy' });
  }
  for (const name of ['a', 'b', 'c']) {
    expect(await fills(other, `copy@${name}`)).toEqual(await fills(store, `prod@${name}`));
  }
  // The same identity here and there: the copy can be the base of the next, wherever that is made.
  const back = await gathered(other.exportChanges('copy@c', { from: 'copy@a' }));
  const refused = await refusal(() => store.importChanges(pieces(back), { volume: 'prod' }));
  expect(refused).toMatchObject({ code: 'ERR_EXISTS' });
});

test('an import that breaks off is invisible, and goes on with the stream', async () => {
  const { machine, store, other } = await twoStores();
  await write(store, 'prod', { 0: 1, 1: 2, 2: 3, 3: 4, 4: 5, 5: 6 });
  await store.createSnapshot({ volume: 'prod', name: 'a' });
  const full = await gathered(store.exportChanges('prod@a'));
  for (const until of [500, 9_000, full.length - 1]) {
    await expect(other.importChanges(pieces(full, until), { volume: 'copy' })).rejects.toThrow();
    expect(other.listSnapshots('copy')).toEqual([]);
    expect(other.unfinishedImports()).toMatchObject([{ volume: 'copy', from: null, name: 'a' }]);
    expect(await refusal(() => other.openExport('copy'))).toMatchObject({ code: 'ERR_IN_USE' });
    expect(other.exports()[0]).toMatchObject({ name: 'copy', state: 'unavailable' });
    const snapshot = () => other.createSnapshot({ volume: 'copy' });
    expect(await refusal(snapshot)).toMatchObject({ code: 'ERR_IN_USE' });
  }
  // Also in another process.
  await other.close();
  const again = await openStore('/other', machine.process());
  await again.importChanges(pieces(full), { volume: 'copy' });
  expect(again.unfinishedImports()).toEqual([]);
  expect(await fills(again, 'copy@a')).toEqual([1, 2, 3, 4, 5, 6, 0, 0]);
  expect(await fills(again, 'copy')).toEqual([1, 2, 3, 4, 5, 6, 0, 0]);
});

test('a stream starts where the receiver is, and not later', async () => {
  const { store, other } = await twoStores();
  await write(store, 'prod', { 0: 1, 1: 2, 6: 7 });
  await store.createSnapshot({ volume: 'prod', name: 'a' });
  const rest = await gathered(store.exportChanges('prod@a', { startsAt: 2 * BLOCK }));
  expect(rest.length).toBeLessThan(2 * BLOCK);
  const refused = await refusal(() => other.importChanges(pieces(rest), { volume: 'copy' }));
  expect(refused.code).toBe('ERR_INVALID');
  expect(refused.message).toContain('pal export ... --start 0');
  expect(other.listVolumes()).toEqual([]);
});

test('what is there durably need not be sent again (I3)', async () => {
  const { machine, store, other } = await twoStores();
  await write(store, 'prod', { 0: 1, 1: 2, 2: 3, 3: 4, 5: 6 });
  await store.createSnapshot({ volume: 'prod', name: 'a' });
  const often = { checkpointBytes: 2 * BLOCK };
  const full = await gathered(store.exportChanges('prod@a', often));
  // All but what comes last: four blocks and a checkpoint have come.
  const until = full.length - BLOCK;
  await expect(other.importChanges(pieces(full, until), { volume: 'copy' })).rejects.toThrow();
  await other.close();
  const again = await openStore('/other', machine.process());
  const [unfinished] = again.unfinishedImports();
  expect(unfinished?.position).toBe(4 * BLOCK);
  const startsAt = unfinished?.position ?? 0;
  const rest = await gathered(store.exportChanges('prod@a', { startsAt }));
  expect(rest.length).toBeLessThan(2 * BLOCK);
  const late = store.exportChanges('prod@a', { startsAt: startsAt + BLOCK });
  const refused = await refusal(() => again.importChanges(late, { volume: 'copy' }));
  expect(refused.message).toContain(`--start ${startsAt}`);
  await again.importChanges(pieces(rest), { volume: 'copy' });
  expect(await fills(again, 'copy@a')).toEqual([1, 2, 3, 4, 0, 6, 0, 0]);
});

test('a stream is refused where its base is not the present content (I1)', async () => {
  const { store, other } = await twoStores();
  await write(store, 'prod', { 0: 1 });
  await store.createSnapshot({ volume: 'prod', name: 'a' });
  await write(store, 'prod', { 1: 2 });
  await store.createSnapshot({ volume: 'prod', name: 'b' });
  const full = await gathered(store.exportChanges('prod@a'));
  const step = await gathered(store.exportChanges('prod@b', { from: 'prod@a' }));
  const take = (bytes: Uint8Array) => other.importChanges(pieces(bytes), { volume: 'copy' });
  expect(await refusal(() => take(step))).toMatchObject({ code: 'ERR_NOT_FOUND' });
  await take(full);
  expect(await refusal(() => take(full))).toMatchObject({ code: 'ERR_EXISTS' });
  await write(other, 'copy', { 4: 9 });
  const changed = await refusal(() => take(step));
  expect(changed).toMatchObject({ code: 'ERR_IN_USE' });
  expect(changed.message).toContain(`copy@a, the base of the stream, at byte ${4 * BLOCK}`);
  const served = await other.openExport('copy');
  await served.device.zero(4 * BLOCK, BLOCK); // as it was: that is what counts
  expect(await refusal(() => take(step))).toMatchObject({ code: 'ERR_IN_USE' });
  await served.release();
  expect((await take(step)).snapshot).toBe('copy@b');
  expect(await fills(other, 'copy@b')).toEqual([1, 2, 0, 0, 0, 0, 0, 0]);
});

test('a damaged stream makes no snapshot', async () => {
  const { store, other } = await twoStores();
  await write(store, 'prod', { 0: 1, 1: 2 });
  await store.createSnapshot({ volume: 'prod', name: 'a' });
  const full = await gathered(store.exportChanges('prod@a'));
  for (const at of [3, 2000, full.length - 5]) {
    const flipped = full.slice();
    flipped[at] = (flipped[at] as number) ^ 4;
    const refused = await refusal(() => other.importChanges(pieces(flipped), { volume: 'copy' }));
    expect(refused.code).toBe('ERR_CORRUPT');
    expect(other.listSnapshots()).toEqual([]);
  }
  await other.importChanges(pieces(full), { volume: 'copy' });
  expect(await fills(other, 'copy@a')).toEqual([1, 2, 0, 0, 0, 0, 0, 0]);
});

test('only snapshots are exported, and none can be deleted meanwhile (X1)', async () => {
  const { store } = await twoStores();
  await write(store, 'prod', { 0: 1, 1: 2 });
  await store.createSnapshot({ volume: 'prod', name: 'a' });
  const refused = await refusal(() => gathered(store.exportChanges('prod')));
  expect(refused.message).toContain('pal snapshot create prod');
  const stream = store.exportChanges('prod@a')[Symbol.asyncIterator]();
  await stream.next();
  expect(await refusal(() => store.deleteSnapshot('prod@a'))).toMatchObject({ code: 'ERR_IN_USE' });
  await stream.return?.();
  await store.deleteSnapshot('prod@a');
});

test('differences and space are told by reference', async () => {
  const { store } = await twoStores();
  await write(store, 'prod', { 0: 1, 1: 1, 2: 1 });
  await store.createSnapshot({ volume: 'prod', name: 'a' });
  await write(store, 'prod', { 1: 2, 2: 2 });
  await store.createSnapshot({ volume: 'prod', name: 'b' });
  await write(store, 'prod', { 2: 3 });
  await store.createBranch({ name: 'dev', from: 'prod@b' });
  await write(store, 'prod/dev', { 6: 9 });
  const ranges = async (a: string, b: string) => {
    const all: [number, number][] = [];
    for await (const { position, length } of store.diff(a, b)) {
      all.push([position / BLOCK, length / BLOCK]);
    }
    return all;
  };
  expect(await ranges('prod@a', 'prod@b')).toEqual([[1, 2]]);
  expect(await ranges('prod', 'prod@b')).toEqual([[2, 1]]);
  expect(await ranges('prod/dev', 'prod@a')).toEqual([
    [1, 2],
    [6, 1],
  ]);
  const [first, ...rest] = await store.spaceOf();
  expect(first).toMatchObject({ reference: 'prod', logicalBytes: SIZE, exclusiveBytes: 0 });
  expect(rest.map(({ reference, exclusiveBytes }) => [reference, exclusiveBytes])).toEqual([
    ['prod@a', 2 * BLOCK],
    ['prod@b', BLOCK],
    ['prod/dev', BLOCK],
  ]);
  expect(await store.deletionGain(['prod@a', 'prod/dev'])).toEqual({
    references: ['prod@a', 'prod/dev'],
    bytes: 3 * BLOCK,
  });
  expect((await store.deletionGain(['prod'])).bytes).toBe(4 * BLOCK);
});

test('the forecast follows the growth', async () => {
  const { machine, store } = await twoStores();
  expect(store.forecast()).toMatchObject({ bytesPerDay: null, fullInDays: null });
  await write(store, 'prod', { 0: 5, 1: 5, 2: 5, 3: 5, 4: 5 });
  await store.createSnapshot({ volume: 'prod', name: 'a' });
  for (let minute = 0; minute < 4; minute += 1) {
    machine.nowMs += 60_000;
    await write(store, 'prod', { [minute]: 1 });
    await store.createSnapshot({ volume: 'prod' });
    await machine.tick();
  }
  machine.nowMs += 120_000;
  const { bytesPerDay, usedBytes } = store.forecast();
  expect(bytesPerDay).toBeGreaterThan(0);
  expect(usedBytes).toBe(store.status().space.usedBytes);
});
