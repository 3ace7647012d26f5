/**
 * npm run bench: every budget of the design, measured. Our daemon on a real store beside qemu-nbd and
 * nbdkit with the same fio jobs; how cost grows; the packages in-process; toyfs beside other file
 * systems; a slow disk beside a fast one. Prints ratios with their spread, the CPU time of the
 * servers, and which budgets are met.
 * Measures and tells; nothing fails because a machine was slow.
 *
 *   --rounds N      how often everything is measured (default 5)
 *   --seconds N     how long each timed measurement takes (default 1)
 *   --quick         one round, short ones
 *   --parts LIST    of nbd, cost, volumes, curves, in-process, files, stall (default: all)
 *   --size MIB      bytes of each image (default 256)
 *   --snapshots N   length of the queue (default 1000)
 *   --only TEXT     only the rows whose name holds the text
 *   --dir DIR       where images and sockets live (default: a new directory in the system's)
 *   --profile DIR   leaves a CPU profile of our daemon there
 *   --json FILE     appends the run to a history, one line of JSON each
 *   --markdown FILE the page, with the machine it was measured on
 *   --from FILE     measures nothing: prints, and writes the page, from a history
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { assertBuilt, ROOT } from '../scripts/lib/daemon.mjs';
import { files } from './files/index.mjs';
import { inProcess } from './in-process/index.mjs';
import { alongTheQueue, curvesOverNbd } from './lib/curves.mjs';
import { budgets, render } from './lib/findings.mjs';
import { firstWriteCost } from './lib/first-write-cost.mjs';
import { appendRun, ratiosBefore, readHistory } from './lib/history.mjs';
import { startOurs } from './lib/ours.mjs';
import { overNbd } from './lib/over-nbd.mjs';
import { mebibytes, page } from './lib/page.mjs';
import { startPeers } from './lib/peers.mjs';
import { ROWS } from './lib/rows.mjs';
import { makeImage } from './lib/targets.mjs';
import { wholeVolumes } from './lib/whole-volume.mjs';
import { stall } from './stall/index.mjs';

const PARTS = ['nbd', 'cost', 'volumes', 'curves', 'in-process', 'files', 'stall'];

const { values: options } = parseArgs({
  // pnpm passes the `--` of `npm run bench -- --quick` on.
  args: process.argv.slice(2).filter((argument) => argument !== '--'),
  options: {
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    quick: { type: 'boolean', default: false },
    parts: { type: 'string', default: PARTS.join(',') },
    size: { type: 'string', default: '256' },
    snapshots: { type: 'string', default: '1000' },
    only: { type: 'string', default: '' },
    dir: { type: 'string' },
    profile: { type: 'string' },
    json: { type: 'string' },
    markdown: { type: 'string' },
    from: { type: 'string' },
  },
});
const { quick, only } = options;
const settings = {
  rounds: Number(options.rounds ?? (quick ? 1 : 5)),
  seconds: Number(options.seconds ?? 1),
  size: Number(options.size) << 20,
  snapshots: Number(options.snapshots),
  commit: commit(),
};
for (const name of ['rounds', 'seconds', 'size', 'snapshots']) {
  // fio takes no fractions of a second.
  if (!/^[1-9]\d*$/.test(options[name] ?? '1')) fail(`--${name} is a whole number from 1 on`);
}
const begin = performance.now();
const say = (line) => {
  const at = ((performance.now() - begin) / 1000).toFixed(0);
  console.error(`${at.padStart(4)} s  ${line}`);
};
const parts = options.parts.split(',');
const unknown = parts.filter((part) => !PARTS.includes(part));
if (unknown.length > 0)
  fail(`no part is called ${unknown.join(', ')}; there are ${PARTS.join(', ')}`);

if (options.from === undefined) await run();
else {
  const runs = readHistory(options.from);
  if (runs.length === 0) fail(`${options.from} has no run; make one with --json ${options.from}`);
  const last = runs.at(-1);
  tell(last.findings, ratiosBefore(runs.slice(0, -1), last.machine));
  if (options.markdown !== undefined) writeFileSync(options.markdown, page(runs));
}

async function run() {
  const missing = ['fio', 'qemu-nbd', 'qemu-img', 'nbdkit'].filter(
    (tool) => spawnSync('which', [tool]).status !== 0,
  );
  if (missing.length > 0)
    fail(`missing tools: ${missing.join(', ')} (Debian: fio qemu-utils nbdkit)`);
  assertBuilt();
  const directory = options.dir ?? mkdtempSync(join(tmpdir(), 'palimpsest-bench-'));
  mkdirSync(directory, { recursive: true });
  // Whatever ends this process, servers end with it, and hundreds of MiB go.
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130));
  const findings = [
    ...(await overServers(directory)),
    ...(parts.includes('in-process') ? await inProcess({ quick, only, say }) : []),
    ...(parts.includes('files') ? await files({ quick, only, say, dir: directory }) : []),
    ...(parts.includes('stall')
      ? await stall({ quick, only, say, dir: join(directory, 'stall') })
      : []),
  ];
  if (findings.length === 0) fail(`no row holds "${only}"`);
  const seconds = Math.round((performance.now() - begin) / 1000);
  const done = { machine: machine(), settings, tookSeconds: seconds, findings };
  const history = options.json === undefined ? [] : readHistory(options.json);
  tell(findings, ratiosBefore(history, done.machine));
  say(`took ${seconds} s`);
  if (options.json !== undefined) appendRun(options.json, done);
  if (options.markdown !== undefined) writeFileSync(options.markdown, page([...history, done]));
}

/** The parts that need our daemon, and its peers. */
async function overServers(directory) {
  if (!['nbd', 'cost', 'volumes', 'curves'].some((part) => parts.includes(part))) return [];
  const rows = ROWS.filter(({ section, what }) => `${section}: ${what}`.includes(only));
  const curvesWanted = parts.includes('curves') && only === '';
  const point = { ...settings, runs: quick ? 1 : 3, say };
  const queue = alongTheQueue(point);
  const started = [];
  const findings = [];
  try {
    const image = join(directory, 'image.img');
    await makeImage(image, settings.size);
    const ours = await startOurs(directory, {
      image,
      snapshots: settings.snapshots,
      profile: options.profile,
      ...(curvesWanted ? { whileGrowing: (group, count) => queue.at(group, count) } : {}),
    });
    started.push(ours);
    const peers = await startPeers(join(directory, 'peers'), { image });
    started.push(peers);
    const targets = { ...ours.targets, ...peers.targets };
    if (parts.includes('nbd'))
      findings.push(...(await overNbd(targets, rows, { ...settings, say })));
    if (parts.includes('cost') && only === '') {
      findings.push(...(await firstWriteCost(ours, { ...settings, say })));
    }
    if (parts.includes('volumes') && only === '') {
      findings.push(...(await wholeVolumes(ours, peers, { rounds: quick ? 1 : 3, say })));
    }
    if (curvesWanted) findings.push(...queue.curves(), ...(await curvesOverNbd(ours, point)));
  } finally {
    for (const group of started.reverse()) await group.stop();
  }
  return findings;
}

function tell(findings, before) {
  const { met, of, missed } = budgets(findings);
  console.log(render(findings, before));
  console.log(`\n${met} of ${of} budgets met. CPU: server seconds per million requests.`);
  for (const each of missed) console.log(`missed: ${each}`);
}

function machine() {
  return {
    at: new Date().toISOString(),
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memoryMiB: mebibytes(totalmem()),
    kernel: release(),
    node: process.version,
    fio: version('fio', '--version'),
    qemu: version('qemu-nbd', '--version'),
    nbdkit: version('nbdkit', '--version'),
    load: loadavg().map((load) => Number(load.toFixed(1))),
  };
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

function fail(message) {
  console.error(message);
  process.exit(1);
}
