/** Goal: schedules take snapshots by themselves and keep as many as they say (T1, T2). */
import { expect, test } from 'vitest';
import { openStore } from '../src/index.js';
import type { MemoryMachine } from '../src/testing/memory-machine.js';
import { createMachineWithStore, refusal, SIZE } from './fixture.js';

const HOUR = 3_600_000;

async function later(machine: MemoryMachine, ms: number): Promise<void> {
  machine.nowMs += ms;
  for (let turn = 0; turn < 30; turn += 1) await machine.tick();
}

test('a schedule takes snapshots and keeps as many as it says', async () => {
  const { machine, store } = await createMachineWithStore();
  await store.createVolume({ name: 'prod', size: SIZE });
  await store.createSnapshot({ volume: 'prod', name: 'mine' });
  const [info] = await store.setSchedule('prod', { everyMs: HOUR, keep: 3 });
  expect(info).toMatchObject({ target: 'prod', everyMs: HOUR, keep: 3 });
  await later(machine, 1);
  expect(store.listSnapshots()).toHaveLength(2);
  await later(machine, HOUR - 2);
  expect(store.listSnapshots()).toHaveLength(2);
  const first = store.listSnapshots()[1]?.reference as string;
  await store.hold(first, 'keep');
  for (let round = 0; round < 5; round += 1) await later(machine, HOUR);
  const names = store.listSnapshots().map(({ name }) => name);
  expect(names).toHaveLength(5); // mine, the held one, and three
  expect(names[0]).toBe('mine');
  await store.close();
  machine.nowMs += 10 * HOUR;
  const again = await openStore('/store', machine.process());
  await later(machine, 1);
  expect(again.listSnapshots()).toHaveLength(5); // one late, not ten
  await again.setSchedule('prod', null);
  expect(again.schedules()).toEqual([]);
  expect((await refusal(() => again.setSchedule('prod', { everyMs: 1, keep: 1 }))).code).toBe(
    'ERR_INVALID',
  );
  await again.close();
});
