/**
 * npm run bench: our daemon on a real store beside qemu-nbd and nbdkit, the same fio jobs against
 * all, one after the other and again in the next round, so that a busy machine is busy for all.
 * Prints ratios with their spread, the CPU time of the servers, and which budgets (lib/rows.mjs)
 * are met. Measures and tells; nothing fails because a machine was slow.
 *
 *   --rounds N      how often everything is measured (default 3)
 *   --seconds N     how long each timed measurement takes (default 2)
 *   --quick         one round of one second each
 *   --size MIB      bytes of each image (default 256)
 *   --snapshots N   length of the queue for the oldest snapshot's row (default 50)
 *   --only TEXT     only the rows whose name holds the text
 *   --dir DIR       where images and sockets live (default: a new directory in the system's)
 *   --profile DIR   leaves a CPU profile of our daemon there
 *   --json FILE     every measurement, for programs
 *   --markdown FILE the table, with the machine it was measured on
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { assertBuilt, ROOT } from '../scripts/lib/daemon.mjs';
import { runFio } from './lib/fio.mjs';
import { compare, table } from './lib/report.mjs';
import { ROWS } from './lib/rows.mjs';
import { makeImage, startOurs, startPeers } from './lib/targets.mjs';

const { values: options } = parseArgs({
  // pnpm passes the `--` of `npm run bench -- --quick` on.
  args: process.argv.slice(2).filter((argument) => argument !== '--'),
  options: {
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    quick: { type: 'boolean', default: false },
    size: { type: 'string', default: '256' },
    snapshots: { type: 'string', default: '50' },
    only: { type: 'string', default: '' },
    dir: { type: 'string' },
    profile: { type: 'string' },
    json: { type: 'string' },
    markdown: { type: 'string' },
  },
});
const rounds = Number(options.rounds ?? (options.quick ? 1 : 3));
const seconds = Number(options.seconds ?? (options.quick ? 1 : 2));
const size = Number(options.size) << 20;
const rows = ROWS.filter(({ what }) => what.includes(options.only));

const missing = ['fio', 'qemu-nbd', 'qemu-img', 'nbdkit'].filter(
  (tool) => spawnSync('which', [tool]).status !== 0,
);
if (missing.length > 0) {
  console.error(`missing tools: ${missing.join(', ')} (Debian: fio qemu-utils nbdkit)`);
  process.exit(1);
}
if (rows.length === 0) {
  console.error(`no row holds "${options.only}"`);
  process.exit(1);
}
assertBuilt();

const directory = options.dir ?? mkdtempSync(join(tmpdir(), 'palimpsest-bench-'));
mkdirSync(directory, { recursive: true });
const started = [];
try {
  const image = join(directory, 'image.img');
  await makeImage(image, size);
  const snapshots = Number(options.snapshots);
  const ours = await startOurs(directory, { image, snapshots, profile: options.profile });
  started.push(ours);
  const peers = await startPeers(join(directory, 'peers'), { image });
  started.push(peers);
  const results = await measure({ ...ours.targets, ...peers.targets });
  report(results);
} finally {
  for (const group of started.reverse()) await group.stop();
  rmSync(directory, { recursive: true, force: true });
}

/** Every row against every target it names, round after round. */
async function measure(targets) {
  const results = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const { what, job, ours, peers } of rows) {
      for (const name of [ours, ...peers.map(({ target }) => target)]) {
        const target = targets[name];
        await target.prepare?.();
        const result = await runFio(target.at(), job, { seconds, size, seed: 1 + round });
        results.push({ round, what, target: name, ...result });
        const rate = `${(result.iops / 1000).toFixed(1)} k/s`;
        console.error(`round ${round + 1}/${rounds}  ${what}  ${name}: ${rate}`);
      }
    }
  }
  return results;
}

function report(results) {
  const comparisons = compare(rows, (what, target) =>
    results.filter((result) => result.what === what && result.target === target),
  );
  const machine = {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memoryMiB: totalmem() >> 20,
    kernel: release(),
    node: process.version,
    fio: version('fio', '--version'),
    qemu: version('qemu-nbd', '--version'),
    nbdkit: version('nbdkit', '--version'),
    load: loadavg().map((load) => Number(load.toFixed(1))),
  };
  const text = table(comparisons);
  console.log(text);
  const budgets = comparisons.filter(({ met }) => met !== undefined);
  const met = budgets.filter((comparison) => comparison.met).length;
  console.log(
    `\n${met} of ${budgets.length} budgets met. CPU: server seconds per million requests.`,
  );
  const settings = { rounds, seconds, size, snapshots: Number(options.snapshots) };
  if (options.json !== undefined) {
    writeFileSync(
      options.json,
      `${JSON.stringify({ machine, settings, comparisons, results }, null, 2)}\n`,
    );
  }
  if (options.markdown !== undefined) {
    writeFileSync(options.markdown, page(text, machine, settings, `${met} of ${budgets.length}`));
  }
}

function page(text, machine, settings, met) {
  const { cpu, cores, kernel, node, fio, qemu, nbdkit, load } = machine;
  return `# Performance

Written by \`npm run bench -- --markdown docs/PERFORMANCE.md\`; do not edit. What is measured, and
what is not, is told in \`benchmarks/README.md\`.

Ratios are ours divided by the peer's, taken within each of ${settings.rounds} rounds (median, and minimum to
maximum): for rates more is better, for latencies less. "CPU" is the server's time, user and
system, in seconds per million requests: it hardly depends on what else the machine does.

${met} budgets met.

${text}

Machine: ${cpu}, ${cores} cores, Linux ${kernel}, Node ${node}, ${fio}, ${qemu}, ${nbdkit}.
Load averages at the end: ${load.join(', ')}. ${settings.seconds} s each, images of ${settings.size >> 20} MiB, page cache warm,
${settings.snapshots} snapshots in the queue. Commit ${commit()}.
`;
}

function version(tool, flag) {
  return execFileSync(tool, [flag], { encoding: 'utf8' }).split('\n')[0]?.trim();
}

function commit() {
  return execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
    cwd: ROOT,
    encoding: 'utf8',
  }).trim();
}
