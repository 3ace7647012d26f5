/**
 * A restore of a volume in use, under real kill -9.
 *
 * Goal: a restore shows its source at once and for good (I7): whatever was written and flushed since
 * is there, every other sector reads as the source has it, no snapshot changes, and the copy-back ends,
 * however often the daemon dies in the middle of it. Method: a sparse volume of 4 GiB with some hundred
 * megabytes of data. A snapshot of it, overwrites, another snapshot; then `restore` of the first,
 * slowed down so that it lasts, while clients of this process read with verification, write, zero and
 * flush, aimed at what is being copied back. The daemon gets SIGKILL again and again. After each
 * restart this process, which knows every write, compares a sample of what it wrote, of what it must
 * not find changed, and of the snapshots; now and then, and at the end, all of it. It shares no code
 * with the product (docs/adr/0004).
 *
 * Options: --kills N (100), --seed S (1), --data MIB (96), --keep.
 * Prints `restore-kills done target seconds`. A seed repeats the same choices, not the same races.
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

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    data: { type: 'string', default: '96' },
    keep: { type: 'boolean', default: false },
  },
});
const KILLS = Number(values.kills);
const MIB = 1 << 20;
const VOLUME_BYTES = 4096 * MIB;
/** Written and verified in pages; a page that is torn is a fault of its own. */
const PAGE = 4096;
const PAGES_A_MIB = MIB / PAGE;
/** Stretches of data of one mebibyte, spread over the volume. */
const STRETCHES = Number(values.data);
const STRIDE = Math.floor(VOLUME_BYTES / MIB / STRETCHES);
const CLIENTS = 4;
const IN_FLIGHT = 4;
/** How long a cycle's load lasts before the kill, at most. */
const LOAD_MS = 900;
/** The copy-back is to last through the kills and somewhat longer, however slow the machine is. */
const SPARE = 1.5;
/** It begins so slowly, until it is known how long the daemon lives between two kills. Bytes a second. */
const FIRST_RATE = 1 << 17;
const LEAST_RATE = 1 << 14;
/** Pages looked at after a restart, of each kind; all of them every `THOROUGH` kills. */
const SAMPLE = 200;
const THOROUGH = 50;
const CYCLE_MS = 90_000;
const FAULTS_SHOWN = 12;

const rng = random(Number(values.seed));
const store = join(mkdtempSync(join(tmpdir(), 'palimpsest-restore-')), 'store');
const faults = [];
const done = { writes: 0, flushes: 0, reads: 0, 'pages compared': 0, 'whole comparisons': 0 };

// ---- the model: for each page of the data, the writes that it may hold

const PAGES = STRETCHES * PAGES_A_MIB;
/** Generations: 1 is before the first snapshot, 2 before the second, later ones are since the restore. */
const SOURCE = 1;
const OVERWRITE = 2;
let generation = 2;

/**
 * Since the restore: what a page may hold after a crash, oldest first, and what is visible now. Each
 * write has an id; those below 0 are zeros, which do not say whose they are.
 */
const surviving = Array.from({ length: PAGES }, () => [SOURCE]);
/** What was written since the restore is asked of a page at a time. @type {Set<number>} */
const busy = new Set();
const touched = new Set();

const positionOf = (page) =>
  Math.floor(page / PAGES_A_MIB) * STRIDE * MIB + (page % PAGES_A_MIB) * PAGE;
const overwritten = (page) => page % 3 !== 0;

/** The bytes of a page as write `id` has it; the page and the write are in every 16 bytes. */
function bytesOf(page, id) {
  const bytes = Buffer.alloc(PAGE);
  if (id === 0) return bytes;
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, PAGE / 4);
  let mixed = (Math.imul(page + 1, 0x9e3779b1) ^ Math.imul(id, 0x85ebca6b)) >>> 0;
  for (let at = 0; at < words.length; at += 4) {
    mixed = (Math.imul(mixed, 1664525) + 1013904223) >>> 0;
    words[at] = id;
    words[at + 1] = page;
    words[at + 2] = at;
    words[at + 3] = mixed;
  }
  return bytes;
}

/** Which write a page holds; undefined when it is no write's whole page. */
function idOf(bytes, page) {
  const id = bytes.readUInt32LE(0);
  return bytes.equals(bytesOf(page, id)) ? id : undefined;
}

function compare(bytes, page, allowed, where) {
  done['pages compared'] += 1;
  const id = idOf(bytes, page);
  const found = allowed.find((each) => Math.max(each, 0) === id);
  if (found !== undefined) return found;
  const [first, second] = [bytes.readUInt32LE(0), bytes.readUInt32LE(4)];
  const holds =
    id === undefined ? `torn or foreign bytes (${first} of page ${second})` : `write ${id}`;
  faults.push(`${where}: page ${page} holds ${holds}; it may hold write ${allowed.join(' or ')}`);
  return undefined;
}

// ---- before the restore

async function connect(name) {
  return connectNbd(nbdSocket(store), name);
}

/** Writes generation `id` of the pages that `wanted`, in long writes. */
async function fillPages(client, id, wanted) {
  for (let stretch = 0; stretch < STRETCHES; stretch += 1) {
    const first = stretch * PAGES_A_MIB;
    const pages = Array.from({ length: PAGES_A_MIB }, (_, i) => first + i);
    if (pages.every(wanted)) {
      await client.write(positionOf(first), Buffer.concat(pages.map((page) => bytesOf(page, id))));
      continue;
    }
    await Promise.all(
      pages.filter(wanted).map((page) => client.write(positionOf(page), bytesOf(page, id))),
    );
  }
  await client.flush();
}

async function prepare() {
  await pal(store, 'init', store);
  const daemon = await startDaemon(store);
  await control.createVolume(store, 'prod', VOLUME_BYTES);
  const client = await connect('prod');
  if (client.size !== VOLUME_BYTES) faults.push(`prod has ${client.size} bytes`);
  await fillPages(client, SOURCE, () => true);
  await control.createSnapshot(store, 'prod@source');
  await fillPages(client, OVERWRITE, overwritten);
  await control.createSnapshot(store, 'prod@newer');
  await client.close();
  const how = { bytesPerSecond: FIRST_RATE };
  const info = await control.restore(store, 'prod', 'prod@source', how);
  if (info.state === 'done') faults.push('the restore was done before it began');
  undo = info.undo;
  expected.set('prod@source', () => [SOURCE]);
  expected.set('prod@newer', (page) => [overwritten(page) ? OVERWRITE : SOURCE]);
  expected.set(undo, (page) => [overwritten(page) ? OVERWRITE : SOURCE]);
  await daemon.kill();
}

/** The state before the restore. */
let undo;
/** What each page of each snapshot holds, by reference. @type {Map<string, (page: number) => number[]>} */
const expected = new Map();

// ---- load

/** One client's load on its own quarter of the pages, until `over.yes`. */
async function load(part, over) {
  let client;
  const worker = async () => {
    while (!over.yes) await step(client, part);
  };
  try {
    client = await connect('prod');
    await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  } catch (error) {
    const isKill = error instanceof NbdGone || error.syscall === 'connect';
    if (!isKill || !over.yes) throw error;
  } finally {
    client?.destroy();
  }
}

/** One request on a page that nobody else has a request on. */
async function step(client, part) {
  const roll = rng.below(100);
  if (roll < 10) {
    // A flush covers what was answered before it was sent.
    const covered = [...touched].map((page) => [page, surviving[page].at(-1)]);
    const settled = covered.filter(([page]) => !busy.has(page));
    await client.flush();
    for (const [page, id] of settled) {
      const list = surviving[page];
      // Under FUA a later one may have replaced it already.
      if (list.includes(id)) surviving[page] = list.slice(list.indexOf(id));
    }
    done.flushes += 1;
    return;
  }
  let page = rng.below(PAGES / CLIENTS) * CLIENTS + part;
  while (busy.has(page)) page = rng.below(PAGES / CLIENTS) * CLIENTS + part;
  busy.add(page);
  if (roll < 35) {
    // Visible is what was written last.
    const last = surviving[page].at(-1);
    compare(await client.read(positionOf(page), PAGE), page, [last], 'a read under load');
    done.reads += 1;
  } else {
    const zero = roll < 40;
    const fua = roll >= 92;
    generation += 1;
    const id = zero ? -generation : generation;
    touched.add(page);
    surviving[page] = [...surviving[page], id];
    if (zero) await client.writeZeroes(positionOf(page), PAGE, { fua });
    else await client.write(positionOf(page), bytesOf(page, id), { fua });
    if (fua) surviving[page] = [id];
    done.writes += 1;
  }
  busy.delete(page);
}

// ---- after a restart

function someOf(pages, count) {
  if (pages.length <= count) return pages;
  const first = rng.below(pages.length);
  return Array.from({ length: count }, (_, i) => pages[(first + i * 7919) % pages.length]);
}

/** Reads pages, a few requests at a time, and hands each to `look`. */
async function eachPage(name, pages, look) {
  const client = await connect(name);
  try {
    for (let at = 0; at < pages.length; at += 64) {
      const some = pages.slice(at, at + 64);
      const read = await Promise.all(some.map((page) => client.read(positionOf(page), PAGE)));
      for (const [i, page] of some.entries()) look(read[i], page);
    }
  } finally {
    await client.close();
  }
}

const ALL = Array.from({ length: PAGES }, (_, page) => page);

/** What production holds: what was flushed or later; else the source. */
async function verify(thorough) {
  busy.clear();
  const unsure = [...touched].filter((page) => surviving[page].length > 1);
  const pages = thorough
    ? ALL
    : [...new Set([...unsure, ...someOf([...touched], SAMPLE), ...someOf(ALL, SAMPLE)])];
  await eachPage('prod', pages, (bytes, page) => {
    const id = compare(bytes, page, surviving[page], 'prod after a kill');
    if (id !== undefined) surviving[page] = [id];
  });
  for (const [name, allowed] of expected) {
    if (!thorough && !rng.chance(0.5)) continue;
    const some = thorough ? ALL : someOf(ALL, SAMPLE);
    await eachPage(name, some, (bytes, page) => compare(bytes, page, allowed(page), name));
  }
  if (thorough) await digests();
}

const sums = new Map();

/** The digest of every snapshot's data, which must be the same for ever. */
async function digests() {
  done['whole comparisons'] += 1;
  for (const name of expected.keys()) {
    const hash = createHash('sha256');
    const client = await connect(name);
    for (let stretch = 0; stretch < STRETCHES; stretch += 1) {
      // Between the stretches there is nothing, and stays nothing.
      const bytes = await client.read(stretch * STRIDE * MIB, MIB + PAGE);
      hash.update(bytes);
    }
    await client.close();
    const sum = hash.digest('hex');
    const before = sums.get(name) ?? sum;
    sums.set(name, sum);
    if (before !== sum) faults.push(`${name} changed: its sha256 was ${before} and is ${sum}`);
  }
}

/** A snapshot taken in mid-restore holds what is visible then: with no load, exactly that. */
async function snapshotMeanwhile(number) {
  const name = `prod@during${number}`;
  const held = surviving.map((list) => list.at(-1));
  await control.createSnapshot(store, name);
  expected.set(name, (page) => [held[page]]);
}

let killsInRestore = 0;

/** Sets the rate so that what is left lasts for the kills that are left. */
async function pace({ doneBytes, totalBytes }, number) {
  const seconds = ((KILLS - number) * alive) / number;
  const rate = Math.floor((totalBytes - doneBytes) / seconds / SPARE);
  await control.resumeRestore(store, 'prod', { bytesPerSecond: Math.max(LEAST_RATE, rate) });
}

/** Seconds that the daemon has lived in all cycles. */
let alive = 0;

async function cycle(number) {
  const daemon = await startDaemon(store);
  const born = performance.now();
  const hung = setTimeout(() => {
    faults.push(`no progress for ${CYCLE_MS} ms; the daemon said:\n${daemon.said()}`);
    daemon.kill();
  }, CYCLE_MS);
  try {
    await verify(number % THOROUGH === 0);
    if (number % 30 === 15) await snapshotMeanwhile(number);
    const [restore] = await control.restores(store);
    if (restore !== undefined) {
      killsInRestore += 1;
      if (number % 5 === 4) await pace(restore, number);
    }
    if (faults.length > 0) return;
    const over = { yes: false };
    const loads = Promise.all(Array.from({ length: CLIENTS }, (_, part) => load(part, over)));
    loads.catch(() => {});
    await sleep(rng.below(LOAD_MS));
    over.yes = true;
    await daemon.kill();
    await loads;
    alive += (performance.now() - born) / 1000;
  } finally {
    clearTimeout(hung);
    await daemon.kill();
  }
}

/** Lets the copy-back end, at full speed, and looks at everything once more. */
async function finish() {
  const daemon = await startDaemon(store);
  try {
    if ((await control.restores(store)).length > 0) {
      await control.resumeRestore(store, 'prod', { bytesPerSecond: 1 << 30 });
    }
    for (let waited = 0; (await control.restores(store)).length > 0; waited += 50) {
      if (waited > CYCLE_MS) throw new Error('the copy-back does not end');
      await sleep(50);
    }
    await verify(true);
  } finally {
    await daemon.stop();
  }
}

assertBuilt();
const start = performance.now();
let kills = 0;
try {
  await prepare();
  for (; kills < KILLS && faults.length === 0; kills += 1) await cycle(kills);
  if (killsInRestore < KILLS) {
    faults.push(`only ${killsInRestore} of ${KILLS} kills were before the copy-back had ended`);
  }
  if (faults.length === 0) await finish();
} catch (error) {
  faults.push(error.stack ?? String(error));
}
const seconds = ((performance.now() - start) / 1000).toFixed(1);
for (const fault of faults.slice(0, FAULTS_SHOWN)) console.error(fault);
if (faults.length > FAULTS_SHOWN) console.error(`… and ${faults.length - FAULTS_SHOWN} more`);
if (faults.length > 0) console.error(`after ${kills} kills of seed ${values.seed}`);
if (faults.length > 0 && values.keep) console.error(`the store is kept in ${store}`);
else rmSync(join(store, '..'), { recursive: true, force: true });
const told = Object.entries(done).map(([what, count]) => `${count} ${what}`);
console.log(`restore-kills: ${told.join(', ')}`);
console.log(`restore-kills ${faults.length === 0 ? kills : 0} ${KILLS} ${seconds}`);
process.exitCode = faults.length === 0 && kills >= KILLS ? 0 : 1;
