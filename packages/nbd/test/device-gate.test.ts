/**
 * Goal: G1-G3. Method: a device that yields at random moments, seeded; clients that write parts of
 * the same blocks at once, each its own bytes; afterwards every byte must be its writer's.
 */
import { createMemoryDevice } from '@palimpsest/block-device';
import { describe, expect, test } from 'vitest';
import { gateOf } from '../src/device-gate.js';
import { TestClient } from './client.js';
import { latch, serveMemory, settle, slowDevice } from './fixture.js';

/** Small pseudo-random numbers from a seed (mulberry32). */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** Done at once one time in three, else after one to three turns. */
function jittery(seed: number): () => Promise<void> | undefined {
  const next = random(seed);
  return () => {
    const turns = next(4);
    return turns === 0 ? undefined : settle(turns);
  };
}

test.each([1, 2, 3, 4, 5, 6, 7, 8])(
  'G1 writers of parts of the same blocks, over four connections, lose nothing (seed %i)',
  async (seed) => {
    const size = 16 * 4096;
    const device = slowDevice(size, jittery(seed));
    const { server } = serveMemory({ device });
    const clients = [0, 1, 2, 3].map(() => new TestClient(server));
    for (const client of clients) await client.connect('', { structured: seed % 2 === 0 });
    const next = random(seed * 1000);
    const shadow = Buffer.alloc(size);
    for (let round = 0; round < 12; round += 1) {
      const answers = [];
      // Disjoint ranges that share blocks: each gets its own bytes, all at once.
      for (let position = next(3000); position < size; ) {
        const length = Math.min(1 + next(6000), size - position);
        const value = 1 + next(250);
        const client = clients[next(4)] as TestClient;
        if (next(5) === 0) {
          shadow.fill(0, position, position + length);
          answers.push(client.request({ type: 6, offset: position, length }));
        } else {
          shadow.fill(value, position, position + length);
          answers.push(client.request({ type: 1, offset: position }, Buffer.alloc(length, value)));
        }
        position += length;
      }
      for (const answer of answers) expect((await answer).error).toBe(0);
      const bytes = Buffer.alloc(size);
      await device.readInto(bytes, 0);
      expect(bytes.equals(shadow)).toBe(true);
    }
    await server.close();
  },
);

describe('the gate', () => {
  test('is one for a device, whoever asks', () => {
    const device = createMemoryDevice({ size: 4096 });
    expect(gateOf(device)).toBe(gateOf(device));
    expect(gateOf(device)).not.toBe(gateOf(createMemoryDevice({ size: 4096 })));
  });

  test('G1 a whole-block write waits for a merge of its block, not for others', async () => {
    const opened = latch();
    const device = slowDevice(8192, () => undefined, {
      readInto: () => opened.opened,
    });
    const gate = gateOf(device);
    const merge = gate.write(new Uint8Array(100), 50);
    const same = gate.write(new Uint8Array(4096), 0);
    await gate.write(new Uint8Array(4096), 4096);
    await settle();
    expect(device.calls).toEqual(['write 4096 4096']);
    opened.open();
    await Promise.all([merge, same]);
    expect(device.calls).toEqual(['write 4096 4096', 'write 0 4096', 'write 0 4096']);
  });

  test('G1 a merge waits for a whole-block write under way, and sees what it wrote', async () => {
    const opened = latch();
    const memory = createMemoryDevice({ size: 4096 });
    let first = true;
    const device = slowDevice(4096, () => undefined, {
      readInto: (target, position) => memory.readInto(target, position),
      write(source, position) {
        const wait = first ? opened.opened : Promise.resolve();
        first = false;
        return wait.then(() => memory.write(source, position));
      },
    });
    const gate = gateOf(device);
    const whole = gate.write(new Uint8Array(4096).fill(7), 0);
    const part = gate.write(new Uint8Array(10).fill(9), 100);
    await settle();
    opened.open();
    await Promise.all([whole, part]);
    const bytes = new Uint8Array(4096);
    await memory.readInto(bytes, 0);
    expect([bytes[99], bytes[100], bytes[109], bytes[110]]).toEqual([7, 9, 9, 7]);
  });

  test('a failed merge frees its block', async () => {
    let failing = true;
    const device = slowDevice(4096, () => undefined, {
      readInto: () => (failing ? Promise.reject(new Error('once')) : undefined),
    });
    const gate = gateOf(device);
    const merge = gate.write(new Uint8Array(10), 1);
    const whole = gate.write(new Uint8Array(4096), 0);
    await expect(merge).rejects.toThrow('once');
    await whole;
    failing = false;
    expect(gate.write(new Uint8Array(10), 1)).toBeUndefined();
  });

  test('G3 flushes asked for during a flush share the next, and an error goes to its own', async () => {
    const gates = [latch(), latch(), latch()];
    let flushes = 0;
    const device = slowDevice(4096, () => undefined, {
      flush() {
        const gate = gates[flushes];
        flushes += 1;
        return gate?.opened ?? Promise.resolve();
      },
    });
    const gate = gateOf(device);
    const first = gate.flush();
    const others = [gate.flush(), gate.flush(), gate.flush()];
    let early = 0;
    for (const other of others) void other?.then(() => (early += 1));
    await settle();
    expect(flushes).toBe(1);
    gates[0]?.open();
    await first;
    await settle();
    expect([flushes, early]).toEqual([2, 0]);
    gates[1]?.open();
    await Promise.all(others);
    expect(flushes).toBe(2);
    gates[2]?.open();
    await gate.flush();
    expect(flushes).toBe(3);
  });
});
