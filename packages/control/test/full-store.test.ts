/**
 * Goal: a store that is full does what its settings say and nothing else (I8): which snapshots go, in
 * which order, which never do; that it is logged and told; that deleting works; that nobody loses a
 * state that was not given up.
 * Method: a store of memory that may not grow, a volume that is overwritten again and again, with a
 * snapshot between two rounds; each snapshot's first and last blocks are compared with its round.
 */
import { expect, test } from 'vitest';
import { openStore, type Store } from '../src/index.js';
import { createMemoryMachine, type MemoryMachine } from '../src/testing/memory-machine.js';
import type { StoreEvent } from '../src/work-types.js';
import {
  BLOCK,
  createMachineWithStore,
  readBlock,
  refusal,
  SAVE_SIZE,
  withDevice,
} from './fixture.js';

/** Blocks of a volume: the save volume has room for the old ones of about two rounds. */
const BLOCKS = 320;

async function started(
  fullPolicy: 'fail-writes' | 'drop-oldest',
): Promise<{ machine: MemoryMachine; store: Store; events: StoreEvent[] }> {
  const { machine, store } = await createMachineWithStore();
  await store.configure({ fullPolicy, maximumBytes: SAVE_SIZE });
  await store.createVolume({ name: 'prod', size: BLOCKS * BLOCK });
  const events: StoreEvent[] = [];
  store.subscribe((event) => events.push(event));
  return { machine, store, events };
}

/** Overwrites all of it; false when there was no space. */
async function overwrite(store: Store, reference: string, value: number): Promise<boolean> {
  return withDevice(store, reference, async (device) => {
    try {
      const piece = new Uint8Array(16 * BLOCK).fill(value);
      for (let block = 0; block < BLOCKS; block += 16) await device.write(piece, block * BLOCK);
      await device.flush();
      return true;
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_NO_SPACE' });
      return false;
    }
  });
}

/** Rounds of a snapshot, named after what it has, and then a whole overwrite. */
async function rounds(
  { store, machine }: { store: Store; machine: MemoryMachine },
  from: number,
  to: number,
): Promise<void> {
  for (let round = from; round <= to; round += 1) {
    machine.nowMs += 1000;
    await store.createSnapshot({ volume: 'prod', name: `r${round}` });
    expect(await overwrite(store, 'prod', round + 1)).toBe(true);
  }
}

/** The machine as it would be if it were killed now: what was written is there, nobody runs. */
async function copyOf(machine: MemoryMachine): Promise<MemoryMachine> {
  const copy = createMemoryMachine();
  copy.nowMs = machine.nowMs;
  const paths = [...machine.files.keys()];
  const contents = paths.map((path) => machine.bytes(path)); // read in this turn, before others go on
  for (const [index, path] of paths.entries()) {
    const bytes = (await contents[index]) as Uint8Array;
    copy.put(path, bytes.length);
    await copy.overwrite(path, 0, bytes);
  }
  return copy;
}

const names = (store: Store): string[] => store.listSnapshots('prod').map(({ name }) => name);

async function expectIntact(store: Store): Promise<void> {
  for (const { reference, name } of store.listSnapshots('prod')) {
    const round = Number(name.slice(1));
    await withDevice(store, reference, async (device) => {
      expect(await readBlock(device, 0), reference).toBe(round);
      expect(await readBlock(device, BLOCKS - 1), reference).toBe(round);
    });
  }
  expect((await store.verify({ data: true })).problems).toEqual([]);
}

test('drop-oldest: the oldest that nothing needs go, as few as it takes, logged and told', async () => {
  const { machine, store, events } = await started('drop-oldest');
  expect(await overwrite(store, 'prod', 1)).toBe(true);
  await rounds({ store, machine }, 1, 6);
  const left = names(store);
  expect(left.length).toBeGreaterThan(1); // no more than it takes
  expect(left).toEqual(['r1', 'r2', 'r3', 'r4', 'r5', 'r6'].slice(-left.length));
  await expectIntact(store);
  const dropped = ['r1', 'r2', 'r3', 'r4', 'r5', 'r6'].slice(0, -left.length);
  const told = events.filter(({ type }) => type === 'dropped');
  expect(told.map(({ reference }) => reference)).toEqual(dropped.map((name) => `prod@${name}`));
  const logged = store.log().filter(({ kind }) => kind === 'drop');
  expect(logged.map(({ target, by }) => ({ target, by })).reverse()).toEqual(
    dropped.map((name) => ({ target: `prod@${name}`, by: 'drop-oldest' })),
  );
  expect(logged.every(({ undo }) => undo === undefined)).toBe(true);
  await store.close();
  await using again = await openStore('/store', machine.process());
  expect(names(again)).toEqual(left);
  await expectIntact(again);
  expect(await overwrite(again, 'prod', 99)).toBe(true); // the settings are still those
});

test('drop-oldest: what is held, is a base or is open stays, to the last', async () => {
  const { machine, store, events } = await started('drop-oldest');
  expect(await overwrite(store, 'prod', 1)).toBe(true);
  await rounds({ store, machine }, 1, 1);
  await store.createBranch({ name: 'dev', from: 'prod@r1' });
  await rounds({ store, machine }, 2, 2);
  await store.hold('prod@r2', 'audit');
  machine.nowMs += 1000;
  await store.createSnapshot({ volume: 'prod', name: 'r3' });
  const reader = await store.openExport('prod@r3');
  expect(await overwrite(store, 'prod', 4)).toBe(false);
  expect(await overwrite(store, 'prod', 5)).toBe(false);
  expect(names(store)).toEqual(['r1', 'r2', 'r3']);
  expect(events.map(({ type }) => type).filter((type) => type !== 'high-water')).toEqual(['full']);
  expect(await readBlock(reader.device, BLOCKS - 1)).toBe(3);
  await reader.release();
  // One hold less is enough.
  await store.unhold('prod@r2', 'audit');
  expect(await overwrite(store, 'prod', 6)).toBe(true);
  expect(names(store)).toEqual(['r1', 'r3']);
  await expectIntact(store);
  await store.close();
});

test('fail-writes: no snapshot goes, deleting works, and what was deleted makes room', async () => {
  const { machine, store, events } = await started('fail-writes');
  expect(await overwrite(store, 'prod', 1)).toBe(true);
  await rounds({ store, machine }, 1, 2);
  machine.nowMs += 1000;
  await store.createSnapshot({ volume: 'prod', name: 'r3' });
  expect(await overwrite(store, 'prod', 4)).toBe(false);
  expect(names(store)).toEqual(['r1', 'r2', 'r3']);
  expect(events.at(-1)?.type).toBe('full');
  expect(events.filter(({ type }) => type === 'dropped')).toEqual([]);
  // Deleted with grace: it can still be had back, and is, as nobody needed its space meanwhile.
  await store.deleteSnapshot('prod@r2');
  await store.undo();
  expect(names(store)).toEqual(['r1', 'r2', 'r3']);
  await store.deleteSnapshot('prod@r2');
  await expectIntact(store);
  // Now somebody needs it.
  expect(await overwrite(store, 'prod', 5)).toBe(true);
  const undo = await refusal(() => store.undo());
  expect(undo.code).toBe('ERR_NOT_FOUND');
  expect(names(store)).toEqual(['r1', 'r3']);
  await expectIntact(store);
  await store.close();
});

test('drop-oldest: what was deleted goes before anything else, though it is younger', async () => {
  const { machine, store } = await started('drop-oldest');
  expect(await overwrite(store, 'prod', 1)).toBe(true);
  await rounds({ store, machine }, 1, 2);
  await store.deleteSnapshot('prod@r2');
  machine.nowMs += 1000;
  await store.createSnapshot({ volume: 'prod', name: 'r3' });
  expect(await overwrite(store, 'prod', 4)).toBe(true);
  expect(names(store)).toEqual(['r1', 'r3']);
  expect(store.log().some(({ kind }) => kind === 'drop')).toBe(false);
  await expectIntact(store);
  await store.close();
});

test('what was deleted goes before the save volume grows, and no more of it than that takes', async () => {
  const { machine, store, events } = await started('fail-writes');
  expect(await overwrite(store, 'prod', 1)).toBe(true);
  await rounds({ store, machine }, 1, 2);
  await store.configure({ maximumBytes: null });
  await store.deleteSnapshot('prod@r2');
  machine.nowMs += 1000;
  await store.deleteSnapshot('prod@r1');
  const before = store.status().space.totalBytes;
  await rounds({ store, machine }, 3, 3);
  expect(store.status().space.totalBytes).toBe(before);
  await store.undo(); // the younger deletion
  expect(names(store)).toEqual(['r1', 'r3']);
  await expectIntact(store);
  // Nothing deleted is left: now it grows.
  await rounds({ store, machine }, 4, 5);
  expect(store.status().space.totalBytes).toBeGreaterThan(before);
  expect(events.map(({ type }) => type)).toContain('grown');
  expect(names(store)).toEqual(['r1', 'r3', 'r4', 'r5']);
  await expectIntact(store);
  await store.close();
});

test('killed between the commit of a drop and what it gives back: the next opening ends it (FD2)', async () => {
  const { machine, store } = await started('drop-oldest');
  expect(await overwrite(store, 'prod', 1)).toBe(true);
  const images: Promise<MemoryMachine>[] = [];
  store.subscribe(({ type }) => {
    if (type === 'dropped' || type === 'full') images.push(copyOf(machine));
  });
  await rounds({ store, machine }, 1, 5);
  expect(images.length).toBeGreaterThan(1);
  for (const image of await Promise.all(images)) {
    await using again = await openStore('/store', image.process());
    const drops = again.log().filter(({ kind }) => kind === 'drop');
    expect(drops.length).toBeGreaterThan(0); // logged by the commit that hid it
    const left = names(again);
    expect(drops.some(({ target }) => left.includes(target.slice('prod@'.length)))).toBe(false);
    await expectIntact(again);
    const before = again.status().space.usedBytes;
    for (let turn = 0; turn < 20; turn += 1) await image.tick();
    expect(again.status().space.usedBytes).toBeLessThan(before);
    await expectIntact(again);
    expect((await refusal(() => again.undo())).code).toBe('ERR_NOT_FOUND'); // it is no deletion by a user
  }
  await store.close();
}, 30_000);

test('an undo while its space is being taken back has all of it, or is refused (W3)', async () => {
  const outcomes = new Set<string>();
  for (let turns = 0; turns < 12; turns += 1) {
    const { machine, store } = await started('fail-writes');
    expect(await overwrite(store, 'prod', 1)).toBe(true);
    await rounds({ store, machine }, 1, 2);
    await store.deleteSnapshot('prod@r2');
    machine.nowMs += 1000;
    await store.createSnapshot({ volume: 'prod', name: 'r3' });
    const device = await store.openExport('prod');
    const writing = (async () => {
      const piece = new Uint8Array(16 * BLOCK).fill(4);
      for (let block = 0; block < BLOCKS; block += 16) {
        await device.device.write(piece, block * BLOCK);
      }
    })().then(
      () => 'written',
      () => 'full',
    );
    for (let turn = 0; turn < turns * 80; turn += 1) await Promise.resolve();
    const undone = await store.undo().then(
      () => 'undone',
      ({ code }: { code: string }) => code,
    );
    outcomes.add(`${undone}, ${await writing}`);
    expect(names(store)).toEqual(undone === 'undone' ? ['r1', 'r2', 'r3'] : ['r1', 'r3']);
    await expectIntact(store);
    await device.release();
    await store.close();
  }
  expect([...outcomes].sort()).toEqual(['ERR_NOT_FOUND, written', 'undone, full']);
}, 30_000);

test('settings: the cap is kept to and can be raised, and thresholds are told', async () => {
  const { machine, store, events } = await started('fail-writes');
  await store.configure({ highWaterPercent: 50 });
  expect(await overwrite(store, 'prod', 1)).toBe(true);
  await rounds({ store, machine }, 1, 2);
  expect(events.map(({ type }) => type)).toEqual(['high-water']);
  expect(events[0]?.detail).toBe(`50 % of ${SAVE_SIZE} bytes are used`);
  machine.nowMs += 1000;
  await store.createSnapshot({ volume: 'prod', name: 'r3' });
  expect(await overwrite(store, 'prod', 4)).toBe(false);
  expect(store.status().space.totalBytes).toBe(SAVE_SIZE);
  await store.configure({ maximumBytes: 2 * SAVE_SIZE });
  expect(await overwrite(store, 'prod', 4)).toBe(true);
  expect(events.map(({ type }) => type)).toContain('grown');
  expect(store.status().space.totalBytes).toBeLessThanOrEqual(2 * SAVE_SIZE);
  await expectIntact(store);
  await store.close();
});

test('verbs on a full store: a snapshot is taken when one may be dropped, deleting always works', async () => {
  const { machine, store } = await started('fail-writes');
  expect(await overwrite(store, 'prod', 1)).toBe(true);
  await rounds({ store, machine }, 1, 2);
  machine.nowMs += 1000;
  await store.createSnapshot({ volume: 'prod', name: 'r3' });
  expect(await overwrite(store, 'prod', 4)).toBe(false);
  // Small things go into what is left until nothing is.
  const take = (message: string) => store.createSnapshot({ volume: 'prod', message });
  for (const message of ['x'.repeat(1000), '']) {
    const refused = await refusal(async () => {
      for (;;) await take(message);
    });
    expect(refused.code).toBe('ERR_NO_SPACE');
  }
  await store.configure({ graceMs: 0 }).catch(() => undefined); // no room even for that, perhaps
  await store.deleteSnapshot('prod@r1', { now: true });
  await take('');
  await store.configure({ fullPolicy: 'drop-oldest' });
  expect(await overwrite(store, 'prod', 5)).toBe(true);
  expect((await store.verify({ data: true })).problems).toEqual([]);
  await store.close();
}, 30_000);
