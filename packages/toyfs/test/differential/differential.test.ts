/**
 * Goal: the API answers, refuses and changes what Node's own does on Linux, to the letter.
 * Method: the same calls on node:fs/promises in a temporary directory and on ours, in directories with
 * the same things in them; results, errors with all their fields, and what is left must be equal. Of
 * some six thousand cases a share that SEED chooses is run; TOYFS_ALL=1 runs them all.
 */
import { createMemoryDevice } from '@palimpsest/block-device';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { format, openFileSystem, type Vfs } from '../../src/index.js';
import { MemoryVfs } from '../../src/testing/index.js';
import { handleCases } from './handle-cases.js';
import { pairCases, pathCases } from './path-cases.js';
import { differences, openWorlds, some, type Worlds } from './world.js';

const SYSTEMS: Record<string, () => Promise<Vfs>> = {
  'the model in memory': async () => new MemoryVfs(),
  'toyfs on a device': async () => {
    const device = createMemoryDevice({ size: 64 << 20 });
    await format(device);
    return openFileSystem(device);
  },
};

describe.skipIf(process.platform !== 'linux').each(Object.entries(SYSTEMS))('%s', (_, open) => {
  let worlds: Worlds;

  beforeAll(async () => {
    worlds = await openWorlds(await open());
  });

  afterAll(() => worlds.end());

  test('every function on every kind of path', async () => {
    expect(await differences(worlds, some(pathCases, 0.06))).toEqual([]);
  });

  test('open files, options and wrong arguments', async () => {
    expect(await differences(worlds, handleCases)).toEqual([]);
  });

  test('functions of two paths on pairs', async () => {
    expect(await differences(worlds, some(pairCases, 0.02))).toEqual([]);
  });
});
