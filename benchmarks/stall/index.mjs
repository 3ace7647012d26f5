/**
 * What a slow disk does to everybody else: an export A on an ordinary image, measured alone and while
 * exports of the same store, whose images take 500 ms for each read and write, are under load at depth
 * 32. Measured is the 99th percentile of A's latency, with requests sent at a steady rate whatever became
 * of those before. Undisturbed and disturbed take turns, so that a busy machine is busy for both.
 *
 * The slow images are shown by FUSE, where no call is made on the main thread: what happens to a disk that was
 * trusted and stalls then is worked out in packages/block-device-file/test/pace.test.ts.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { control, nbdSocket, pal, startDaemon } from '../../scripts/lib/daemon.mjs';
import { budgetOf, ratioOf, spread } from '../lib/findings.mjs';
import { makeImage } from '../lib/targets.mjs';
import { missingForSlowDisks, startSlowDisk } from './slow-disk.mjs';

const SECTION = 'A slow disk beside others';
const DELAY_MS = 500;
const DEPTH = 32;
/** Everything once before it is measured: code is compiled, pages are in memory. */
const WARM_SECONDS = 0.5;
/** 99th percentile, disturbed / undisturbed. */
const BUDGET = { atMost: 2 };
/** How many slow exports are under load. */
const SLOW = [1, 3];
/** What A is asked; `anew`: after a snapshot, so that every write is a first one. */
const LOADS = [
  { what: 'random reads', name: 'plain', kind: 'read', rate: 2000 },
  { what: 'random writes', name: 'plain', kind: 'write', rate: 2000 },
  { what: 'first writes after a snapshot', name: 'prod', kind: 'write', rate: 1000, anew: true },
  { what: 'first write and flush', name: 'prod', kind: 'flush', rate: 100, anew: true },
];

/**
 * @param {{ quick: boolean, only?: string, say: (text: string) => void, dir: string }} options
 * @returns {Promise<import('../lib/findings.mjs').Finding[]>}
 */
export async function stall({ quick, only = '', say, dir }) {
  const loads = LOADS.filter(({ what }) => what.includes(only));
  if (loads.length === 0) return [];
  const missing = missingForSlowDisks();
  if (missing.length > 0) {
    say(`a slow disk cannot be made here: ${missing.join(', ')} missing`);
    return [];
  }
  const rounds = quick ? 1 : 3;
  const seconds = quick ? 1.5 : 3;
  const started = [];
  try {
    const bench = await setUp(dir, started);
    for (const load of loads) await bench.measure(load, Math.max(...SLOW), WARM_SECONDS);
    const measured = new Map(loads.map((load) => [load, { alone: [], slow: SLOW.map(() => []) }]));
    for (let round = 0; round < rounds; round += 1) {
      for (const load of loads) {
        const { alone, slow } = measured.get(load);
        say(`a slow disk: ${load.what}, round ${round + 1} of ${rounds}`);
        alone.push(await bench.measure(load, 0, seconds));
        for (const [index, count] of SLOW.entries()) {
          slow[index].push(await bench.measure(load, count, seconds));
        }
      }
    }
    return loads.flatMap((load) => findingsOf(load, measured.get(load)));
  } finally {
    for (const each of started.reverse()) await each.stop().catch((error) => say(String(error)));
  }
}

function findingsOf({ what }, { alone, slow }) {
  const p99 = (samples) => samples.map((each) => each.p99);
  const median = (samples) => `${spread(p99(samples)).median.toFixed(2)} ms`;
  return SLOW.map((count, index) => {
    const ratio = ratioOf(p99(slow[index]), p99(alone));
    const longest = Math.max(...slow[index].map(({ max }) => max));
    const before = Math.max(...alone.map(({ max }) => max));
    return {
      section: SECTION,
      what: `${what}: 99th percentile`,
      against: count === 1 ? 'alone; 1 slow export' : `alone; ${count} slow exports`,
      ratio,
      ...budgetOf(ratio, BUDGET),
      ours: median(slow[index]),
      peer: median(alone),
      note: `longest ${longest.toFixed(1)} ms beside ${count} slow, ${before.toFixed(1)} ms alone`,
    };
  });
}

/** A daemon with A, as a volume without and one with snapshots, and the slow volumes. */
async function setUp(dir, started) {
  mkdirSync(dir, { recursive: true });
  const store = join(dir, 'store');
  await pal(store, 'init', store);
  for (const name of ['plain', 'prod']) {
    const path = join(dir, `${name}.img`);
    await makeImage(path, 64 << 20);
    await pal(store, 'volume', 'adopt', path, '--name', name);
  }
  const daemon = await startDaemon(store);
  // An orderly stop would write what the slow disks were given, for minutes.
  const served = { stop: () => daemon.kill() };
  started.push(served);
  const most = Math.max(...SLOW);
  const slow = [];
  for (let index = 0; index < most; index += 1) {
    const disk = await startSlowDisk(join(dir, `slow-${index}`), {
      megabytes: 64,
      delayMs: DELAY_MS,
    });
    started.splice(started.indexOf(served), 0, disk); // the daemon lets go of it first
    const name = `slow-${index}`;
    await control.ask(store, 'volumes/adopt', { name, path: disk.path });
    await control.createSnapshot(store, `${name}@first`);
    slow.push(await client(store, name, started));
  }
  const clients = new Map();
  for (const name of ['plain', 'prod']) clients.set(name, await client(store, name, started));
  let taken = 0;
  return {
    async measure({ name, kind, rate, anew }, count, seconds) {
      if (anew) {
        taken += 1;
        await control.createSnapshot(store, `${name}@s${taken}`);
      }
      for (const each of slow.slice(0, count)) each.send({ depth: DEPTH });
      const result = await clients.get(name).ask({ steady: { kind, rate, seconds } });
      for (const each of slow.slice(0, count)) each.send({ depth: 0 });
      if (count > 0) await sleep(2 * DELAY_MS); // what they had under way
      return result;
    },
  };
}

/** A process that is a client of an export. */
async function client(store, name, started) {
  const child = fork(fileURLToPath(new URL('load.mjs', import.meta.url)));
  const exited = once(child, 'exit');
  started.push({
    async stop() {
      child.kill('SIGKILL');
      await exited;
    },
  });
  const ask = async (message) => {
    child.send(message);
    const [answer] = await once(child, 'message');
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer;
  };
  await ask({ socket: nbdSocket(store), name });
  return { ask, send: (message) => child.send(message) };
}
