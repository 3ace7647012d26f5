/**
 * What requests allocate, and what they leave behind: bytes of garbage a request, and the heap after
 * ten times as many. The young generation is made so large that no collection comes between.
 */
import { fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createNodeEnvironment, silentLogger } from '../../apps/server/dist/environment.js';
import { serveStore } from '../../apps/server/dist/index.js';
import { createStore } from '../../packages/control/dist/index.js';
import { createBranch, openBranch } from '../../packages/rw-snapshot/dist/index.js';
import { budgetOf, spread } from '../lib/findings.mjs';
import { generator } from './measure.mjs';
import { BLOCK, beneath, flatDevice, makeStoreOn } from './stores.mjs';

const SECTION = 'Garbage';
const ENGINE = 'garbage in the engine';
const DAEMON = 'garbage in the daemon';
const LEFT = 'left behind';
/** Megabytes of young generation: some hundred thousand requests' worth. */
export const NODE_ARGS = ['--max-semi-space-size=256'];

/** @type {readonly import('./rows.mjs').Row[]} */
export const GARBAGE = [
  { finds: [ENGINE, `${ENGINE}: ${LEFT}`], run: engine, nodeArgs: NODE_ARGS },
  { finds: [DAEMON, `${DAEMON}: ${LEFT}`], run: daemon, nodeArgs: NODE_ARGS },
];

/** Bytes in the heap, and in array buffers beside it. */
function inUse() {
  const { heapUsed, external } = process.memoryUsage();
  return { heap: heapUsed, buffers: external, all: heapUsed + external };
}

/** What is in use when all garbage is gone. */
async function settled() {
  for (let turn = 0; turn < 3; turn += 1) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    global.gc();
  }
  return inUse();
}

/** Garbage a request, and how the memory in use grows while ten times as many are served. */
async function examine(requests, run) {
  await run(10 * requests); // until what is kept for later is as large as it gets
  const tries = [];
  for (let turn = 0; turn < 3; turn += 1) {
    const before = await settled();
    await run(requests);
    tries.push(Math.max(0, inUse().all - before.all) / requests);
  }
  const before = await settled();
  await run(10 * requests);
  const after = await settled();
  return {
    bytes: spread(tries),
    growth: after.heap / before.heap,
    buffers: (after.buffers - before.buffers) / 2 ** 20,
  };
}

function findings(what, against, { bytes, growth, buffers }, say) {
  say(
    `${what}, ${against}: ${bytes.median.toFixed(0)} bytes a request, memory × ${growth.toFixed(3)}`,
  );
  const times = spread([growth]);
  return [
    {
      section: SECTION,
      what,
      against,
      ratio: bytes,
      ours: `${bytes.median.toFixed(0)} bytes a request`,
    },
    {
      section: SECTION,
      what: `${what}: ${LEFT}`,
      against,
      ratio: times,
      ...budgetOf(times, { atMost: 1.05 }),
      ours: `× ${growth.toFixed(3)}; buffers ${buffers >= 0 ? '+' : ''}${buffers.toFixed(1)} MiB`,
      note: 'the heap, garbage collected, after ten times as many requests, against before them; buffers beside it are kept for later, up to the limits of a store',
    },
  ];
}

async function engine({ quick, say }) {
  const { volume, save } = await makeStoreOn(flatDevice(2 ** 27), flatDevice(2 ** 24));
  const { device } = volume;
  const random = generator(10);
  const positions = Array.from({ length: 4096 }, () => Math.floor(random() * 4096) * BLOCK);
  let next = 0;
  const bytes = new Uint8Array(BLOCK).fill(1);
  const blocks = 4096;
  for (let block = 0; block < blocks; block += 1) await device.write(bytes, block * BLOCK);
  const { id } = await volume.createSnapshot();
  const record = await createBranch(save, { volume: volume.id, snapshot: id });
  const branch = await openBranch(save, record.id, beneath(volume));
  const anywhere = () => {
    next = (next + 1) % blocks;
    return positions[next];
  };
  const each = (work) => async (requests) => {
    for (let request = 0; request < requests; request += 1) {
      const wait = work(request);
      if (wait !== undefined) await wait;
    }
  };
  for (let block = 0; block < blocks; block += 1) await device.write(bytes, block * BLOCK);
  await device.flush();
  const cases = {
    'production read': each(() => device.readInto(bytes, anywhere())),
    'production write': each(() => device.write(bytes, anywhere())),
    'snapshot read, of saved blocks': each(() => saved.readInto(bytes, anywhere())),
    'branch read, from its base': each(() => branch.device.readInto(bytes, anywhere())),
    'branch write, with a flush for each 1,000': each((request) => {
      const wait = branch.device.write(bytes, anywhere());
      return request % 1000 === 999
        ? Promise.resolve(wait).then(() => branch.device.flush())
        : wait;
    }),
    'first write, with a snapshot and a flush for each 1,000': async (requests) => {
      for (let from = 0; from < requests; from += 1000) {
        const { id: passing } = await volume.createSnapshot();
        for (let block = 0; block < 1000; block += 1) await device.write(bytes, block * BLOCK);
        await device.flush();
        await volume.deleteSnapshot(passing);
      }
      await save.checkpoint();
    },
  };
  const saved = volume.openSnapshot(id);
  const found = [];
  for (const [against, run] of Object.entries(cases)) {
    found.push(...findings(ENGINE, against, await examine(quick ? 1000 : 4000, run), say));
  }
  return found;
}

/** The whole of it: sockets, protocol, store, files. */
async function daemon({ quick, say }) {
  const directory = await mkdtemp(join(tmpdir(), 'palimpsest-garbage-'));
  await createStore(directory, {}, createNodeEnvironment(silentLogger));
  const server = await serveStore({ dir: directory });
  const blocks = 4096;
  try {
    await server.store.createVolume({ name: 'prod', size: blocks * BLOCK });
    await server.store.createSnapshot({ volume: 'prod', name: 'base' });
    await server.store.createBranch({ name: 'dev', from: 'prod@base' });
    const found = [];
    for (const name of ['prod', 'prod/dev']) {
      const client = await startClient(server.addresses.nbdSocket, name);
      for (const [what, command] of [
        ['write', 1],
        ['read', 0],
      ]) {
        const against = `${name === 'prod' ? 'production' : 'branch'} ${what}, depth 64`;
        const run = (requests) => client.load({ command, requests, blocks });
        found.push(...findings(DAEMON, against, await examine(quick ? 2000 : 5000, run), say));
      }
      await client.stop();
    }
    return found;
  } finally {
    await server.close();
    await rm(directory, { recursive: true, force: true });
  }
}

async function startClient(socket, name) {
  const path = fileURLToPath(new URL('nbd-load.mjs', import.meta.url));
  const child = fork(path, [socket, name], { execArgv: [] });
  let fail = () => {};
  child.on('exit', (code) => fail(new Error(`the client ended with ${code}`)));
  const said = () =>
    new Promise((resolve, reject) => {
      fail = reject;
      child.once('message', resolve);
    });
  await said();
  return {
    load: async (work) => {
      child.send(work);
      await said();
    },
    stop: () =>
      new Promise((resolve) => {
        child.once('exit', resolve);
        child.kill();
      }),
  };
}
