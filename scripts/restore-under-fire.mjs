/**
 * Restores of a volume in use, under real kill -9.
 *
 * Goal: a restore shows its source at once and for good (I7): whatever was written and flushed since
 * is there, every other block reads as the source has it, no snapshot changes, and the copy-back ends,
 * however often the daemon dies in the middle of it. Method: a sparse volume of 4 GiB with some tens of
 * mebibytes of data, two snapshots of it and one of a branch. Production is restored, slowed down so
 * that the copy-back lasts for several kills, while clients of this process write, zero, flush and read
 * with verification, at what is being copied back among others. Once a copy-back has ended, the next
 * restore starts, from any snapshot there is. Now and then it starts while one is running, or the
 * running one is cancelled, or a snapshot is taken or deleted. After each kill, all of production,
 * what is new and now and then some snapshot are compared with the model of lib/store-model.mjs; all
 * snapshots whenever a copy-back has ended. At last fio writes and verifies in a part of its own while the last copy-back ends.
 *
 *   RU1  A kill counts when a copy-back was running just before it and the restore is still there after
 *       the restart, so it cannot have ended in between.
 *   RU2  The rate follows from how long the daemon lives between kills, and a cycle's load keeps to a small
 *       part of the volume: a restore lasts for several kills on a quick machine and on a slow one.
 *
 * Options: --kills N (100), --seed S (1), --data MIB (12), --keep. Needs fio; without it the last part is
 * skipped, loudly, except under CI=true. Prints `restore-kills done target seconds`. A seed repeats the
 * same choices, not the same races.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { assertBuilt, control, nbdUri, pal, startDaemon } from './lib/daemon.mjs';
import { random } from './lib/random.mjs';
import { payload } from './lib/sector-model.mjs';
import { missingTools, tool } from './lib/steps.mjs';
import {
  cancelRestore,
  createBranch,
  createSnapshot,
  deleteSnapshot,
  freeSnapshots,
  restore,
  runCommand,
} from './lib/store-commands.mjs';
import { Layout, PRODUCTION, StoreModel } from './lib/store-model.mjs';
import { newCycle, verifiedLoad } from './lib/verified-load.mjs';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    data: { type: 'string', default: '12' },
    keep: { type: 'boolean', default: false },
  },
});
const KILLS = Number(values.kills);
const MIB = 1 << 20;
const VOLUME_MIB = 4096;
/** Written and verified in pages; a page that is torn is a fault of its own. */
const PAGE = 4096;
/** Stretches of data of one mebibyte, spread over the volume; behind each a page that stays empty. */
const STRETCHES = Number(values.data);
const STRETCH = MIB / PAGE;
/** Fio's part, at the volume's end. Until fio comes only restores write to it. */
const FIO_MIB = 4;
const STRIDE_MIB = Math.floor((VOLUME_MIB - FIO_MIB) / STRETCHES);
const CLIENTS = 4;
const IN_FLIGHT = 4;
/** What the load of one cycle keeps to (RU2): so many places of so many pages. */
const PLACES = 8;
const PLACE = Math.max(8, Math.floor((STRETCHES * STRETCH) / PLACES / 16));
/** How long a cycle's load lasts before the kill, at most. */
const LOAD_MS = 500;
/** A copy-back without load lasts for about so many kills. */
const LASTS = 7;
const LEAST_RATE = 1 << 14;
const SNAPSHOTS_MAX = 8;
/** Two snapshots are needed for each restore until the last one has ended. */
const RESTORING_MAX = 6;
/** Cycles that may be spent for each kill that counts. */
const PATIENCE = 2;
const CYCLE_MS = 90_000;
const FAULTS_SHOWN = 12;

const rng = random(Number(values.seed));
const store = join(mkdtempSync(join(tmpdir(), 'palimpsest-restore-')), 'store');
const layout = new Layout(PAGE, [
  ...Array.from({ length: STRETCHES }, (_, i) => ({
    position: i * STRIDE_MIB * MIB,
    count: STRETCH + 1,
  })),
  { position: (VOLUME_MIB - FIO_MIB) * MIB, count: (FIO_MIB * MIB) / PAGE },
]);
/** Pages before fio's part. */
const CLIENT_PAGES = STRETCHES * (STRETCH + 1);
const model = new StoreModel({ store, layout, rng });
const { faults } = model;
const counts = { cycles: 0, inFlight: 0, 'whole comparisons': 0, 'copy-backs ended': 0 };

// ---- before the first restore

/** Writes the wanted pages of an export, all by one write, and flushes. */
async function fill(name, wanted) {
  const device = model.devices.get(name);
  const write = model.history.begin(name, false);
  const isWanted = (page) =>
    wanted(page) && (page >= CLIENT_PAGES || page % (STRETCH + 1) !== STRETCH);
  const client = await model.connect(name);
  for (let page = 0; page < layout.sectors; ) {
    const sent = [];
    for (; sent.length < STRETCH && page < layout.sectors; page += 1) {
      if (!isWanted(page)) continue;
      const first = page;
      const isNext = (next) => layout.positionOf(next) === layout.positionOf(next - 1) + PAGE;
      while (page - first < STRETCH - 1 && isNext(page + 1) && isWanted(page + 1)) page += 1;
      const count = page + 1 - first;
      device.issued(write, first, count);
      const bytes = payload(write, first, count, PAGE);
      sent.push(client.write(layout.positionOf(first), bytes));
    }
    await Promise.all(sent);
  }
  write.answer = model.history.now();
  await flush(client, device);
  await client.close();
}

async function flush(client, device) {
  const invoke = model.history.now();
  await client.flush();
  device.flushed(invoke);
}

async function prepare() {
  await pal(store, 'init', store);
  const daemon = await startDaemon(store);
  await control.createVolume(store, PRODUCTION, VOLUME_MIB * MIB);
  const take = (name) => runCommand(model, createSnapshot(model, name), newCycle());
  model.devices.set(PRODUCTION, model.newDevice(PRODUCTION));
  await fill(PRODUCTION, () => true);
  await take(PRODUCTION);
  await fill(PRODUCTION, (page) => page % 3 !== 0);
  await take(PRODUCTION);
  await model.verify();
  await runCommand(model, createBranch(model, model.known[0]), newCycle());
  const branch = [...model.devices.keys()].at(-1);
  await fill(branch, (page) => page % 7 === 0);
  await take(branch);
  await model.verify();
  await daemon.kill();
}

// ---- kills

/** Seconds that the daemon has lived in all cycles. */
let alive = 0;
let killsInCopyBack = 0;
/** Whether a copy-back was running just before the last kill (RU1). */
let wasRunning = false;

function planRestore() {
  const dataMib = (STRETCHES + FIO_MIB) * (2 / 3);
  const seconds = (counts.cycles > 1 ? alive / (counts.cycles - 1) : 1) * LASTS;
  const rate = Math.floor(((dataMib * MIB) / seconds) * (0.5 + rng.next() / 2 ** 32));
  return restore(model, rng.pick(model.known), { bytesPerSecond: Math.max(LEAST_RATE, rate) });
}

/** What is asked for in this cycle: a restore when none is running, else now and then something. */
function planCommand() {
  const [top] = model.restores;
  if (top === undefined) return planRestore();
  const roll = rng.below(100);
  const isShallow = model.restoring.size < RESTORING_MAX;
  if (roll < 9 && isShallow) return planRestore();
  if (roll < 17 && isShallow) return cancelRestore(model, top);
  if (roll < 24 && model.snapshots.size < SNAPSHOTS_MAX) return createSnapshot(model);
  const free = freeSnapshots(model);
  const isMuch = model.snapshots.size > SNAPSHOTS_MAX;
  if (free.length > 0 && (isMuch || roll < 29)) return deleteSnapshot(model, rng.pick(free));
  return undefined;
}

/** Where this cycle's load goes: half of it to where the copy-back is. */
function picker() {
  const [top] = model.restores;
  const done = top === undefined ? 0 : top.doneBytes / Math.max(1, top.totalBytes);
  const front = Math.min(STRETCHES - 1, Math.floor(done * STRETCHES));
  const places = Array.from({ length: PLACES }, (_, i) => {
    const stretch = i % 2 === 0 ? front : rng.below(STRETCHES);
    return stretch * (STRETCH + 1) + rng.below(STRETCH - PLACE);
  });
  return () => {
    const within = rng.below(PLACE);
    return { first: rng.pick(places) + within, count: Math.min(1 + rng.below(4), PLACE - within) };
  };
}

async function compare() {
  const { restores } = model;
  // The branch is not written to.
  await model.verify({ again: rng.chance(0.4) ? 1 : 0, branches: false });
  const [top] = model.restores;
  if (wasRunning && top !== undefined) killsInCopyBack += 1;
  wasRunning = false;
  if (top !== undefined && top.state !== 'running') {
    faults.push(`after a restart the copy-back is ${top.state}`);
  }
  if (top !== undefined || counts.cycles === 1) return;
  if (restores.length > 0) counts['copy-backs ended'] += 1;
  counts['whole comparisons'] += 1;
  await model.verify();
}

function startLoads(shared) {
  const how = { inFlight: IN_FLIGHT, pick: picker() };
  return Array.from({ length: CLIENTS }, () => verifiedLoad(model, PRODUCTION, shared, how));
}

async function cycle() {
  counts.cycles += 1;
  const daemon = await startDaemon(store);
  const born = performance.now();
  const hung = setTimeout(() => {
    faults.push(`no progress for ${CYCLE_MS} ms; the daemon said:\n${daemon.said()}`);
    daemon.kill();
  }, CYCLE_MS);
  try {
    await compare();
    if (faults.length > 0 || killsInCopyBack >= KILLS) return;
    const shared = newCycle();
    const planned = planCommand();
    const command = planned === undefined ? undefined : runCommand(model, planned, shared);
    const running = Promise.all([command, ...startLoads(shared)]);
    // A finding in the load must not wait for the kill.
    running.catch(() => {});
    // A quarter of the commands are cut off by the kill, if it comes early.
    if (rng.chance(0.75)) await command;
    await sleep(rng.below(rng.chance(0.25) ? 20 : LOAD_MS));
    const [top] = await control.restores(store);
    wasRunning = top?.state === 'running';
    await sleep(rng.below(10));
    shared.over = true;
    counts.inFlight += model.unsettled.length;
    await daemon.kill();
    await running;
    alive += (performance.now() - born) / 1000;
  } finally {
    clearTimeout(hung);
    await daemon.kill();
  }
}

// ---- the end

/** Fio's own part of production, `options` besides what always holds. */
function fio(...options) {
  const place = [`--offset=${(VOLUME_MIB - FIO_MIB) * MIB}`, `--size=${FIO_MIB * MIB}`];
  const seed = `--randseed=${values.seed}`;
  const check = ['--verify=crc32c', '--verify_fatal=1', '--verify_state_save=0', seed];
  const device = ['--ioengine=nbd', `--uri=${nbdUri(store, PRODUCTION)}`];
  const load = ['--rw=randwrite', '--bs=4k', '--iodepth=16', '--fsync=256'];
  return tool('fio', '--name=job', ...device, ...load, ...place, ...check, '--minimal', ...options);
}

function hasFio() {
  if (missingTools(['fio']).length === 0) return true;
  if (process.env.CI === 'true') faults.push('fio is missing');
  else console.error('SKIPPED: fio is missing, so nothing foreign wrote during the last copy-back');
  return false;
}

/** The snapshot that differs most from what production holds in fio's part. */
function farthest() {
  const held = model.devices.get(PRODUCTION).visible;
  const differing = (name) => {
    const { content } = model.snapshots.get(name);
    return content.filter(({ write }, page) => page >= CLIENT_PAGES && held[page][0] !== write)
      .length;
  };
  return model.known.reduce((a, b) => (differing(b) > differing(a) ? b : a));
}

async function copyBackEnds() {
  for (const start = performance.now(); (await control.restores(store)).length > 0; ) {
    if (performance.now() - start > CYCLE_MS) throw new Error('the copy-back does not end');
    await sleep(50);
  }
}

/** Writes by fio and by clients of ours during a last copy-back, then at full speed to its end. */
async function finish() {
  let daemon = await startDaemon(store);
  try {
    await model.verify();
    const shared = newCycle();
    const how = { bytesPerSecond: Math.floor(((STRETCHES + FIO_MIB) * MIB) / 10) };
    await runCommand(model, restore(model, farthest(), how), shared);
    const running = Promise.all(startLoads(shared));
    running.catch(() => {});
    const withFio = hasFio();
    if (withFio) await fio();
    shared.over = true;
    await running;
    if ((await control.restores(store)).length > 0) {
      await control.resumeRestore(store, PRODUCTION, { bytesPerSecond: 1 << 30 });
    }
    await copyBackEnds();
    if (withFio) await fio('--verify_only');
    const client = await model.connect(PRODUCTION);
    await flush(client, model.devices.get(PRODUCTION));
    client.destroy();
    await daemon.kill();
    daemon = await startDaemon(store);
    await model.verify({ sectors: withFio ? CLIENT_PAGES : layout.sectors });
    counts['whole comparisons'] += 1;
    if (withFio) await fio('--verify_only');
    if (model.restores.length > 0) faults.push('a restore that had ended is there again');
  } finally {
    await daemon.stop();
  }
}

assertBuilt();
const start = performance.now();
try {
  await prepare();
  while (faults.length === 0 && killsInCopyBack < KILLS && counts.cycles < KILLS * PATIENCE + 10) {
    await cycle();
  }
  if (faults.length === 0) await finish();
  if (killsInCopyBack < KILLS) {
    faults.push(`only ${killsInCopyBack} of ${counts.cycles} kills were in a running copy-back`);
  }
} catch (error) {
  faults.push(error.stack ?? String(error));
}
const seconds = ((performance.now() - start) / 1000).toFixed(1);
for (const fault of faults.slice(0, FAULTS_SHOWN)) console.error(fault);
if (faults.length > FAULTS_SHOWN) console.error(`… and ${faults.length - FAULTS_SHOWN} more`);
if (faults.length > 0) console.error(`after ${counts.cycles} kills of seed ${values.seed}`);
if (faults.length > 0 && values.keep) console.error(`the store is kept in ${store}`);
else rmSync(join(store, '..'), { recursive: true, force: true });
const told = Object.entries({ ...model.done, ...counts }).map(([what, n]) => `${n} ${what}`);
console.log(`restore-kills: ${told.join(', ')}`);
console.log(`restore-kills ${faults.length === 0 ? killsInCopyBack : 0} ${KILLS} ${seconds}`);
process.exitCode = faults.length === 0 ? 0 : 1;
