/** Sectors of a device with larger blocks: the conformance suite, and IS1 with a device that takes its time. */
import { type BlockDevice, createMemoryDevice } from '@palimpsest/block-device';
import {
  blockDeviceCases,
  createRandom,
  type DeviceFixture,
  jitter,
} from '@palimpsest/block-device/testing';
import { describe, expect, test } from 'vitest';
import { inSectors } from '../src/in-sectors.js';

const beneath = new WeakMap<BlockDevice, BlockDevice>();

const fixture: DeviceFixture = {
  async create() {
    const device = createMemoryDevice({ blockSize: 4096, size: 64 << 10 });
    const sectors = inSectors(device);
    beneath.set(sectors, device);
    return sectors;
  },
  async reopen(sectors) {
    const device = beneath.get(sectors) as BlockDevice;
    await sectors.close();
    const again = inSectors(device);
    beneath.set(again, device);
    return again;
  },
};

describe('a device with blocks of 4 KiB, in sectors', () => {
  for (const { name, run, skip } of blockDeviceCases) {
    const reason = skip?.(fixture);
    test.skipIf(reason !== undefined)(reason ? `${name} (${reason})` : name, () => run(fixture));
  }

  test('IS1: eight writes to one block at once are all in it', async () => {
    const device = createMemoryDevice({ blockSize: 4096, size: 8192 });
    const sectors = inSectors(jitter(device, { random: createRandom(1) }));
    const writes = Array.from({ length: 8 }, (_, at) =>
      sectors.write(new Uint8Array(512).fill(at + 1), at * 512),
    );
    await Promise.all(writes);
    const seen = new Uint8Array(8192);
    await sectors.readInto(seen, 0);
    expect([...new Set(seen)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 0]);
    expect(seen.lastIndexOf(8)).toBe(4095);
  });
});
