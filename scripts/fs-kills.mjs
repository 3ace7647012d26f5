/**
 * `pal fs cp` killed with SIGKILL at random moments, with a daemon and without one.
 *
 * Goal: whatever moment it is, the file systems on production and on a branch are in order when the store
 * is opened again, what an ended command had copied is whole, no file holds anything but a beginning of
 * what it was copied from, and no snapshot has changed. Method: each cycle copies a few directories of
 * this machine to an end, takes a snapshot, and copies more (with a daemon to production and the branch at
 * the same time, without one to either); the process that does it is killed meanwhile. Then `pal fs check`
 * looks, before and after the journal was replayed onto the volume; e2fsck looks at the images as NBD
 * shows them; the files are copied back and compared, and the snapshots' bytes with those of before.
 *
 *   FK1  A cycle counts when the kill came before the command had ended.
 *   FK2  What is killed copies several directories, each with a commit of its own, so that kills fall between
 *        and within commits.
 *
 * Needs e2fsck; without it it is skipped, loudly, and under CI=true that is a failure.
 * Options: --cycles N (20), --seed S (1), --keep leaves the store of a failed run for a look.
 * Prints `fs-kills cycles done target seconds`. A seed repeats the same choices, not the same races.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { assertBuilt, nbdSocket, PAL, pal, startDaemon } from './lib/daemon.mjs';
import { connectNbd } from './lib/nbd-client.mjs';
import { random } from './lib/random.mjs';
import { missingTools, same, tool } from './lib/steps.mjs';

const { values } = parseArgs({
  options: {
    cycles: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    keep: { type: 'boolean', default: false },
  },
});
const CYCLES = Number(values.cycles);
const VOLUME = '32M';
const TARGETS = ['prod', 'prod/dev'];
/** Directories of this machine that are copied, and files in each: from empty to some hundred KiB. */
const SOURCES = 6;
const FILES = 30;
/** Copies that a target keeps: older ones are removed, so that it never fills. */
const KEPT = 3;
const SNAPSHOTS_MAX = 3;
/** Kills later than the command's usual time, too: then it has ended, and all of it must be there. */
const LATE = 1.1;

if (missingTools(['e2fsck']).length > 0) {
  console.error('SKIPPED: the kills of pal fs need e2fsck (package e2fsprogs)');
  process.exit(process.env.CI === 'true' ? 1 : 0);
}
assertBuilt();
const rng = random(Number(values.seed));
/** Memory, where there is a folder of it: what is judged here survives processes, not the machine. */
const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'palimpsest-fs-'));
const store = join(folder, 'store');
const counts = { 'whole copies compared': 0, 'files of killed copies': 0, 'snapshots compared': 0 };
/** For each target its copies that must be whole: name of a directory to the source. */
const whole = new Map(TARGETS.map((target) => [target, new Map()]));
/** And those that were killed. */
const killed = new Map(TARGETS.map((target) => [target, new Map()]));
/** Snapshots, and the sum of their bytes. */
const snapshots = new Map();
/** Milliseconds that a command took when nothing killed it, by mode: the first cycles only measure that. */
const usual = { direct: 0, daemon: 0 };
const MODES = Object.keys(usual);
/** How often who was killed in time. */
const kills = {};
let daemon;

/** Files of each source by name. Sizes are around those that matter: none, less than a block, many. */
const sources = Array.from({ length: SOURCES }, (_, source) => {
  const files = new Map();
  for (let i = 0; i < FILES; i++) {
    const size = rng.pick([
      0,
      rng.below(100),
      rng.below(4096),
      rng.below(20_000),
      rng.below(200_000),
    ]);
    const bytes = Buffer.alloc(size, `${source}.${i} of ${size}; `);
    files.set(join(i % 3 === 0 ? '' : `d${i % 3}`, `file${i}`), bytes);
  }
  const at = join(folder, `source${source}`);
  for (const name of ['', 'd1', 'd2']) mkdirSync(join(at, name), { recursive: true });
  for (const [name, bytes] of files) writeFileSync(join(at, name), bytes);
  return { at, files };
});

/** A command that can be killed: resolves to whether it ended in order. */
function command(...args) {
  const argv = [PAL, ...args, '--store', store];
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (bytes) => {
    said += bytes;
  });
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal, said }));
  });
  return { ended, kill: () => child.kill('SIGKILL') };
}

async function ok(...args) {
  return await pal(store, ...args);
}

async function start() {
  daemon ??= await startDaemon(store);
}

async function stop() {
  await daemon?.stop();
  daemon = undefined;
}

/** A copy of some sources into the new directory `name`: what to run, and what it is to make. */
function copyOf(target, name, count) {
  const chosen = [...new Set(Array.from({ length: count }, () => rng.below(SOURCES)))];
  const from = chosen.map((source) => sources[source].at);
  const made = new Map(chosen.map((source) => [`${name}/source${source}`, source]));
  return { target, made, args: ['fs', 'cp', '-r', ...from, `${target}:/${name}`] };
}

/** Copies that end, and directories for those that will not. */
async function copyWhole(cycle) {
  const names = [`whole${cycle}`, `killed${cycle}`];
  await ok(
    'fs',
    'mkdir',
    ...TARGETS.flatMap((target) => names.map((name) => `${target}:/${name}`)),
  );
  for (const target of TARGETS) {
    const { args, made } = copyOf(target, `whole${cycle}`, 1);
    await ok(...args);
    for (const [at, source] of made) whole.get(target).set(at, source);
  }
}

async function makeRoom() {
  const gone = [];
  const leave = (target, copies, keep) => {
    for (const at of [...copies.keys()].slice(0, Math.max(0, copies.size - keep))) {
      copies.delete(at);
      gone.push(`${target}:/${at}`);
    }
  };
  for (const target of TARGETS) {
    leave(target, killed.get(target), 0);
    leave(target, whole.get(target), KEPT);
  }
  if (gone.length > 0) await ok('fs', 'rm', '-rf', ...gone);
}

async function snapshot(cycle) {
  while (snapshots.size >= SNAPSHOTS_MAX) {
    const [oldest] = snapshots.keys();
    await ok('snapshot', 'delete', oldest, '--now', '--yes');
    snapshots.delete(oldest);
  }
  const reference = `prod@s${cycle}`;
  await ok('snapshot', 'create', reference);
  await start();
  snapshots.set(reference, sumOf(await bytesOf(reference)));
}

/** Every byte of an export of the daemon. */
async function bytesOf(reference) {
  const client = await connectNbd(nbdSocket(store), reference);
  const parts = [];
  for (let at = 0; at < client.size; at += 1 << 20) {
    parts.push(client.read(at, Math.min(1 << 20, client.size - at)));
  }
  const bytes = Buffer.concat(await Promise.all(parts));
  await client.close();
  return bytes;
}

const sumOf = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** Copies to the targets, and kills who does it; answers whether that was before the end (FK1). */
async function kill(cycle) {
  const mode = MODES[cycle] ?? rng.pick(MODES);
  if (mode === 'daemon') await start();
  else await stop();
  const targets = mode === 'daemon' ? TARGETS : [rng.pick(TARGETS)];
  const copies = targets.map((target) => copyOf(target, `killed${cycle}`, SOURCES));
  const began = performance.now();
  const running = copies.map(({ args }) => command(...args));
  const ends = Promise.all(running.map(({ ended }) => ended)).then((all) => {
    if (all.every(({ code }) => code === 0)) usual[mode] = performance.now() - began;
    return all;
  });
  // With a daemon it is the one that writes; now and then only who asked it is lost,
  // and the daemon ends in order with a copy under way.
  const victim = mode === 'daemon' && rng.chance(0.2) ? 'client of a daemon' : mode;
  if (cycle >= MODES.length) {
    await Promise.race([ends, sleep(rng.below(Math.ceil(usual[mode] * LATE)))]);
    if (victim !== 'daemon') for (const each of running) each.kill();
    else {
      await daemon.kill();
      daemon = undefined;
    }
  }
  const results = await ends;
  if (victim === 'client of a daemon') await stop();
  for (const [i, { code }] of results.entries()) {
    const { target, made } = copies[i];
    for (const [at, source] of made) (code === 0 ? whole : killed).get(target).set(at, source);
  }
  const isKilled = results.some(({ code }) => code !== 0);
  if (isKilled) kills[victim] = (kills[victim] ?? 0) + 1;
  return isKilled;
}

/** Looks at everything, as it was found and with its journal replayed. */
async function verify() {
  for (const target of TARGETS) await check(target, 'before the replay');
  await ok('fs', 'mkdir', '-p', ...TARGETS.map((target) => `${target}:/replayed`));
  for (const target of TARGETS) {
    await check(target, 'after the replay');
    await compareFiles(target);
  }
  await start();
  for (const target of TARGETS) {
    const image = join(folder, 'image');
    writeFileSync(image, await bytesOf(target));
    await tool('/sbin/e2fsck', '-fn', image);
  }
  for (const [reference, sum] of snapshots) {
    same(sumOf(await bytesOf(reference)), sum, `the bytes of ${reference}`);
    counts['snapshots compared'] += 1;
  }
}

async function check(target, when) {
  const { items } = await ok('fs', 'check', target);
  same(JSON.stringify(items), '[]', `what pal fs check finds on ${target} ${when}`);
}

async function compareFiles(target) {
  const out = join(folder, 'out');
  rmSync(out, { recursive: true, force: true });
  await ok('fs', 'cp', '-r', `${target}:/`, out);
  for (const [at, source] of whole.get(target)) {
    const { files } = sources[source];
    const there = filesIn(join(out, at));
    same(namesOf(there), namesOf(files), `the names in ${target}:/${at}`);
    for (const [name, bytes] of there) {
      if (!bytes.equals(files.get(name))) throw new Error(`${target}:/${at}/${name} is not whole`);
    }
    counts['whole copies compared'] += 1;
  }
  for (const [at, source] of killed.get(target)) {
    const { files } = sources[source];
    for (const [name, bytes] of filesIn(join(out, at))) {
      const expected = files.get(name);
      if (expected === undefined) throw new Error(`${target}:/${at}/${name} was never copied`);
      if (!bytes.equals(expected.subarray(0, bytes.length))) {
        throw new Error(`${target}:/${at}/${name} holds bytes that were not written to it`);
      }
      counts['files of killed copies'] += 1;
    }
  }
}

const namesOf = (files) => [...files.keys()].sort().join();

/** All files below a folder, by name; none where there is no folder. */
function filesIn(at) {
  const found = new Map();
  if (!existsSync(at)) return found;
  for (const each of readdirSync(at, { withFileTypes: true, recursive: true })) {
    if (!each.isFile()) continue;
    const path = join(each.parentPath, each.name);
    found.set(path.slice(at.length + 1), readFileSync(path));
  }
  return found;
}

const began = performance.now();
let done = 0;
let failure;
try {
  await pal(store, 'init', store);
  await ok('volume', 'create', 'prod', '--size', VOLUME);
  await ok('fs', 'format', 'prod');
  await ok('branch', 'create', 'prod/dev', '--from', 'prod');
  for (let cycle = 0; done < CYCLES && cycle < 2 * CYCLES + MODES.length; cycle++) {
    await makeRoom();
    await copyWhole(cycle);
    if (cycle % 3 === 0) await snapshot(cycle);
    if (await kill(cycle)) done += 1;
    await verify();
  }
  await stop();
} catch (error) {
  failure = error;
  await daemon?.kill();
}
const seconds = ((performance.now() - began) / 1000).toFixed(1);
if (failure !== undefined) {
  console.error(failure.stack ?? String(failure));
  console.error(`after ${done} cycles of seed ${values.seed}`);
}
if (failure !== undefined && values.keep) console.error(`the store is kept in ${store}`);
else rmSync(folder, { recursive: true, force: true });
const told = [
  ...Object.entries(kills).map(([victim, n]) => `${n} kills (${victim})`),
  ...Object.entries(counts).map(([what, n]) => `${n} ${what}`),
];
console.log(`fs-kills: ${told.join(', ')}`);
console.log(`fs-kills ${failure === undefined ? done : 0} ${CYCLES} ${seconds}`);
process.exitCode = failure === undefined && done >= CYCLES ? 0 : 1;
