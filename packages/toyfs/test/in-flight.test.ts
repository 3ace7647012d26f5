/**
 * Goal: a write that fails while others are under way fails the whole, once all have ended, and is nobody's
 * unheard failure in between, which would end the process (IF1).
 * Method: a device whose first write stays under way until it is told, and whose second fails meanwhile.
 */
import { type BlockDevice, createMemoryDevice, StorageError } from '@palimpsest/block-device';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { InFlight } from '../src/in-flight.js';
import { writeRuns } from '../src/write-runs.js';

const BLOCK = 4096;
const unheard: unknown[] = [];
const hear = (error: unknown): void => void unheard.push(error);
/** The test runner listens too, and would tell of them for itself. */
let others: NodeJS.UnhandledRejectionListener[] = [];

beforeEach(() => {
  unheard.length = 0;
  others = process.listeners('unhandledRejection');
  process.removeAllListeners('unhandledRejection');
  process.on('unhandledRejection', hear);
});

afterEach(() => {
  process.removeAllListeners('unhandledRejection');
  for (const each of others) process.on('unhandledRejection', each);
});

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('blocks written in runs', async () => {
  const failure = new StorageError('ERR_IO', 'the second write failed');
  let writes = 0;
  let release: () => void = () => undefined;
  const memory = createMemoryDevice({ size: 64 * BLOCK });
  const device: BlockDevice = Object.assign(Object.create(memory) as BlockDevice, {
    write: () => {
      writes += 1;
      if (writes === 1) return new Promise<void>((resolve) => (release = resolve));
      return writes === 2 ? Promise.reject(failure) : turn();
    },
  });
  // Every other block, so that each is a write of its own.
  const blocks = Array.from({ length: 16 }, (_, n) => [2 * n, new Uint8Array(BLOCK)] as const);
  let ended = false;
  const done = writeRuns(device, BLOCK, blocks).finally(() => {
    ended = true;
  });
  done.catch(() => undefined);
  for (let n = 0; n < 5; n += 1) await turn();
  expect(unheard).toEqual([]);
  expect(ended).toBe(false); // the first is still under way
  expect(writes).toBeLessThan(16);
  release();
  await expect(done).rejects.toBe(failure);
  expect(unheard).toEqual([]);
});

test('no more at once than there may be', async () => {
  const flight = new InFlight(2);
  const ends: (() => void)[] = [];
  for (let n = 0; n < 2; n += 1) {
    await flight.room();
    flight.add(new Promise<void>((resolve) => ends.push(resolve)));
  }
  let hasRoom = false;
  const waiting = flight.room().then(() => {
    hasRoom = true;
  });
  for (let n = 0; n < 3; n += 1) await turn();
  expect(hasRoom).toBe(false);
  ends[1]?.(); // whichever ends first
  await waiting;
  ends[0]?.();
  await flight.settled();
});
