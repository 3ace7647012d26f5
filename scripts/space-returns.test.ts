/**
 * Goal: what a deletion gives back is given back to the file system: `du` of the save volume's file goes
 * down, by itself and by `shrink`. Method: a real file; where the system cannot punch holes the test
 * says so and looks at what `shrink` cuts off alone.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openFileDevice } from '../packages/block-device-file/src/index.js';
import { formatSaveVolume, openSaveVolume } from '../packages/save-volume/src/index.js';

const MIB = 1 << 20;
const BLOCKS = 8192;

test('du of the save volume goes down when blocks are given back', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'palimpsest-space-'));
  try {
    const path = join(dir, 'save.pal');
    const device = await openFileDevice(path, { create: { size: 64 * MIB } });
    await formatSaveVolume(device);
    const save = await openSaveVolume(device, { growBytes: 4 * MIB });
    const object = new TextEncoder().encode('{"type":"volume"}');
    await save.transact((batch) => batch.object(1, object));
    for (let from = 0; from < BLOCKS; from += 1024) {
      await save.transact((batch) => {
        for (let block = from; block < from + 1024; block += 1) {
          batch.put(1, block, 1, new Uint8Array(4096).fill(1 + (block % 255)));
        }
      });
    }
    await save.checkpoint();
    const used = () => (statSync(path).blocks * 512) / MIB;
    const full = used();
    expect(full).toBeGreaterThan(32);
    for (let from = 64; from < BLOCKS; from += 1024) {
      const to = Math.min(BLOCKS, from + 1024);
      await save.transact(
        async (batch) => {
          for (let block = from; block < to; block += 1) {
            batch.remove(1, block, 1);
            batch.free((await save.find(1, block, 1))?.address as number);
          }
        },
        { givesBack: true },
      );
    }
    const { removedBytes } = await save.shrink();
    expect(removedBytes).toBeGreaterThan(8 * MIB);
    if (save.metrics().discardedBytes > 0 && used() > full - 16) {
      process.stderr.write(
        'SKIPPED: holes cannot be punched here (no fallocate, or the file system)\n',
      );
    } else expect(used()).toBeLessThan(full - 24);
    expect((await save.verify({ data: true })).problems).toEqual([]);
    await save.close();
    await device.close();
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
