import { describe, expect, test } from 'vitest';
import { Regions } from '../src/regions.js';

const setsOf10 = (most: number) => new Regions(10, most, () => new Set<number>());

/** Regions of ten blocks, and loads that end when the test says. */
function world(most = 100) {
  const regions = setsOf10(most);
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  const load = (block: number): Promise<void> =>
    regions.load(block, (facts, start) => {
      begun.push(start);
      return new Promise((resolve) => {
        ends.push(() => {
          facts.add(start);
          resolve();
        });
      });
    });
  return { regions, begun, load, end: () => ends.shift()?.() };
}

describe('regions', () => {
  test('RG1: sixty-four who ask for a region together wait for one load', async () => {
    const { regions, begun, load, end } = world();
    const all = Array.from({ length: 64 }, (_, at) => load(at % 10));
    expect(begun).toEqual([0]);
    expect(regions.of(3)).toBeUndefined();
    end();
    await Promise.all(all);
    expect(regions.of(3)).toEqual(new Set([0]));
  });

  test('RG2: what is noted while a region is being loaded stays', async () => {
    const { regions, load, end } = world();
    expect(regions.noted(25)).toBeUndefined();
    const loading = load(21);
    regions.noted(25)?.add(25);
    end();
    await loading;
    expect(regions.of(29)).toEqual(new Set([25, 20]));
  });

  test('RG3: a load that began before everything was forgotten leaves nothing', async () => {
    const { regions, begun, load, end } = world();
    const before = load(5);
    regions.reset();
    const after = load(5);
    expect(begun).toEqual([0, 0]);
    end();
    await before;
    expect(regions.of(5)).toBeUndefined();
    end();
    await after;
    expect(regions.of(5)).toEqual(new Set([0]));
  });

  test('a load that failed is told to all who wait, and tried again by the next', async () => {
    const regions = setsOf10(100);
    const fail = () => Promise.reject(new Error('the disk said no'));
    const both = [0, 1].map((block) => regions.load(block, fail));
    for (const each of both) await expect(each).rejects.toThrow('the disk said no');
    expect(regions.of(0)).toBeUndefined();
    await regions.load(0, () => Promise.resolve());
    expect(regions.of(0)).toEqual(new Set());
  });

  test('the oldest loaded region is dropped when there are too many, never one being loaded', async () => {
    const regions = setsOf10(2);
    let end = (): void => undefined;
    const slow = regions.load(0, () => new Promise((resolve) => (end = resolve)));
    const at = (block: number) => regions.load(block, () => Promise.resolve());
    for (const block of [10, 20]) await at(block);
    expect([10, 20].map((block) => regions.of(block))).toEqual([undefined, new Set()]);
    end();
    await slow;
    expect([0, 20].map((block) => regions.of(block))).toEqual([new Set(), new Set()]);
  });

  test('RG4: where nothing was noted yet, a region is known without a load, and notes stay', () => {
    const { regions, begun, load } = world();
    void load(5);
    regions.begin();
    expect(regions.of(5)).toEqual(new Set());
    regions.noted(25)?.add(25);
    expect(regions.of(21)).toEqual(new Set([25]));
    void load(31);
    expect(begun).toEqual([0]);
    regions.reset();
    expect(regions.of(21)).toBeUndefined();
  });

  test('RG4: once a region was dropped, those that are not there must be loaded', () => {
    const { regions } = world(2);
    regions.begin();
    for (const block of [1, 11, 21]) regions.noted(block)?.add(block);
    expect([1, 11, 21].map((block) => regions.of(block))).toEqual([
      undefined,
      new Set([11]),
      new Set([21]),
    ]);
  });
});
