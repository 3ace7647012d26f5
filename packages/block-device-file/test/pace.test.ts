/**
 * Goal: small calls are done at once only where that holds nobody up: P1 to P4 of pace.ts.
 * Method: paces told of calls on a clock of the test's own.
 */
import { describe, expect, test } from 'vitest';
import { Pace } from '../src/pace.js';
import { PacesByDisk } from '../src/paces.js';

const DAY_MS = 86_400_000;

/**
 * A device asked once a millisecond for `ms` milliseconds, in the way its pace says, that answers in
 * `tookMs(now)`; how long callers of other devices were held up in all.
 */
function heldUp(pace: Pace, ms: number, tookMs: (now: number) => number): number {
  let total = 0;
  for (let now = 0; now < ms; ) {
    const took = tookMs(now);
    if (pace.mayBlock(now)) {
      pace.blocked(now, now + took);
      total += took;
      now += Math.max(1, took);
    } else {
      pace.waited(now, now + took);
      now += 1;
    }
  }
  return total;
}

/** A stall of half a second each period; a hundredth of a millisecond in between. */
const stalling = (periodMs: number) => (now: number) => (now % periodMs < 500 ? 500 : 0.01);

describe('trust is earned in the pool (P1)', () => {
  test('by calls that are fast', () => {
    const pace = new Pace();
    for (let call = 0; call < 64; call += 1) {
      expect(pace.mayBlock(call)).toBe(false);
      pace.waited(call, call + 0.5);
    }
    expect(pace.mayBlock(64)).toBe(true);
  });

  test('not by a device that is slow, not even now and then', () => {
    expect(heldUp(new Pace(), DAY_MS / 240, () => 500)).toBe(0);
    let calls = 0;
    expect(heldUp(new Pace(), 100_000, () => (++calls % 6 === 0 ? 20 : 0.01))).toBe(0);
  });

  test('never by one whose stalls have no bounds (P4)', () => {
    const pace = new Pace('never');
    for (let call = 0; call < 1000; call += 1) pace.waited(call, call + 0.01);
    expect(pace.mayBlock(1000)).toBe(false);
  });
});

describe('a call at once that stalls (P2)', () => {
  test('is followed by a rest of two hundred times its length, and trust to be earned', () => {
    const pace = new Pace('given');
    pace.blocked(0, 500);
    for (let call = 0; call < 100; call += 1) pace.waited(1000, 1000.5);
    expect([pace.mayBlock(100_499), pace.mayBlock(100_500)]).toEqual([false, true]);
    const idle = new Pace('given');
    idle.blocked(0, 500);
    expect(idle.mayBlock(DAY_MS)).toBe(false);
  });

  test.each([5_000, 30_000, 90_000])('one each %i ms is met once', (periodMs) => {
    expect(heldUp(new Pace('given'), 3_600_000, stalling(periodMs))).toBe(500);
  });

  test.each([110_000, 300_000])('one each %i ms takes less than half a percent', (periodMs) => {
    const ms = 7_200_000;
    expect(heldUp(new Pace('given'), ms, stalling(periodMs))).toBeLessThan(ms / 200);
  });

  test('rests longer each time, an hour at most', () => {
    const pace = new Pace('given');
    const rests: number[] = [];
    for (let now = 0, round = 0; round < 10; round += 1) {
      for (let call = 0; call < 64; call += 1) pace.waited(now, now);
      expect(pace.mayBlock(now)).toBe(true);
      pace.blocked(now, now + 1000);
      for (let call = 0; call < 64; call += 1) pace.waited(now, now);
      let rest = 0;
      while (!pace.mayBlock(now + 1000 + rest)) rest += 1000;
      rests.push(rest);
      now += 1000 + rest;
    }
    expect(rests.slice(0, 3)).toEqual([200_000, 400_000, 800_000]);
    expect(rests.at(-1)).toBe(3_600_000);
  });

  test('makes the other files of its disk earn their trust anew, and nobody else', () => {
    const disks = new PacesByDisk();
    const [first, second] = [disks.add(1, 'given'), disks.add(1, 'given')];
    const elsewhere = disks.add(2, 'given');
    first.pace.blocked(0, 500);
    expect(second.pace.mayBlock(500)).toBe(false);
    expect(elsewhere.pace.mayBlock(500)).toBe(true);
    for (let call = 0; call < 64; call += 1) second.pace.waited(500, 500);
    expect(second.pace.mayBlock(500)).toBe(true);
    second.forget();
    first.forget();
    expect(disks.add(1, 'given').pace.mayBlock(0)).toBe(true);
  });
});

describe('calls at once that are slow (P3)', () => {
  /** Calls of `tookMs` one after the other until the pool has to do the work; how many, how long. */
  function untilRest(pace: Pace, from: number, tookMs: number): { calls: number; end: number } {
    let now = from;
    let calls = 0;
    while (pace.mayBlock(now) && calls < 1000) {
      pace.blocked(now, now + tookMs);
      now += tookMs;
      calls += 1;
    }
    return { calls, end: now };
  }

  function restOf(pace: Pace, from: number): number {
    let now = from;
    while (!pace.mayBlock(now)) now += 1;
    return now - from;
  }

  test('soon go to the pool when they are many, and for longer each time', () => {
    const pace = new Pace('given');
    const rests: number[] = [];
    let now = 0;
    for (let round = 0; round < 16; round += 1) {
      const { calls, end } = untilRest(pace, now, 8);
      expect(calls).toBeLessThan(20);
      rests.push(restOf(pace, end));
      now = end + (rests.at(-1) as number);
    }
    expect(rests.slice(0, 4)).toEqual([10, 20, 40, 80]);
    expect(rests.at(-1)).toBe(60_000);
  });

  test('being put off the processor now and then is not a slow disk', () => {
    const pace = new Pace('given');
    for (let now = 0; now < 60_000; now += 25) {
      expect(pace.mayBlock(now)).toBe(true);
      pace.blocked(now, now + 8); // a third of the time, in calls of 8 ms
    }
  });

  test('are forgiven after many fast ones', () => {
    const pace = new Pace('given');
    const first = untilRest(pace, 0, 40);
    const second = untilRest(pace, first.end + restOf(pace, first.end), 40);
    expect(restOf(pace, second.end)).toBe(20);
    for (let call = 0; call < 2000; call += 1) pace.blocked(second.end, second.end + 0.5);
    const third = untilRest(pace, second.end + 1000, 40);
    expect(restOf(pace, third.end)).toBe(10);
  });
});
