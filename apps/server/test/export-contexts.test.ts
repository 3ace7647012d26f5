/**
 * Goal: real clients see what changed since a snapshot, and in which layer blocks lie.
 * Method: nbdinfo asks the daemon; skipped, loudly, where it is not installed.
 */
import { execFile, execFileSync } from 'node:child_process';
import { afterEach, expect, test } from 'vitest';
import { type RunningServer, serveStore } from '../src/serve-store.js';
import { scratchStore } from './scratch.js';

const BLOCK = 4096;
const SIZE = 64 * BLOCK;

function isInstalled(): boolean {
  try {
    execFileSync('nbdinfo', ['--version'], { stdio: 'ignore' });
    return true;
  } catch (error) {
    if (process.env.CI === 'true') throw error;
    return false;
  }
}

const open: RunningServer[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) await server.close();
});

/** What nbdinfo tells of a context: runs of `[first block, blocks, flags]`. */
async function mapOf(server: RunningServer, name: string, context: string): Promise<number[][]> {
  const uri = `nbd+unix:///${name}?socket=${server.addresses.nbdSocket}`;
  const told = await new Promise<string>((resolve, reject) => {
    execFile('nbdinfo', ['--json', `--map=${context}`, uri], (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(stderr));
    });
  });
  const runs = JSON.parse(told) as { offset: number; length: number; type: number }[];
  return runs.map(({ offset, length, type }) => [offset / BLOCK, length / BLOCK, type]);
}

test.skipIf(!isInstalled())(
  'nbdinfo maps changes since snapshots and the depth of a branch (needs nbdinfo)',
  async () => {
    const server = await serveStore({ dir: await scratchStore() });
    open.push(server);
    const { store } = server;
    const write = async (reference: string, block: number, count = 1): Promise<void> => {
      const { device, release } = await store.openExport(reference);
      await device.write(new Uint8Array(count * BLOCK).fill(block + 1), block * BLOCK);
      await release();
    };
    await store.createVolume({ name: 'prod', size: SIZE });
    await store.createSnapshot({ volume: 'prod', name: 'a' });
    await write('prod', 10, 2);
    await store.createSnapshot({ volume: 'prod', name: 'b' });
    await write('prod', 63);
    await store.createBranch({ name: 'dev', from: 'prod@a' });
    await write('prod/dev', 20, 3);
    await store.createSnapshot({ volume: 'prod/dev', name: 's' });
    await store.createBranch({ name: 'deep', from: 'prod/dev@s' });
    await write('prod/deep', 0);

    expect(await mapOf(server, 'prod', 'qemu:dirty-bitmap:prod@b')).toEqual([
      [0, 63, 0],
      [63, 1, 1],
    ]);
    expect(await mapOf(server, 'prod', 'qemu:dirty-bitmap:prod@a')).toEqual([
      [0, 10, 0],
      [10, 2, 1],
      [12, 51, 0],
      [63, 1, 1],
    ]);
    expect(await mapOf(server, 'prod/deep', 'qemu:dirty-bitmap:prod/dev@s')).toEqual([
      [0, 1, 1],
      [1, 63, 0],
    ]);
    expect(await mapOf(server, 'prod/deep', 'qemu:allocation-depth')).toEqual([
      [0, 1, 1],
      [1, 19, 3],
      [20, 3, 2],
      [23, 41, 3],
    ]);
  },
);
