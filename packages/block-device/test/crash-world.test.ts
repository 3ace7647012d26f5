/**
 * Goal: the simulator forgets what a disk may forget, keeps what a disk must keep, and therefore
 * catches programs with a missing flush. Method: first its rules one by one, then toy programs,
 * right and wrong, that must live and die.
 */
import { describe, expect, test } from 'vitest';
import type { BlockDevice } from '../src/index.js';
import {
  type CrashPolicy,
  type CrashWorld,
  createCrashWorld,
  createRandom,
  failing,
  watchSaveFirst,
} from '../src/testing/index.js';

const SECTOR = 512;
const block = (fill: number, count = 1) => new Uint8Array(SECTOR * count).fill(fill);

/** The first byte of each sector. */
async function firsts(device: BlockDevice): Promise<number[]> {
  const bytes = new Uint8Array(device.size);
  await device.readInto(bytes, 0);
  return Array.from({ length: device.size / SECTOR }, (_, at) => bytes[at * SECTOR] as number);
}

function images(world: CrashWorld, point: number, policies: readonly CrashPolicy[]) {
  return Promise.all(policies.map((policy) => firsts(world.crash(point, policy).device('disk'))));
}

function disk(sectors = 4, seed = 1): { world: CrashWorld; device: BlockDevice } {
  const world = createCrashWorld({ seed });
  return { world, device: world.device('disk', { size: sectors * SECTOR }) };
}

describe('what survives', () => {
  test('T1 a flush makes durable what was written before it, and nothing after', async () => {
    const { world, device } = disk();
    await device.write(block(1), 0);
    await device.flush();
    await device.write(block(2), SECTOR);
    expect(await images(world, world.point, [{ kind: 'none' }, { kind: 'all' }])).toEqual([
      [1, 0, 0, 0],
      [1, 2, 0, 0],
    ]);
    expect(await images(world, 0, [{ kind: 'all' }])).toEqual([[0, 0, 0, 0]]);
    expect(await images(world, 1, [{ kind: 'none' }])).toEqual([[0, 0, 0, 0]]);
  });

  test('T2 three pending writes give each of their eight subsets', async () => {
    const { world, device } = disk();
    for (const index of [0, 1, 2]) await device.write(block(index + 1), index * SECTOR);
    const policies = world.policies(world.point, { tears: [], random: 0 });
    expect(policies).toHaveLength(8);
    const seen = new Set((await images(world, world.point, policies)).map(String));
    expect(seen.size).toBe(8);
  });

  test('T2 rewrites of one sector leave any one of them, or the old content', async () => {
    const { world, device } = disk(1);
    for (const fill of [1, 2, 3]) await device.write(block(fill), 0);
    const policies = world.policies(world.point, { tears: [], random: 0 });
    const seen = new Set((await images(world, world.point, policies)).map(String));
    expect([...seen].sort()).toEqual(['0', '1', '2', '3']);
  });

  test('T1 a write still in flight when the flush was asked for is not covered', async () => {
    const world = createCrashWorld({ seed: 1 });
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const slow = { random: always(1), maxTurns: 1, turn: () => gate };
    const writer = world.device('disk', { size: 2 * SECTOR, jitter: slow });
    const flusher = world.device('disk');
    const write = writer.write(block(5), 0);
    await flusher.flush(); // asked for while the write waits
    release();
    await write;
    expect(await images(world, world.point, [{ kind: 'none' }])).toEqual([[0, 0]]);
    await flusher.flush();
    expect(await images(world, world.point, [{ kind: 'none' }])).toEqual([[5, 0]]);
  });

  test('T4 a failed flush loses its changes for good; a later flush does not bring them back', async () => {
    const { world, device } = disk();
    await device.write(block(1), 0);
    world.failNextFlush('disk');
    expect(() => device.flush()).toThrow('injected');
    const again = world.device('disk'); // as a program that retries would
    expect(await firsts(again)).toEqual([1, 0, 0, 0]); // the cache still has it
    await again.write(block(2), SECTOR);
    await again.flush();
    expect(await images(world, world.point, [{ kind: 'none' }, { kind: 'all' }])).toEqual([
      [0, 2, 0, 0],
      [1, 2, 0, 0],
    ]);
    await again.write(block(3), 0); // T3: written anew, flushed anew
    await again.flush();
    expect(await images(world, world.point, [{ kind: 'all' }])).toEqual([[3, 2, 0, 0]]);
  });

  test('zero, discard and resize are pending too', async () => {
    const { world, device } = disk(4);
    await device.write(block(9, 4), 0);
    await device.flush();
    await device.zero(0, SECTOR);
    await device.resize(6 * SECTOR);
    await device.write(block(8), 5 * SECTOR);
    expect(
      await images(world, world.point, [
        { kind: 'none' },
        { kind: 'all' },
        { kind: 'only', index: 2 }, // the write survives, the growth does not
        { kind: 'all-but', index: 2 },
      ]),
    ).toEqual([
      [9, 9, 9, 9],
      [0, 9, 9, 9, 0, 8],
      [9, 9, 9, 9],
      [0, 9, 9, 9, 0, 0],
    ]);
    await device.flush();
    expect(await images(world, world.point, [{ kind: 'none' }])).toEqual([[0, 9, 9, 9, 0, 8]]);
  });

  test('flushing one disk says nothing about another', async () => {
    const world = createCrashWorld();
    const [one, two] = ['one', 'two'].map((name) => world.device(name, { size: SECTOR }));
    await one?.write(block(1), 0);
    await two?.write(block(2), 0);
    await one?.flush();
    const after = world.crash(world.point, { kind: 'none' });
    expect(await firsts(after.device('one'))).toEqual([1]);
    expect(await firsts(after.device('two'))).toEqual([0]);
  });
});

describe('tears', () => {
  async function torn(tear: 'half' | 'sectors' | 'inside' | 'zeros' | 'blast') {
    const { world, device } = disk(16);
    await device.write(block(7, 16), 0);
    await device.flush();
    await device.write(block(9, 4), 8 * SECTOR);
    const seen: Uint8Array[] = [];
    for (let seed = 0; seed < 60; seed++) {
      const policy = { kind: 'torn', index: 0, tear } as const;
      const bytes = new Uint8Array(16 * SECTOR);
      await world.crash(world.point, policy, createRandom(seed)).device('disk').readInto(bytes, 0);
      seen.push(bytes);
    }
    return seen;
  }
  const sectors = (image: Uint8Array, from: number, to: number) =>
    Array.from({ length: to - from }, (_, at) =>
      image.subarray((from + at) * SECTOR, (from + at + 1) * SECTOR),
    );
  const whole = (bytes: Uint8Array) => bytes.every((byte) => byte === bytes[0]);

  test('half keeps the first half', async () => {
    for (const image of await torn('half')) {
      const fills = sectors(image, 8, 12).map((bytes) => bytes[0]);
      expect(fills).toEqual([9, 9, 7, 7]);
    }
  });

  test('sectors keeps any of them, each whole', async () => {
    const all = await torn('sectors');
    for (const image of all) {
      for (const bytes of sectors(image, 0, 16)) {
        expect(whole(bytes)).toBe(true);
        expect([7, 9]).toContain(bytes[0]);
      }
    }
    expect(new Set(all.map((image) => String(sectors(image, 8, 12).map((s) => s[0])))).size).toBe(
      16,
    );
  });

  test('inside mixes one sector, and leaves its neighbours', async () => {
    for (const image of await torn('inside')) {
      expect(sectors(image, 8, 12).filter((bytes) => !whole(bytes))).toHaveLength(1);
      for (const bytes of [...sectors(image, 0, 8), ...sectors(image, 12, 16)]) {
        expect(whole(bytes) && bytes[0] === 7).toBe(true);
      }
    }
  });

  test('zeros makes zeros of one sector', async () => {
    for (const image of await torn('zeros')) {
      expect(sectors(image, 8, 12).filter((bytes) => bytes[0] === 0)).toHaveLength(1);
    }
  });

  test('blast damages durable neighbours, but nothing outside the 4 KiB', async () => {
    let neighbours = 0;
    for (const image of await torn('blast')) {
      for (const bytes of sectors(image, 0, 8)) expect(whole(bytes) && bytes[0] === 7).toBe(true);
      neighbours += sectors(image, 12, 16).filter((s) => !whole(s) || s[0] !== 7).length;
    }
    expect(neighbours).toBeGreaterThan(60);
  });
});

describe('worlds', () => {
  test('a crash can crash again, and leaves its parent alone', async () => {
    const { world, device } = disk();
    await device.write(block(1), 0);
    await device.flush();
    const first = world.crash(world.point, { kind: 'none' });
    const recovered = first.device('disk');
    await recovered.write(block(2), SECTOR);
    await recovered.write(block(3), 2 * SECTOR);
    await recovered.flush();
    expect(first.point).toBe(4);
    expect(await firsts(first.crash(2, { kind: 'only', index: 1 }).device('disk'))).toEqual([
      1, 0, 3, 0,
    ]);
    expect(await firsts(first.crash(4, { kind: 'none' }).device('disk'))).toEqual([1, 2, 3, 0]);
    expect(await firsts(device)).toEqual([1, 0, 0, 0]);
  });

  test('a killed process leaves its changes in the cache, pending', async () => {
    const { world, device } = disk();
    await device.write(block(1), 0);
    await device.flush();
    await device.write(block(2), 0);
    await device.write(block(3), SECTOR);
    const next = world.kill(world.point - 1); // before the last write
    expect(await firsts(next.device('disk'))).toEqual([2, 0, 0, 0]);
    expect(await images(next, next.point, [{ kind: 'none' }])).toEqual([[1, 0, 0, 0]]);
    await next.device('disk').flush();
    expect(await images(next, next.point, [{ kind: 'none' }])).toEqual([[2, 0, 0, 0]]);
  });

  test('T4 what a failed flush lost stays lost for the next process', async () => {
    const { world, device } = disk();
    await device.write(block(1), 0);
    world.failNextFlush('disk');
    expect(() => device.flush()).toThrow('injected');
    await world.device('disk').write(block(2), SECTOR);
    const next = world.kill();
    expect(await firsts(next.device('disk'))).toEqual([1, 2, 0, 0]);
    await next.device('disk').flush();
    expect(await images(next, next.point, [{ kind: 'none' }])).toEqual([[0, 2, 0, 0]]);
  });

  test('equal content has an equal hash, other content another', async () => {
    const { world, device } = disk();
    await device.write(block(1), 0);
    await device.write(block(2), SECTOR);
    await device.write(block(1), 2 * SECTOR);
    const hash = (policy: CrashPolicy) => world.crash(3, policy).hash;
    expect(hash({ kind: 'all' })).toBe(hash({ kind: 'prefix', count: 3 }));
    const masks = [0, 1, 2, 3, 4, 5, 6, 7];
    expect(new Set(masks.map((mask) => hash({ kind: 'subset', mask }))).size).toBe(8);
    expect(hash({ kind: 'none' })).toBe(disk().world.crash(0, { kind: 'none' }).hash);
  });

  test('the same seed gives the same images', async () => {
    const run = async (seed: number) => {
      const world = createCrashWorld({ seed });
      const jitter = { random: createRandom(seed) };
      const device = world.device('disk', { size: 16 * SECTOR, jitter });
      await Promise.all([1, 2, 3, 4].map((fill) => device.write(block(fill, 3), fill * SECTOR)));
      await device.discard(0, 8 * SECTOR);
      return world.policies(world.point).map((policy) => world.crash(world.point, policy).hash);
    };
    expect(await run(5)).toEqual(await run(5));
    expect(await run(5)).not.toEqual(await run(6));
  });

  test('a policy list is bounded, and always has none and all', async () => {
    const { world, device } = disk(64);
    for (let index = 0; index < 64; index++) await device.write(block(1), index * SECTOR);
    const policies = world.policies(64, { most: 20 });
    expect(policies).toHaveLength(20);
    expect(policies.slice(0, 2)).toEqual([{ kind: 'none' }, { kind: 'all' }]);
  });
});

/**
 * Toy: a log of one-sector records 1, 2, 3 ... and a head sector that counts them. A record is
 * written, made durable, and then counted. The audit after a crash: every counted record is there,
 * and every record whose `append` resolved is counted.
 */
interface Toy {
  readonly flushRecord: boolean;
  readonly flushHead: boolean;
}
async function append(device: BlockDevice, count: number, toy: Toy): Promise<void> {
  await device.write(block(count), count * SECTOR);
  if (toy.flushRecord) await device.flush();
  await device.write(block(count), 0);
  if (toy.flushHead) await device.flush();
}
async function findFault(toy: Toy, jittered = false): Promise<string | undefined> {
  const world = createCrashWorld({ seed: 3 });
  const jitter = jittered ? { jitter: { random: createRandom(3) } } : {};
  const device = world.device('disk', { size: 8 * SECTOR, ...jitter });
  const acknowledged: number[] = [0]; // by point
  for (let count = 1; count < 8; count++) {
    await append(device, count, toy);
    acknowledged[world.point] = count;
  }
  let promised = 0;
  for (let point = 0; point <= world.point; point++) {
    promised = acknowledged[point] ?? promised;
    for (const policy of world.policies(point)) {
      const [head = 0, ...records] = await firsts(world.crash(point, policy).device('disk'));
      const what = `point ${point}, ${JSON.stringify(policy)}`;
      if (head < promised) return `lost: ${what}`;
      if (records.slice(0, head).some((fill, at) => fill !== at + 1)) return `invented: ${what}`;
    }
  }
  return undefined;
}

describe('a toy program', () => {
  test.each([false, true])('that flushes at both places survives (jitter %s)', async (jittered) => {
    expect(await findFault({ flushRecord: true, flushHead: true }, jittered)).toBeUndefined();
  });

  test('that does not flush the record before the head is caught', async () => {
    expect(await findFault({ flushRecord: false, flushHead: true })).toMatch('invented');
  });

  test('that does not flush the head is caught', async () => {
    expect(await findFault({ flushRecord: true, flushHead: false })).toMatch('lost');
  });
});

describe('the save-first monitor', () => {
  async function overwrite(flushes: boolean): Promise<CrashWorld> {
    const world = createCrashWorld();
    const clone = world.device('clone', { size: 8 * SECTOR });
    const save = world.device('save', { size: 8 * SECTOR });
    const monitor = watchSaveFirst(world, { clone: 'clone', save: 'save', blockSize: SECTOR });
    await clone.write(block(1, 8), 0);
    for (let index = 0; index < 8; index++) await clone.write(block(index + 1), index * SECTOR);
    monitor.protect();
    const old = new Uint8Array(SECTOR);
    await clone.readInto(old, 2 * SECTOR);
    await save.write(old, 5 * SECTOR);
    if (flushes) await save.flush();
    await (async () => clone.write(block(99), 2 * SECTOR))().catch(() => undefined);
    expect(monitor.seen).toBe(1);
    return world;
  }

  test('is content when the old block is durable first', async () => {
    expect((await overwrite(true)).violations).toEqual([]);
  });

  test('names the write that came too early', async () => {
    const world = await overwrite(false);
    expect(world.violations).toHaveLength(1);
    expect(world.violations[0]).toContain('I3: block 2 of clone');
  });
});

describe('failing', () => {
  test('fails the n-th call of a kind, once or from then on', async () => {
    const { device } = disk();
    const { device: bad, calls, fail, heal } = failing(device);
    fail({ call: 'write', nth: 2 });
    await bad.write(block(1), 0);
    expect(() => bad.write(block(2), 0)).toThrow('injected: write 2');
    await bad.write(block(3), 0);
    fail({ call: 'write', nth: 1, repeat: 'from-then-on', code: 'ERR_NO_SPACE' });
    for (const _ of [1, 2, 3]) {
      expect(() => bad.write(block(4), 0)).toThrow(
        expect.objectContaining({ code: 'ERR_NO_SPACE' }),
      );
    }
    heal();
    await bad.write(block(5), 0);
    expect(calls.write).toBe(7);
    expect(await firsts(device)).toEqual([5, 0, 0, 0]);
  });

  test('does half or all of the work first when told to', async () => {
    const { device } = disk();
    const { device: bad, fail } = failing(device);
    fail({ call: 'write', nth: 1, does: 'half' });
    fail({ call: 'write', nth: 2, does: 'all' });
    expect(() => bad.write(block(1, 4), 0)).toThrow('injected');
    expect(await firsts(device)).toEqual([1, 1, 0, 0]);
    expect(() => bad.write(block(2, 4), 0)).toThrow('injected');
    expect(await firsts(device)).toEqual([2, 2, 2, 2]);
  });

  test('damages reads, and heals', async () => {
    const { device } = disk();
    await device.write(Uint8Array.from([...block(1), ...block(2), ...block(3), ...block(4)]), 0);
    const { device: bad, flip, misdirect, overlay, unreadable, heal } = failing(device);
    flip(0, 7);
    misdirect(SECTOR, 3 * SECTOR);
    overlay(2 * SECTOR, block(77));
    expect(await firsts(bad)).toEqual([129, 4, 77, 4]);
    unreadable(3 * SECTOR);
    await expect(firsts(bad)).rejects.toThrow('cannot be read');
    heal();
    expect(await firsts(bad)).toEqual([1, 2, 3, 4]);
  });
});

test('a short history gives thousands of images, most of them distinct', async () => {
  const { world, device } = disk(512);
  const random = createRandom(1);
  for (let step = 0; step < 200; step++) {
    await device.write(random.fill(block(0, 4)), random.below(128) * 4 * SECTOR);
    if (step % 8 === 7) await device.flush();
  }
  const seen = new Set<number>();
  let built = 0;
  for (let point = 0; point <= world.point; point++) {
    for (const policy of world.policies(point)) {
      seen.add(world.crash(point, policy).hash);
      built++;
    }
  }
  expect(built).toBeGreaterThan(3000);
  expect(seen.size).toBeGreaterThan(1500);
});

/** A source that always draws the largest number, so that every delay is the longest. */
function always(value: number) {
  return { ...createRandom(0), below: () => value };
}
