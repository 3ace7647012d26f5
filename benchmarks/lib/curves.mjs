/**
 * Curves over NBD: how the server's cost of one request grows. The cost is CPU time, which hardly
 * depends on what else the machine does; each point is the least of a few runs.
 */
import { join } from 'node:path';
import { control } from '../../scripts/lib/daemon.mjs';
import { curveOf } from './findings.mjs';
import { measure } from './over-nbd.mjs';
import { asClient, overwrite } from './targets.mjs';

const SECTION = 'How cost grows, over NBD';
const UNIT = 'µs of CPU a request';
const READ = { rw: 'randread', blockSize: '4k', depth: 64 };
const FIRST = { rw: 'randwrite', blockSize: '4k', depth: 64, bytes: 64 << 20 };
const DEPTHS = [1, 2, 4, 8, 16, 32];
const SHARES = [0, 0.25, 0.5, 1];
const CONNECTIONS = [1, 2, 4, 8, 16];

/** The least cost of a few runs of a job. */
async function costOf(target, job, { runs, seconds, size }) {
  let least = Number.POSITIVE_INFINITY;
  for (let run = 0; run < runs; run += 1) {
    const { cpuSeconds, requests } = await measure(target, job, { seconds, size, seed: 1 + run });
    least = Math.min(least, (cpuSeconds / requests) * 1e6);
  }
  return Number(least.toFixed(2));
}

/** Curves that are measured while the queue of snapshots grows; `curves` has them afterwards. */
export function alongTheQueue(options) {
  const oldest = [];
  const first = [];
  return {
    async at({ targets }, count) {
      oldest.push({
        at: count,
        value: await costOf(targets['ours: oldest snapshot'], READ, options),
      });
      first.push({ at: count, value: await costOf(targets['ours: first writes'], FIRST, options) });
      options.say(`${count} snapshots`);
    },
    curves: () => [
      curve('read of the oldest snapshot', 'snapshots', oldest),
      curve('first write', 'snapshots', first),
    ],
  };
}

/**
 * The curves that need volumes and branches of their own.
 * @param {Awaited<ReturnType<import('./ours.mjs').startOurs>>} ours
 * @param {{ runs: number, seconds: number, size: number, say: (line: string) => void }} options
 */
export async function curvesOverNbd(ours, options) {
  return [
    ...(await alongDepth(ours, options)),
    ...(await alongShare(ours, options)),
    await alongConnections(ours, options),
  ];
}

/** A branch of a snapshot of a branch of ..., each with 64 blocks of its own. */
async function alongDepth({ store, at, saved }, options) {
  const points = [];
  let base = 'prod@q1';
  for (let depth = 1; depth <= DEPTHS.at(-1); depth += 1) {
    const name = `prod/d${depth}`;
    await control.createBranch(store, name, base);
    await asClient(at(name)().socket, name, async (client) => {
      const blocks = client.size / 4096;
      for (let n = 0; n < 64; n += 1) {
        await client.write(
          ((depth * 7919 + n * 104_729) % blocks) * 4096,
          Buffer.alloc(4096, depth),
        );
      }
    });
    if (DEPTHS.includes(depth)) {
      points.push({
        at: depth,
        value: await costOf({ at: at(name), reads: saved }, READ, options),
      });
      options.say(`depth ${depth}`);
    }
    base = `${name}@s`;
    await control.createSnapshot(store, base);
  }
  return [curve('read of a branch', 'depth of the branch', points)];
}

/** Production and a snapshot of it, of which more and more is saved. */
async function alongShare({ store, at, save }, options) {
  const { size } = options;
  const reads = () => [join(store, 'volumes', 'share.img'), save];
  await control.createVolume(store, 'share', size);
  await overwrite(at('share')(), 0, 1);
  await control.createSnapshot(store, 'share@s');
  const production = [];
  const snapshot = [];
  for (const [n, share] of SHARES.entries()) {
    if (n > 0) await overwrite(at('share')(), SHARES[n - 1], share);
    const label = `${100 * share} %`;
    production.push({ at: label, value: await costOf({ at: at('share'), reads }, READ, options) });
    snapshot.push({ at: label, value: await costOf({ at: at('share@s'), reads }, READ, options) });
    options.say(`${label} saved`);
  }
  return [
    curve('read of production', 'share of the blocks saved', production),
    curve('read of the snapshot', 'share of the blocks saved', snapshot, 'logarithmic'),
  ];
}

async function alongConnections({ targets }, options) {
  const points = [];
  for (const connections of CONNECTIONS) {
    const job = { ...READ, depth: 16, connections };
    points.push({
      at: connections,
      value: await costOf(targets['ours: production'], job, options),
    });
    options.say(`${connections} connections`);
  }
  return curve('read of production, depth 16 each', 'connections', points);
}

function curve(what, axis, points, worst = 'logarithmic') {
  return curveOf({ section: SECTION, what, axis, points, unit: UNIT, worst });
}
