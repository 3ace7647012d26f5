/**
 * Goal: whatever the history, the file system holds what the model holds, and e2fsck agrees that it
 * is one.
 * Method: random operations on both, compared every few steps, with small caches, delays in the
 * device, syncs, freezes and reopening in between.
 */
import { createMemoryDevice } from '@palimpsest/block-device';
import { createRandom, jitter } from '@palimpsest/block-device/testing';
import { afterAll, expect, test } from 'vitest';
import { check, format, openFileSystem } from '../src/index.js';
import { done, isOurs } from './support/floors.js';
import { contentsOf, EMPTY, type State, shapeOf, step } from './support/history.js';
import { complaints, hasTools } from './support/tools.js';

const HISTORIES = Number(process.env.TOYFS_HISTORIES ?? 6);
let histories = 0;

async function compare(
  fs: Awaited<ReturnType<typeof openFileSystem>>,
  state: State,
): Promise<void> {
  const { shape, files } = await contentsOf(fs);
  expect(shape).toBe(shapeOf(state));
  for (const [path, bytes] of files) {
    const node = state.nodes.get(state.names.get(path) as number);
    if (node?.kind !== 'file' || !node.bytes.equals(bytes)) throw new Error(`${path} differs`);
  }
}

afterAll(() => done('histories', histories));

for (let seed = 1; seed <= HISTORIES; seed++) {
  if (!isOurs(seed)) continue;
  test(`history ${seed}`, async () => {
    const random = createRandom(`history ${seed}`);
    const memory = createMemoryDevice({ blockSize: 512, size: 8 << 20 });
    await format(memory);
    const device = seed % 3 === 0 ? jitter(memory, { random: random.fork('jitter') }) : memory;
    const options = { cacheBytes: seed % 2 === 0 ? 1 << 18 : 1 << 22, timer: undefined };
    let fs = await openFileSystem(device, options);
    let state = EMPTY;
    const done: string[] = [];
    try {
      for (let i = 0; i < 150; i++) {
        const next = await step(fs, state, random);
        state = next.state;
        done.push(next.what);
        if (random.chance(0.05)) await fs.sync();
        if (random.chance(0.02)) {
          await fs.freeze();
          await fs.thaw();
        }
        if (random.chance(0.03)) await compare(fs, state);
        if (random.chance(0.02)) {
          await fs.close();
          fs = await openFileSystem(device, options);
        }
      }
      await compare(fs, state);
      await fs.close();
      await compare(await openFileSystem(device, { readOnly: true }), state);
      expect(await check(memory)).toEqual([]);
      if (hasTools) expect(await complaints(memory)).toBe('');
      histories++;
    } catch (error) {
      throw new Error(`seed ${seed} after ${done.length}: ${done.slice(-5).join('; ')}`, {
        cause: error,
      });
    }
  });
}
