/**
 * Goal: pal diff, space, export and import say and do the same with a daemon and without one, and an
 * import that is broken off goes on. Method: one session, run in both ways.
 */
import path from 'node:path';
import { openStore } from '@palimpsest/control';
import {
  createNodeEnvironment,
  type RunningServer,
  serveStore,
  silentLogger,
} from '@palimpsest/server';
import { afterEach, describe, expect, test } from 'vitest';
import { type Outcome, palIn, type Setting, scratch } from './fake-terminal.js';

const BLOCK = 4096;
const servers: RunningServer[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

/** A store with a volume of which there are snapshots a and b, one block of 64 apart. */
async function sourceStore(folder: string): Promise<void> {
  const pal = palIn({ cwd: folder });
  expect(await pal('init')).toMatchObject({ code: 0 });
  const environment = createNodeEnvironment(silentLogger);
  await using store = await openStore(path.join(folder, 'palimpsest-store'), environment);
  await store.createVolume({ name: 'prod', size: 64 * BLOCK });
  const write = async (block: number, count: number, fill: number): Promise<void> => {
    const opened = await store.openExport('prod');
    await opened.device.write(new Uint8Array(count * BLOCK).fill(fill), block * BLOCK);
    await opened.release();
  };
  await write(0, 20, 1);
  await store.createSnapshot({ volume: 'prod', name: 'a', message: 'first' });
  await write(7, 1, 2);
  await store.createSnapshot({ volume: 'prod', name: 'b' });
}

describe.each(['direct', 'daemon'] as const)('%s', (mode) => {
  async function start(): Promise<
    (setting: Partial<Setting>, ...args: string[]) => Promise<Outcome>
  > {
    const folder = await scratch();
    await sourceStore(folder);
    expect(await palIn({ cwd: folder })('init', 'other')).toMatchObject({ code: 0 });
    if (mode === 'daemon') {
      for (const name of ['palimpsest-store', 'other']) {
        servers.push(await serveStore({ dir: path.join(folder, name) }));
      }
    }
    return (setting, ...args) => palIn({ ...setting, cwd: folder })(...args);
  }

  test('the difference and the space', async () => {
    const run = await start();
    const pal = (...args: string[]) => run({}, ...args);
    expect(await pal('diff', 'prod@a', 'prod@b')).toEqual({
      code: 0,
      out: `${7 * BLOCK} ${BLOCK}\n`,
      err: '4 KiB in 1 range may differ\n',
    });
    const json = await pal('diff', 'prod@b', 'prod@a', '--json');
    expect(JSON.parse(json.out)).toMatchObject({
      kind: 'Difference',
      items: [{ position: 7 * BLOCK, length: BLOCK }],
      bytes: BLOCK,
    });
    expect(JSON.parse((await pal('diff', 'prod', 'prod@b', '--json')).out).items).toEqual([]);
    expect(await pal('diff', 'prod', 'prod@z')).toMatchObject({ code: 3, out: '' });
    const space = await pal('space');
    expect(space.out).toMatch(/^REFERENCE +SIZE +SHARED +EXCLUSIVE/);
    expect(space.out).toMatch(/prod@a +256 KiB +0 bytes +4 KiB/);
    expect(space.err).toMatch(/of the save volume used/);
    expect(await pal('space', '--delete', 'prod@a', 'prod@b')).toMatchObject({
      code: 0,
      out: `${BLOCK}\n`,
    });
  });

  test('an export is imported elsewhere, and a broken import goes on', async () => {
    const run = await start();
    const exported = async (...args: string[]): Promise<Uint8Array> => {
      const bytes: Uint8Array[] = [];
      expect(await run({ bytes }, 'export', ...args)).toMatchObject({ code: 0, out: '' });
      return Uint8Array.from(Buffer.concat(bytes));
    };
    const imported = (bytes: Uint8Array, ...args: string[]): Promise<Outcome> => {
      async function* input(): AsyncGenerator<Uint8Array> {
        for (let at = 0; at < bytes.length; at += 10_000) yield bytes.slice(at, at + 10_000);
      }
      return run({ input }, 'import', '--store', 'other', ...args);
    };
    const full = await exported('prod@a');
    const step = await exported('prod@b', '--from', 'prod@a');
    expect(step.length).toBeLessThan(2 * BLOCK);
    expect(await imported(step, '--to', 'copy')).toMatchObject({ code: 3 });
    // The line breaks: nothing is to be seen but that.
    const broken = await imported(full.subarray(0, full.length - 5000), '--to', 'copy');
    expect(broken.code).toBe(7);
    expect(broken.err).toContain('it was cut off');
    const list = await run({}, 'snapshot', 'list', '-q', '--store', 'other');
    expect(list).toMatchObject({ code: 0, out: '' });
    const unfinished = await run({}, 'import', '--unfinished', '--store', 'other');
    expect(unfinished.out).toMatch(/copy +a +0 /);
    expect(await imported(full, '--to', 'copy')).toMatchObject({ code: 0, out: 'copy@a\n' });
    expect(await imported(step, '--to', 'copy')).toMatchObject({ code: 0, out: 'copy@b\n' });
    const again = await imported(step, '--to', 'copy');
    expect(again).toMatchObject({ code: 4, out: '' });
    expect(again.err).toContain('what the stream makes is there already: copy@b');
    // The copy says the same as the original, whoever exports it.
    const back: Uint8Array[] = [];
    const how = ['--from', 'copy@a', '--store', 'other'];
    await run({ bytes: back }, 'export', 'copy@b', ...how);
    expect(Uint8Array.from(Buffer.concat(back))).toEqual(step);
  });
});
