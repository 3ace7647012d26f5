/**
 * Measures the two ways to the page cache that a file device chooses from: 4 KiB at random, from
 * a file of 64 MiB that is in the cache. `pool` is a clock on which every call is slow. Not
 * measured: a cold cache, or a disk that is really slow. Run it with
 *
 *   npx tsx --conditions=@palimpsest/source test/measure.ts
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { createRandom } from '@palimpsest/block-device/testing';
import { systemCalls } from '../src/file-calls.js';
import { openWith } from '../src/file-device.js';

const SIZE = 64 << 20;
const CALLS = 200_000;
const DEPTH = 64;
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'palimpsest-measure-'));
const file = path.join(folder, 'disk.img');
fs.writeFileSync(file, new Uint8Array(SIZE).fill(1));

let slow = 0;
const clocks = {
  sync: systemCalls.now,
  pool: () => {
    slow += 5;
    return slow;
  },
};
for (const [way, now] of Object.entries(clocks)) {
  for (const call of ['readInto', 'write'] as const) {
    await using device = await openWith({ calls: { ...systemCalls, now } }, file, {});
    const random = createRandom(1);
    const started = performance.now();
    let left = CALLS;
    const worker = async (): Promise<void> => {
      const block = new Uint8Array(4096);
      while (left-- > 0) {
        const done = device[call](block, random.below(SIZE / 4096) * 4096);
        if (done !== undefined) await done;
      }
    };
    await Promise.all(Array.from({ length: DEPTH }, worker));
    const rate = Math.round(CALLS / ((performance.now() - started) / 1000));
    console.log(`${way} ${call} 4 KiB, depth ${DEPTH}: ${rate} calls a second`);
  }
}
fs.rmSync(folder, { recursive: true });
