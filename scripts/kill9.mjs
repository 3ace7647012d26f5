/**
 * Real kill -9 cycles of the real daemon under load over NBD.
 *
 * Goal: what was flushed is never lost, nothing is ever invented, no snapshot ever changes, branches
 * stay apart, a restore and a refresh show their source at once and for good (the promises I1, I4, I5,
 * I6, I7 and I10). Method: this process keeps the log of what was answered. Each cycle starts the built
 * daemon, compares everything it serves with the model of lib/store-model.mjs, loads production and the
 * branches over several connections (writes of 1-16 sectors, FUA, flushes, zeroes, reads that are
 * checked), creates and deletes snapshots and branches, restores production, cancels that, refreshes
 * branches, and sends SIGKILL after 0-30 ms of load (now and then later), often in the middle of such a
 * command. Restores are slowed down, so that most cycles are within one.
 *
 * Options: --cycles N (200), --seed S (1), --keep leaves the store of a failed run for a look.
 * Prints `kill-9 cycles done target seconds`. A seed repeats the same choices, not the same races.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { assertBuilt, pal, startDaemon } from './lib/daemon.mjs';
import { random } from './lib/random.mjs';
import { SECTOR } from './lib/sector-model.mjs';
import {
  cancelRestore,
  createBranch,
  createSnapshot,
  deleteBranch,
  deleteSnapshot,
  freeBranches,
  freeSnapshots,
  refreshBranch,
  restore,
  runCommand,
} from './lib/store-commands.mjs';
import { Layout, PRODUCTION, StoreModel } from './lib/store-model.mjs';
import { newCycle, verifiedLoad } from './lib/verified-load.mjs';

const { values } = parseArgs({
  options: {
    cycles: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    keep: { type: 'boolean', default: false },
  },
});
const CYCLES = Number(values.cycles);
const VOLUME_BYTES = 1 << 20;
const SECTORS = VOLUME_BYTES / SECTOR;
/** Hot sectors make overwrites, copy-outs and overlaps likely. */
const HOT_SECTORS = 256;
const CONNECTIONS = 3;
const IN_FLIGHT = 6;
const SNAPSHOTS_MAX = 8;
const BRANCHES_MAX = 3;
/** Restores over each other: each adds a layer. Two snapshots each are needed for as long. */
const RESTORING_MAX = 6;
/** Bytes a second, of some hundred kilobytes; cycles are of a tenth of a second and more. */
const RATES = [8192, 1 << 15, 1 << 17, undefined];
const FAULTS_SHOWN = 12;
/** A cycle takes a fraction of a second; one that takes this long hangs (R21). */
const CYCLE_MS = 60_000;

const rng = random(Number(values.seed));
const store = join(mkdtempSync(join(tmpdir(), 'palimpsest-kill9-')), 'store');
const layout = new Layout(SECTOR, [{ position: 0, count: SECTORS }]);
const model = new StoreModel({ store, layout, rng });
const counts = { inFlight: 0, 'kills in a restore': 0 };

/** A request's place: mostly in the hot sectors. */
function pick() {
  const first = rng.below(rng.chance(0.7) ? HOT_SECTORS : SECTORS);
  const count = Math.min(1 + rng.below(rng.chance(0.5) ? 16 : 2), SECTORS - first);
  return { first, count };
}

/** A random command. `busy`: exports under load, not to be deleted. */
function planCommand(busy) {
  const { known } = model;
  const branches = [...model.devices.keys()].filter((name) => name !== PRODUCTION);
  const free = freeSnapshots(model);
  const roll = rng.below(100);
  if (roll < 30 && model.snapshots.size < SNAPSHOTS_MAX) {
    return createSnapshot(model, rng.pick([PRODUCTION, PRODUCTION, ...branches]));
  }
  // Restores and refreshes bring snapshots too, and more of them than anybody takes.
  if (roll < 30 && free.length > 0) return deleteSnapshot(model, rng.pick(free));
  if (roll < 45 && known.length > 0 && branches.length < BRANCHES_MAX) {
    return createBranch(model, rng.pick(known));
  }
  if (roll < 65 && known.length > 0) return planRestore(known);
  if (roll < 75 && known.length > 0 && branches.length > 0) {
    return refreshBranch(model, rng.pick(branches), rng.pick(known));
  }
  const idle = freeBranches(model).filter((name) => !busy.has(name));
  if (roll < 85 && branches.length > 1 && idle.length > 0) {
    return deleteBranch(model, rng.pick(idle));
  }
  if (free.length > 0 && model.snapshots.size > 1) return deleteSnapshot(model, rng.pick(free));
  return idle.length > 0 ? deleteBranch(model, rng.pick(idle)) : createSnapshot(model);
}

function planRestore(known) {
  const [top] = model.restores;
  const isDeep = model.restoring.size >= RESTORING_MAX;
  if (top !== undefined && !isDeep && rng.chance(0.4)) return cancelRestore(model, top);
  if (isDeep) return undefined;
  const bytesPerSecond = rng.pick(RATES);
  return restore(model, rng.pick(known), bytesPerSecond === undefined ? {} : { bytesPerSecond });
}

async function cycle() {
  const daemon = await startDaemon(store);
  const hung = setTimeout(() => {
    model.faults.push(`no progress for ${CYCLE_MS} ms; the daemon said:\n${daemon.said()}`);
    daemon.kill();
  }, CYCLE_MS);
  try {
    await model.verify();
    if (model.faults.length > 0) return;
    if (model.restores.length > 0) counts['kills in a restore'] += 1;
    const shared = newCycle();
    const all = [...model.devices.keys()];
    const busy = new Set(all.filter((name) => name === PRODUCTION || rng.chance(0.7)));
    const loads = [...busy].flatMap((name) =>
      Array.from({ length: name === PRODUCTION ? CONNECTIONS : 1 }, () =>
        verifiedLoad(model, name, shared, { inFlight: IN_FLIGHT, pick }),
      ),
    );
    const planned = rng.chance(0.7) ? planCommand(busy) : undefined;
    const commands = planned === undefined ? [] : [runCommand(model, planned, shared)];
    const running = Promise.all([...loads, ...commands]);
    // A finding in the load must not wait for the kill.
    running.catch(() => {});
    // Mostly in the first moments; now and then late enough for commits that nobody asked for.
    await sleep(rng.below(rng.chance(0.05) ? 1500 : 31));
    // Now and then let the command be answered, so that snapshots and branches come about.
    if (rng.chance(0.5)) {
      await Promise.all(commands);
      // What a restore or a refresh brought is written to as well.
      if (planned?.replaces !== undefined) await sleep(rng.below(31));
    }
    shared.over = true;
    counts.inFlight += model.unsettled.length;
    await daemon.kill();
    await running;
  } finally {
    clearTimeout(hung);
    await daemon.kill();
  }
}

assertBuilt();
const start = performance.now();
let cycles = 0;
try {
  await pal(store, 'init', store);
  await pal(store, 'volume', 'create', PRODUCTION, '--size', `${VOLUME_BYTES}`);
  model.devices.set(PRODUCTION, model.newDevice(PRODUCTION));
  for (; cycles < CYCLES && model.faults.length === 0; cycles++) await cycle();
  if (model.faults.length === 0) {
    const daemon = await startDaemon(store);
    try {
      await model.verify();
    } finally {
      await daemon.stop();
    }
  }
} catch (error) {
  model.faults.push(error.stack ?? String(error));
}
const { faults } = model;
const seconds = ((performance.now() - start) / 1000).toFixed(1);
for (const fault of faults.slice(0, FAULTS_SHOWN)) console.error(fault);
if (faults.length > FAULTS_SHOWN) console.error(`… and ${faults.length - FAULTS_SHOWN} more`);
if (faults.length > 0) console.error(`after ${cycles} cycles of seed ${values.seed}`);
if (faults.length > 0 && values.keep) console.error(`the store is kept in ${store}`);
else rmSync(join(store, '..'), { recursive: true, force: true });
const told = Object.entries({ ...model.done, ...counts }).map(([what, n]) => `${n} ${what}`);
console.log(`kill-9: ${told.join(', ')}`);
console.log(`kill-9 ${faults.length === 0 ? cycles : 0} ${CYCLES} ${seconds}`);
process.exitCode = faults.length === 0 && cycles >= CYCLES ? 0 : 1;
