/**
 * Goal: calls that do not return leave threads to the others, however many files they are of (TP1 to TP4).
 * Method: a pool whose calls end when told, on a clock of the test's own; and files whose calls hang, beside
 * one that works, on the real pool.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type FileCalls, systemCalls } from '../src/file-calls.js';
import { openWith } from '../src/file-device.js';
import { type Lane, ThreadPool, threadsOfProcess } from '../src/thread-pool.js';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'palimpsest-pool-'));
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

/** A pool, and lanes whose calls are counted. */
function setUp(threads: number) {
  let now = 0;
  const pool = new ThreadPool(threads, () => now);
  const begun: string[] = [];
  const lanes = new Map<string, Lane>();
  const running = (name: string): number => begun.filter((each) => each === name).length;
  const laneOf = (name: string): Lane => {
    const lane = lanes.get(name) ?? pool.lane();
    lanes.set(name, lane);
    return lane;
  };
  return {
    pass(ms: number): void {
      now += ms;
    },
    /** Lanes whose last call took a few milliseconds, as those of a disk do; while nothing is under way. */
    disks(names: readonly string[]): void {
      for (const name of names) {
        laneOf(name).enter(() => undefined);
        laneOf(name).ended(5);
      }
    },
    /** Asks for calls of a lane. */
    ask(name: string, calls = 1): void {
      for (let call = 0; call < calls; call += 1) laneOf(name).enter(() => void begun.push(name));
    },
    /** Ends one of its calls that are under way. */
    end(name: string, tookMs = 5): void {
      begun.splice(begun.indexOf(name), 1);
      laneOf(name).ended(tookMs);
    },
    running,
    oldest: () => begun[0] as string,
    all: () => begun.length,
  };
}

test('one file has a quarter of the threads, and the next call begins when one ends (TP2)', () => {
  const pool = setUp(64);
  pool.disks(['a']);
  pool.ask('a', 100);
  expect(pool.running('a')).toBe(16);
  pool.end('a');
  expect(pool.running('a')).toBe(16);
  for (let call = 0; call < 99; call += 1) pool.end('a');
  expect(pool.running('a')).toBe(0);
});

test('one whose calls are quick has four threads (TP2)', () => {
  const pool = setUp(64);
  pool.ask('a');
  pool.end('a', 0.1);
  pool.ask('a', 100);
  expect(pool.running('a')).toBe(4);
});

test('files that hang leave a thread to every one that does not, if there is any (TP1)', () => {
  const pool = setUp(64);
  pool.disks(Array.from({ length: 18 }, (_, file) => `hangs ${file}`));
  for (let file = 0; file < 10; file += 1) pool.ask(`hangs ${file}`, 64);
  expect(pool.all()).toBe(3 * 16 + 7);
  pool.ask('sound', 5);
  expect(pool.running('sound')).toBe(1);
  for (let call = 0; call < 4; call += 1) {
    pool.end('sound');
    expect(pool.running('sound')).toBe(1);
  }
  for (let file = 10; file < 18; file += 1) pool.ask(`hangs ${file}`, 64);
  expect(pool.running('hangs 17')).toBe(1);
  pool.pass(10_000);
  pool.end('sound');
  pool.ask('sound');
  expect(pool.running('sound')).toBe(1);
});

test('one that is slow has an eighth, and all slow ones half between them (TP2, TP3)', () => {
  const pool = setUp(64);
  pool.disks(['slow', 'fast']);
  pool.ask('slow', 64);
  for (let call = 0; call < 16; call += 1) pool.end('slow', 500);
  expect(pool.running('slow')).toBe(8);
  for (let file = 0; file < 9; file += 1) {
    pool.ask(`slow ${file}`);
    pool.end(`slow ${file}`, 500);
    pool.ask(`slow ${file}`, 64);
  }
  // Four of them, and a thread for each of the others.
  expect(pool.all()).toBe(32 + 6);
  pool.ask('fast', 64);
  expect(pool.running('fast')).toBe(10); // up to three quarters in all
  pool.end('slow');
  expect([pool.running('slow'), pool.running('fast')]).toEqual([8, 10]); // it was first in line
});

test('one whose calls do not end is slow after a moment', () => {
  const pool = setUp(64);
  pool.disks(['hangs']);
  pool.ask('hangs', 4);
  pool.pass(60);
  pool.ask('hangs', 60);
  expect(pool.running('hangs')).toBe(8);
});

test.each([4, 64])('those who wait take turns, with %i threads (TP4)', (threads) => {
  const pool = setUp(threads);
  const names = Array.from({ length: 80 }, (_, file) => `file ${file}`);
  for (const name of names) pool.ask(name, 20);
  const ended = new Map(names.map((name) => [name, 0]));
  for (let round = 0; round < 80 * 10; round += 1) {
    const name = pool.oldest();
    pool.end(name);
    ended.set(name, (ended.get(name) as number) + 1);
  }
  expect(Math.min(...ended.values())).toBeGreaterThanOrEqual(9);
});

test.each([1, 2, 3, 4])('with %i threads everything still ends', (threads) => {
  const pool = setUp(threads);
  for (const name of ['a', 'b', 'c']) pool.ask(name, 20);
  let ended = 0;
  for (; pool.all() > 0; ended += 1) {
    expect(pool.all()).toBeLessThanOrEqual(threads);
    pool.end(['c', 'a', 'b'].find((name) => pool.running(name) > 0) as string, 60);
  }
  expect(ended).toBe(60);
});

test('the number of threads is what the process was started with', () => {
  const before = process.env.UV_THREADPOOL_SIZE;
  const sizes = ['', 'x', '0', '12', '5000'].map((size) => {
    process.env.UV_THREADPOOL_SIZE = size;
    return threadsOfProcess();
  });
  if (before === undefined) delete process.env.UV_THREADPOOL_SIZE;
  else process.env.UV_THREADPOOL_SIZE = before;
  expect(sizes).toEqual([4, 4, 4, 12, 1024]);
});

describe('on the real pool', () => {
  /** Calls that do not end until they are let go; a real thread is taken by each. */
  function hanging(): { calls: FileCalls; begun: () => number; release: () => void } {
    const waiting: (() => void)[] = [];
    let begun = 0;
    const hang = (work: () => void): void => {
      begun += 1;
      waiting.push(work);
    };
    return {
      calls: {
        ...systemCalls,
        read: (...args) => hang(() => systemCalls.read(...args)),
        write: (...args) => hang(() => systemCalls.write(...args)),
        fdatasync: (...args) => hang(() => systemCalls.fdatasync(...args)),
      },
      begun: () => begun,
      release() {
        for (const work of waiting.splice(0)) work();
      },
    };
  }

  test('reads, writes and flushes of a file end beside three that hang', async () => {
    const pool = new ThreadPool(16, systemCalls.now);
    const make = (name: string, calls = systemCalls) =>
      openWith({ calls, pool }, path.join(folder, name), { create: { size: 64 * 4096 } });
    const hangs = hanging();
    const stuck = await Promise.all(['x', 'y', 'z'].map((name) => make(name, hangs.calls)));
    const waiting = stuck.flatMap((device) => [
      ...Array.from({ length: 32 }, (_, block) =>
        device.readInto(new Uint8Array(4096), block * 4096),
      ),
      device.flush(),
    ]);
    expect(hangs.begun()).toBeLessThanOrEqual(12);
    await using sound = await make('sound');
    for (let block = 0; block < 64; block += 1) {
      await sound.write(new Uint8Array(4096).fill(block), block * 4096);
      await sound.flush();
    }
    const bytes = new Uint8Array(4096);
    await Promise.all([1, 2, 3].map(() => sound.readInto(bytes, 63 * 4096)));
    expect(bytes[0]).toBe(63);
    const drained = Promise.all(waiting);
    let done = false;
    drained.then(() => {
      done = true;
    });
    while (!done) {
      hangs.release();
      await new Promise(setImmediate);
    }
    for (const device of stuck) await device.close();
  });
});
