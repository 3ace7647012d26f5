/**
 * Real kill -9 cycles of the real daemon under load over NBD.
 *
 * Goal: what was flushed is never lost, nothing is ever invented, no snapshot ever changes, branches
 * stay apart (the promises I1, I4, I5, I6 and I10). Method: this process keeps the log of what was
 * answered. Each cycle starts the built daemon, compares everything it serves with the model of
 * lib/sector-model.mjs, loads production and the branches over several connections (writes of 1-16
 * sectors, FUA, flushes, zeroes, reads that are checked), creates and deletes snapshots and branches
 * meanwhile, and sends SIGKILL after 0-30 ms of load (now and then later), often in the middle of such
 * a command.
 *
 * Options: --cycles N (200), --seed S (1), --keep leaves the store of a failed run for a look.
 * Prints `kill-9 cycles done target seconds`. A seed repeats the same choices, not the same races.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { assertBuilt, control, nbdSocket, pal, startDaemon } from './lib/daemon.mjs';
import { connectNbd, NbdGone } from './lib/nbd-client.mjs';
import { random } from './lib/random.mjs';
import {
  allow,
  DeviceModel,
  History,
  parse,
  payload,
  SECTOR,
  snapshotFaults,
} from './lib/sector-model.mjs';

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
const SNAPSHOTS_MAX = 5;
const BRANCHES_MAX = 3;
const FAULTS_SHOWN = 12;
/** A cycle takes a fraction of a second; one that takes this long hangs (R21). */
const CYCLE_MS = 60_000;

const rng = random(Number(values.seed));
const history = new History();
const store = join(mkdtempSync(join(tmpdir(), 'palimpsest-kill9-')), 'store');
/** Writable devices by export name. @type {Map<string, DeviceModel>} */
const devices = new Map();
/** Snapshots by name: the digest of their content once it is known, before that what it may be. */
const snapshots = new Map();
/** What was under way when the daemon died: may exist or not. @type {{ kind: string, name: string }[]} */
let unsettled = [];
const faults = [];
const done = {
  writes: 0,
  flushes: 0,
  reads: 0,
  snapshots: 0,
  branches: 0,
  deletes: 0,
  inFlight: 0,
};
let names = 0;

const digest = (bytes) => createHash('sha256').update(bytes).digest('hex');
const snapshotRef = (name) => `prod@${name}`;

/** Everything an export holds. */
async function readAll(exportName) {
  const client = await connectNbd(nbdSocket(store), exportName);
  const bytes = await client.read(0, VOLUME_BYTES);
  await client.close();
  return bytes;
}

/** After a restart: the names, the content of every snapshot, branch and of production. */
async function verify() {
  await settle();
  for (const [name, snapshot] of snapshots) await verifySnapshot(name, snapshot);
  for (const [name, device] of devices) {
    faults.push(...device.recovered(parse(await readAll(name), 0, history)));
  }
}

/** Compares the names that exist with those that must, after a crash in mid-command (I6). */
async function settle() {
  const listed = await control.list(store);
  const there = new Set([...listed.snapshots, ...listed.branches]);
  for (const { kind, name, snapshot, device } of unsettled) {
    const exists = there.has(name);
    if (kind === 'create-snapshot' && exists) snapshots.set(name, snapshot);
    if (kind === 'create-branch' && exists) devices.set(name, device);
    if (kind === 'delete-snapshot' && !exists) snapshots.delete(name);
    if (kind === 'delete-branch' && !exists) devices.delete(name);
  }
  unsettled = [];
  const expected = new Set([
    ...snapshots.keys(),
    ...[...devices.keys()].filter((n) => n !== 'prod'),
  ]);
  for (const name of expected) if (!there.has(name)) faults.push(`${name} is gone`);
  for (const name of there) if (!expected.has(name)) faults.push(`${name} came from nowhere`);
}

/** A snapshot's content is what it may be at first, and the same for ever after (I1, M4). */
async function verifySnapshot(name, snapshot) {
  const bytes = await readAll(name);
  const sum = digest(bytes);
  if (snapshot.sum === undefined) {
    snapshot.content = parse(bytes, 0, history);
    faults.push(
      ...snapshotFaults(snapshot.content, possible(snapshot.before), `${name} (${snapshot.told})`),
    );
    snapshot.sum = sum;
    snapshot.before = undefined;
  } else if (snapshot.sum !== sum) {
    faults.push(`${name} changed: its sha256 was ${snapshot.sum} and is ${sum}`);
  }
}

/** What a snapshot may hold, seen from before the recovery of production is taken note of. */
function possible(before) {
  if (before.afterCrash !== true) return before;
  const { surviving } = devices.get('prod');
  const visible = before.visible.map((list, s) => [...list, ...surviving[s]]);
  return { ...before, visible };
}

/** One connection's load until `over.yes`; what is unanswered then stays unknown. */
async function load(name, over) {
  const device = devices.get(name);
  let client;
  const worker = async () => {
    while (!over.yes) await step(device, client);
  };
  try {
    client = await connectNbd(nbdSocket(store), name);
    await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  } catch (error) {
    // The daemon was killed beneath us, as planned. Any other end is a finding.
    const isKill = error instanceof NbdGone || error.syscall === 'connect';
    if (!isKill || !over.yes) throw error;
  } finally {
    client?.destroy();
  }
}

/** One random request, logged before it is sent and after it is answered. */
async function step(device, client) {
  const first = rng.below(rng.chance(0.7) ? HOT_SECTORS : SECTORS);
  const count = Math.min(1 + rng.below(rng.chance(0.5) ? 16 : 2), SECTORS - first);
  const kind = rng.below(100);
  if (kind < 12) {
    const invoke = history.now();
    await client.flush();
    device.flushed(invoke);
    done.flushes += 1;
  } else if (kind < 22) {
    const since = { lastId: history.lastId, recent: device.recent };
    const before = device.visible.slice(first, first + count).map((list) => [...list]);
    const read = parse(await client.read(first * SECTOR, count * SECTOR), first, history);
    read.forEach((sector, i) => {
      const fault = allow(sector, before[i], first + i, `a read of ${device.name}`, since);
      if (fault !== undefined) faults.push(fault);
    });
    done.reads += 1;
  } else {
    const zero = kind < 27;
    const fua = kind >= 90;
    const write = history.begin(device.name, zero);
    device.issued(write, first, count);
    if (zero) await client.writeZeroes(first * SECTOR, count * SECTOR, { fua });
    else await client.write(first * SECTOR, payload(write, first, count), { fua });
    write.answer = history.now();
    device.answered(write, first, count, fua);
    done.writes += 1;
  }
}

/** One command to the daemon in mid-traffic. Unanswered, both outcomes are allowed (I6). */
async function command(over) {
  const choice = planCommand();
  if (choice === undefined) return;
  unsettled.push(choice);
  try {
    await choice.run(over);
  } catch (error) {
    if (over.yes) return;
    throw error;
  }
  // Answered, so it holds from now on, even when the daemon is dead already.
  unsettled.splice(unsettled.indexOf(choice), 1);
  choice.settle();
}

function planCommand() {
  const known = [...snapshots].filter(([, { content }]) => content !== undefined);
  const branches = [...devices.keys()].filter((name) => name !== 'prod');
  const bases = new Set(branches.map((name) => devices.get(name).base));
  const roll = rng.below(100);
  if (roll < 45 && snapshots.size < SNAPSHOTS_MAX) return planSnapshot();
  if (roll < 70 && known.length > 0 && branches.length < BRANCHES_MAX) {
    return planBranch(...rng.pick(known));
  }
  if (roll < 85 && branches.length > 1) {
    const name = rng.pick(branches);
    if (busy.has(name)) return undefined;
    return {
      kind: 'delete-branch',
      name,
      run: () => control.deleteBranch(store, name),
      settle: () => {
        devices.delete(name);
        done.deletes += 1;
      },
    };
  }
  const free = [...snapshots.keys()].filter((name) => !bases.has(name));
  if (free.length === 0 || snapshots.size < 2) return planSnapshot();
  const name = rng.pick(free);
  return {
    kind: 'delete-snapshot',
    name,
    run: () => control.deleteSnapshot(store, name),
    settle: () => {
      snapshots.delete(name);
      done.deletes += 1;
    },
  };
}

function planSnapshot() {
  const name = snapshotRef(`s${++names}`);
  const prod = devices.get('prod');
  const before = {
    visible: prod.visible.map((list) => [...list]),
    lastId: history.lastId,
    recent: prod.recent,
  };
  const snapshot = { before, content: undefined, sum: undefined };
  return {
    kind: 'create-snapshot',
    name,
    snapshot,
    // Now and then by the command line. When the daemon dies before it is asked, the command opens the
    // store itself: then the snapshot is of what survived, not of what was visible.
    run: async (over) => {
      if (!rng.chance(0.1)) {
        snapshot.told = 'by the API, unanswered';
        await control.createSnapshot(store, name);
        snapshot.told = `by the API, answered ${over.yes ? 'after' : 'before'} the kill`;
        return;
      }
      snapshot.told = 'by the command line';
      await pal(store, 'snapshot', 'create', name);
      if (over.yes) before.afterCrash = true;
    },
    settle: () => {
      snapshots.set(name, snapshot);
      done.snapshots += 1;
    },
  };
}

function planBranch(base, { content }) {
  const name = `prod/b${++names}`;
  const device = new DeviceModel(
    name,
    SECTORS,
    content.map(({ write }) => write),
  );
  device.base = base;
  return {
    kind: 'create-branch',
    name,
    device,
    run: () => control.createBranch(store, name, base),
    settle: () => {
      devices.set(name, device);
      done.branches += 1;
    },
  };
}

/** Exports under load in this cycle: not to be deleted in it. */
const busy = new Set();

async function cycle() {
  const daemon = await startDaemon(store);
  const hung = setTimeout(() => {
    faults.push(`no progress for ${CYCLE_MS} ms; the daemon said:\n${daemon.said()}`);
    daemon.kill();
  }, CYCLE_MS);
  try {
    await verify();
    if (faults.length > 0) return;
    busy.clear();
    const over = { yes: false };
    for (const name of devices.keys()) if (name === 'prod' || rng.chance(0.7)) busy.add(name);
    const loads = [...busy].flatMap((name) =>
      Array.from({ length: name === 'prod' ? CONNECTIONS : 1 }, () => load(name, over)),
    );
    const commands = rng.chance(0.7) ? [command(over)] : [];
    const running = Promise.all([...loads, ...commands]);
    // A finding in the load must not wait for the kill.
    running.catch(() => {});
    // Mostly in the first moments; now and then late enough for commits that nobody asked for.
    await sleep(rng.below(rng.chance(0.05) ? 1500 : 31));
    // Now and then let the command be answered, so that snapshots and branches come about.
    if (rng.chance(0.5)) await Promise.all(commands);
    over.yes = true;
    done.inFlight += unsettled.length;
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
  await pal(store, 'volume', 'create', 'prod', '--size', `${VOLUME_BYTES}`);
  devices.set('prod', new DeviceModel('prod', SECTORS));
  for (; cycles < CYCLES && faults.length === 0; cycles++) await cycle();
  if (faults.length === 0) {
    const daemon = await startDaemon(store);
    try {
      await verify();
    } finally {
      await daemon.stop();
    }
  }
} catch (error) {
  faults.push(error.stack ?? String(error));
}
const seconds = ((performance.now() - start) / 1000).toFixed(1);
for (const fault of faults.slice(0, FAULTS_SHOWN)) console.error(fault);
if (faults.length > FAULTS_SHOWN) console.error(`… and ${faults.length - FAULTS_SHOWN} more`);
if (faults.length > 0) console.error(`after ${cycles} cycles of seed ${values.seed}`);
if (faults.length > 0 && values.keep) console.error(`the store is kept in ${store}`);
else rmSync(join(store, '..'), { recursive: true, force: true });
const told = Object.entries(done).map(([what, count]) => `${count} ${what}`);
console.log(`kill-9: ${told.join(', ')}`);
console.log(`kill-9 ${faults.length === 0 ? cycles : 0} ${CYCLES} ${seconds}`);
process.exitCode = faults.length === 0 && cycles >= CYCLES ? 0 : 1;
