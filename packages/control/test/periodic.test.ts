/** What an open store does again and again: a commit that does not end keeps none of the next from being begun. */
import type { SaveVolume } from '@palimpsest/save-volume';
import { expect, test } from 'vitest';
import { periodicCommit } from '../src/periodic.js';
import { createMemoryMachine } from '../src/testing/memory-machine.js';

/** A save volume whose commits end as told, and the clock's next period. */
function start(results: (() => Promise<void>)[]) {
  let begun = 0;
  const save = {
    commitIdle(): Promise<void> {
      begun += 1;
      return results.shift()?.() ?? Promise.resolve();
    },
  } as SaveVolume;
  const errors: string[] = [];
  let tick = (): void => {};
  const environment = createMemoryMachine().process();
  const stop = periodicCommit(
    {
      ...environment,
      logger: { ...environment.logger, error: (message) => void errors.push(message) },
      every(_periodMs, work) {
        tick = work;
        return () => {
          tick = () => {};
        };
      },
    },
    save,
  );
  return { tick: () => tick(), begun: () => begun, errors, stop };
}

test('a commit that waits for a slow image does not stop the clock', () => {
  const clock = start([() => new Promise(() => {})]);
  for (let period = 0; period < 3; period += 1) clock.tick();
  expect(clock.begun()).toBe(3);
  clock.stop();
  clock.tick();
  expect(clock.begun()).toBe(3);
});

test('a failure is logged once, and again after commits went well', async () => {
  const fail = (): Promise<void> => Promise.reject(new Error('no'));
  const well = (): Promise<void> => Promise.resolve();
  const clock = start([fail, fail, well, fail]);
  const logged: number[] = [];
  for (let period = 0; period < 4; period += 1) {
    clock.tick();
    await new Promise((resolve) => setImmediate(resolve));
    logged.push(clock.errors.length);
  }
  expect(logged).toEqual([1, 1, 1, 2]);
});
