/**
 * Goal: a store answers alike whether a daemon serves it or this process opens it. Method: one list
 * of cases, run over both clients.
 */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { connectStore, openDaemonClient, type StoreClient } from '../src/client/index.js';
import { silentLogger } from '../src/logger.js';
import { type RunningServer, serveStore } from '../src/serve-store.js';
import { refusal, scratch, scratchStore } from './scratch.js';

const SIZE = 1 << 20;
const open: AsyncDisposable[] = [];

afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each[Symbol.asyncDispose]();
});

async function connect(mode: 'direct' | 'daemon', directory: string): Promise<StoreClient> {
  if (mode === 'daemon') {
    const server: RunningServer = await serveStore({ dir: directory });
    open.push(server);
  }
  const client = await connectStore(directory, silentLogger, { waitMs: 0 });
  open.push(client);
  expect(client.mode).toBe(mode);
  return client;
}

describe.each(['direct', 'daemon'] as const)('%s', (mode) => {
  test('volumes, snapshots and branches are made, listed and removed', async () => {
    const directory = await scratchStore();
    const client = await connect(mode, directory);
    const volume = await client.createVolume({ name: 'prod', size: SIZE });
    expect(volume).toMatchObject({
      reference: 'prod',
      size: SIZE,
      origin: 'created',
      path: path.join(directory, 'volumes/prod.img'),
      state: 'available',
    });
    const snapshot = await client.createSnapshot({
      volume: 'prod',
      name: 'monday',
      message: 'line one\nline two, with "quotes" and ünïcode',
    });
    expect(await client.listSnapshots('prod')).toEqual([snapshot]);
    const branch = await client.createBranch({ name: 'dev', from: 'prod@latest' });
    expect(branch).toMatchObject({ reference: 'prod/dev', base: 'prod@monday' });
    expect(await client.listBranches()).toEqual([branch]);
    expect((await client.listExports()).map((each) => each.name)).toEqual([
      'prod',
      'prod@monday',
      'prod/dev',
    ]);
    expect(await client.status()).toMatchObject({ volumes: 1, snapshots: 1, branches: 1 });
    expect(await client.listClients()).toEqual([]);

    expect((await refusal(() => client.deleteSnapshot('prod@monday'))).code).toBe('ERR_IN_USE');
    expect(await client.deleteBranch('prod/dev', { dryRun: true })).toEqual({
      removed: ['prod/dev'],
      dryRun: true,
    });
    expect(await client.deleteBranch('prod/dev', { now: true })).toEqual({
      removed: ['prod/dev'],
      dryRun: false,
    });
    await client.createBranch({ name: 'prod/qa', from: 'prod@0s' });
    const phases = new Set<string>();
    const removal = await client.releaseVolume('prod', {
      dropSnapshots: true,
      onProgress: ({ phase }) => phases.add(phase),
    });
    expect(removal.removed).toEqual(['prod/qa', 'prod@monday', 'prod']);
    expect(phases.size).toBe(2);
    expect(await client.listVolumes()).toEqual([]);
  });

  test('space taken at creation reports its progress', async () => {
    const client = await connect(mode, await scratchStore());
    const seen: number[] = [];
    await client.createVolume({
      name: 'v',
      size: 2 * SIZE,
      allocate: true,
      onProgress: ({ done }) => seen.push(done),
    });
    expect(seen.at(-1)).toBe(2 * SIZE);
  });

  test('an image is adopted where it is', async () => {
    const image = path.join(await scratch(), 'disk.img');
    await writeFile(image, new Uint8Array(SIZE).fill(7));
    const client = await connect(mode, await scratchStore());
    expect(await client.adoptVolume({ name: 'prod', path: image })).toMatchObject({
      path: image,
      origin: 'adopted',
    });
    expect((await refusal(() => client.adoptVolume({ name: 'two', path: image }))).code).toBe(
      'ERR_EXISTS',
    );
  });

  test.each<[string, string, (client: StoreClient) => Promise<unknown>]>([
    ['a slash', 'ERR_INVALID', (c) => c.createVolume({ name: 'a/b', size: SIZE })],
    ['dots', 'ERR_INVALID', (c) => c.createVolume({ name: '..', size: SIZE })],
    ['a control character', 'ERR_INVALID', (c) => c.createVolume({ name: 'a\u001bb', size: SIZE })],
    ['no whole blocks', 'ERR_INVALID', (c) => c.createVolume({ name: 'v', size: 1000 })],
    ['a taken name', 'ERR_EXISTS', (c) => c.createVolume({ name: 'prod', size: SIZE })],
    ['a reserved name', 'ERR_INVALID', (c) => c.createSnapshot({ volume: 'prod', name: '2h' })],
    ['an unknown volume', 'ERR_NOT_FOUND', (c) => c.createSnapshot({ volume: 'nope' })],
    ['a branch of no volume', 'ERR_NOT_FOUND', (c) => c.createSnapshot({ volume: 'no/pe' })],
    ['a volume of dots', 'ERR_INVALID', (c) => c.releaseVolume('..')],
    ['no volume', 'ERR_INVALID', (c) => c.releaseVolume('')],
    ['an unknown snapshot', 'ERR_NOT_FOUND', (c) => c.deleteSnapshot('prod@nope')],
    ['a volume as a snapshot', 'ERR_INVALID', (c) => c.deleteSnapshot('prod')],
    ['a branch as a snapshot', 'ERR_INVALID', (c) => c.deleteSnapshot('prod/dev')],
    ['an unknown branch', 'ERR_NOT_FOUND', (c) => c.deleteBranch('prod/nope')],
    ['an unknown base', 'ERR_NOT_FOUND', (c) => c.createBranch({ name: 'b', from: 'prod@nope' })],
    ['a missing image', 'ERR_NOT_FOUND', (c) => c.adoptVolume({ name: 'x', path: '/nope.img' })],
    ['a directory as an image', 'ERR_INVALID', (c) => c.adoptVolume({ name: 'x', path: '/' })],
    ['lists of an unknown volume', 'ERR_NOT_FOUND', (c) => c.listBranches('nope')],
  ])('%s is refused with %s, and nothing changes', async (_what, code, work) => {
    const client = await connect(mode, await scratchStore());
    await client.createVolume({ name: 'prod', size: SIZE });
    const before = JSON.stringify(await client.listExports());
    const refused = await refusal(() => work(client));
    expect(refused.code).toBe(code);
    expect(refused.message).not.toMatch(/\p{Cc}/u);
    expect(JSON.stringify(await client.listExports())).toBe(before);
  });
});

test('without a daemon there is no daemon client', async () => {
  expect(await openDaemonClient(await scratchStore())).toBeUndefined();
  expect(await openDaemonClient('/nowhere/at/all')).toBeUndefined();
});

test('a store that another process keeps open is refused, and waited for when it ends', async () => {
  const directory = await scratchStore();
  const first = await connectStore(directory, silentLogger);
  const refused = await refusal(() => connectStore(directory, silentLogger, { waitMs: 0 }));
  expect(refused.code).toBe('ERR_BUSY');
  const second = connectStore(directory, silentLogger);
  await first.close();
  await (await second).close();
});
