/**
 * Many branches, through the store as the daemon has it: by name, with exports open. Real files; what
 * is measured is our work, memory and space, so flushes are not waited for.
 */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createNodeEnvironment, silentLogger } from '../../apps/server/dist/environment.js';
import { createStore, openStore } from '../../packages/control/dist/index.js';
import { budgetOf, curveOf, spread } from '../lib/findings.mjs';
import { inTurns, latencies, percentile } from './measure.mjs';

const SECTION = 'Many branches, by name';
const MEMORY = 'idle branch: memory';
const SPACE = 'idle branch: space in the save volume';
const OPEN_AT_ONCE = 'branches open at once';
const CREATE = 'branch create, by name';
const SNAPSHOT = 'snapshot create, by name';
const REFRESH = 'branch refresh, by name';
const OPEN = 'export open, by name';

/** @type {readonly import('./rows.mjs').Row[]} */
export const MANY = [
  { finds: [MEMORY, SPACE, OPEN_AT_ONCE], run: idle },
  { finds: [CREATE, SNAPSHOT, REFRESH, OPEN], run: byName },
];

/** A store with a volume and that many branches of one snapshot of it; `use` it, and it is gone. */
async function withBranches(count, use) {
  const directory = await mkdtemp(join(tmpdir(), 'palimpsest-many-'));
  const environment = unflushed(createNodeEnvironment(silentLogger));
  await createStore(directory, {}, environment);
  const store = await openStore(directory, environment);
  await store.createVolume({ name: 'prod', size: 64 << 20 });
  await store.createSnapshot({ volume: 'prod', name: 'base' });
  const before = store.status().space.usedBytes;
  for (let index = 0; index < count; index += 1) {
    await store.createBranch({ name: `b${index}`, from: 'prod@base' });
  }
  const remove = () => rm(directory, { recursive: true, force: true });
  return use({ store, before, directory, environment, remove });
}

function unflushed(environment) {
  const quick = (device) =>
    new Proxy(device, {
      get(target, name) {
        if (name === 'flush') return () => undefined;
        const value = Reflect.get(target, name, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  const { files } = environment;
  return {
    ...environment,
    files: {
      ...files,
      create: async (...rest) => quick(await files.create(...rest)),
      open: async (...rest) => quick(await files.open(...rest)),
    },
  };
}

const rssBytes = () =>
  1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);

function idle({ quick, say }) {
  const count = quick ? 2000 : 10_000;
  return withBranches(count, async ({ store: first, before, directory, environment, remove }) => {
    await first.close(); // and with it, everything is in its place on disk
    const store = await openStore(directory, environment);
    const onDisk = (store.status().space.usedBytes - before) / count;
    const names = store.listBranches().map(({ reference }) => reference);
    global.gc();
    const [rss, { heapUsed, external }] = [rssBytes(), process.memoryUsage()];
    const shares = [];
    for (const name of names) shares.push(await store.openExport(name));
    global.gc();
    const now = process.memoryUsage();
    const open = store.status().openExports;
    const resident = (rssBytes() - rss) / count;
    const inHeap = (now.heapUsed + now.external - heapUsed - external) / count;
    // Memory that was free in the heap already does not show in what is resident.
    const inMemory = Math.max(resident, inHeap);
    say(`${open} open: ${inMemory.toFixed(0)} bytes each in memory, ${onDisk.toFixed(0)} on disk`);
    for (const share of shares) await share.release();
    await store.close();
    await remove();
    const kib = (bytes) => spread([bytes / 1024]);
    return [
      {
        section: SECTION,
        what: MEMORY,
        ratio: kib(inMemory),
        ...budgetOf(kib(inMemory), { atMost: 64 }),
        ours: `${(inMemory / 1024).toFixed(1)} KiB`,
        note: 'what opening it as an export adds to the heap, or to resident memory if that is more; KiB',
      },
      {
        section: SECTION,
        what: SPACE,
        ratio: kib(onDisk),
        ...budgetOf(kib(onDisk), { atMost: 16 }),
        ours: `${onDisk.toFixed(0)} bytes`,
        note: 'what the save volume uses more for each after it was closed, KiB; unused, but with its name and its line in the log',
      },
      {
        section: SECTION,
        what: OPEN_AT_ONCE,
        ratio: spread([open]),
        ...budgetOf(spread([open]), { atLeast: count }),
        ours: `${open} exports`,
      },
    ];
  });
}

async function byName({ quick, say }) {
  const counts = [10, 100, 1000, ...(quick ? [] : [10_000])];
  const made = new Map();
  for (const count of counts) {
    made.set(count, await withBranches(count, (all) => Promise.resolve(all)));
  }
  let names = 0;
  const found = await inTurns(counts, quick ? 3 : 5, async (count) => {
    const { store } = made.get(count);
    const typical = async (work) => percentile(await latencies(10, work), 0.5);
    const mine = [];
    const answer = {
      [CREATE]: await typical(async () => {
        names += 1;
        mine.push((await store.createBranch({ name: `x${names}`, from: 'prod@base' })).reference);
      }),
    };
    answer[SNAPSHOT] = await typical(() => store.createSnapshot({ volume: 'prod' }));
    answer[REFRESH] = await typical((index) =>
      store.refreshBranch({ branch: mine[index], from: 'prod@latest' }),
    );
    const shares = [];
    answer[OPEN] = await typical(async (index) => {
      shares.push(await store.openExport(mine[index]));
    });
    for (const share of shares) await share.release();
    // As many as before: gone for good, with the states that were kept.
    if (count < 1000) {
      for (const branch of mine) {
        await store.deleteBranch(branch, { recursive: true, now: true });
      }
    }
    return answer;
  });
  for (const { store, remove } of made.values()) {
    await store.close();
    await remove();
  }
  return [CREATE, SNAPSHOT, REFRESH, OPEN].map((what) => {
    const points = counts.map((at, n) => ({ at, value: found[n][what].min }));
    say(`${what}: ${points.map(({ at, value }) => `${at}: ${value.toFixed(0)}`).join(', ')} µs`);
    return curveOf({
      section: SECTION,
      what,
      axis: 'branches',
      unit: 'µs (p50)',
      points,
      worst: 'logarithmic',
    });
  });
}
