/**
 * The block map at 10 thousand to 10 million entries. Entries are those of unwritten-to blocks
 * (zeros), which have the same size and cost as others and no bytes; the map lies in memory.
 */
import { measure } from 'mitata';
import { createMemoryDevice } from '../../packages/block-device/dist/index.js';
import { formatSaveVolume, MISS, openSaveVolume } from '../../packages/save-volume/dist/index.js';
import { curveOf, spread } from '../lib/findings.mjs';
import { generator, timed } from './measure.mjs';

const SECTION = 'Block map';
const SPACE = 7;
const VERSION = 5;
/** Every third block has an entry, so that as many look-ups as not fall between two. */
const STRIDE = 3;
const LOOK_UP = 'block map: look-up, all pages in memory';
const MISSING = 'block map: look-up, pages as memory allows';
const INSERT = 'block map: insert, until durable';
const CHECKPOINT = 'block map: insert, with its share of the checkpoint';
/** Random inserts between two checkpoints: as many as the journal takes by default. */
const INSERTS = 131_072;
/** Parts that they are timed in: the least of them counts. */
const PARTS = 4;
/** An insert's own call does not wait for more than this many others. */
const BATCH = 64;

/** @type {readonly import('./rows.mjs').Row[]} */
export const BLOCK_MAP = [{ finds: [LOOK_UP, MISSING, INSERT, CHECKPOINT], run: blockMap }];

/** Each map is built once: ten million entries take half a minute. */
async function blockMap({ quick, say }) {
  const found = [];
  for (const entries of [1e4, 1e6, ...(quick ? [] : [1e7])]) {
    const { device, save } = await makeMap(entries);
    const point = { entries, ...(await lookUps(save.map, entries, quick)) };
    await save.close();
    const again = await openSaveVolume(device); // with the memory that it has by default
    Object.assign(point, await missing(again.map, entries), await inserts(again, entries, quick));
    say(
      Object.entries(point)
        .map(([name, value]) => `${name} ${value.toFixed(2)}`)
        .join(', '),
    );
    found.push(point);
  }
  const points = (name) => found.map((point) => ({ at: point.entries, value: point[name] }));
  const told = (text) =>
    found.map((point) => `${text(point)} at ${point.entries.toLocaleString('en')}`).join(', ');
  const shared = { section: SECTION, axis: 'entries' };
  return [
    curveOf({
      ...shared,
      what: LOOK_UP,
      unit: '× a binary search in one sorted array',
      points: points('ratio'),
      worst: 'logarithmic',
      note:
        `ns: ${told(({ p50, p99 }) => `${p50.toFixed(0)} (p99 ${p99.toFixed(0)})`)}. A search in one ` +
        "sorted array takes as many steps and meets the processor's caches in the same way, so what " +
        "grows besides is the map's",
    }),
    curveOf({
      ...shared,
      what: MISSING,
      unit: 'ns',
      points: points('missingNs'),
      note:
        'anywhere, with the default cache of 64 MiB, which holds a map of some 2 million entries. Pages read for each look-up: ' +
        `${told(({ pagesRead }) => pagesRead.toFixed(2))}; inner pages stay in memory, so it is one at most`,
    }),
    curveOf({
      ...shared,
      what: INSERT,
      unit: 'µs',
      points: points('insertUs'),
      worst: 'logarithmic',
    }),
    curveOf({
      ...shared,
      what: CHECKPOINT,
      unit: 'µs',
      points: points('wholeUs'),
      note:
        `anywhere, as many between two checkpoints as a journal takes. Pages of both trees written for ` +
        `each: ${told(({ pagesWritten }) => pagesWritten.toFixed(2))}; a leaf of each tree is the most that there can be`,
    }),
  ];
}

async function makeMap(entries) {
  const device = createMemoryDevice({ size: 2 ** 33 });
  await formatSaveVolume(device);
  const save = await openSaveVolume(device, { cacheBytes: 2 ** 31 });
  const step = save.operationsMax;
  for (let from = 0; from < entries; from += step) {
    await save.transact((batch) => {
      const end = Math.min(entries, from + step);
      for (let index = from; index < end; index += 1) batch.putZero(SPACE, index * STRIDE, VERSION);
    });
  }
  await save.checkpoint();
  return { device, save };
}

async function lookUps(map, entries, quick) {
  const plain = new Float64Array(entries).map((_, index) => index * STRIDE);
  const random = generator(1);
  const lookUp = () => map.lookUp(SPACE, Math.floor(random() * entries) * STRIDE, VERSION);
  const search = () => lowerBound(plain, Math.floor(random() * entries) * STRIDE);
  const rounds = [];
  for (let round = 0; round < (quick ? 3 : 5); round += 1) {
    const { p50, p99 } = await measure(lookUp, { min_cpu_time: 5e7 });
    rounds.push({ p50, p99, ratio: p50 / (await measure(search, { min_cpu_time: 5e7 })).p50 });
  }
  const median = (name) => spread(rounds.map((each) => each[name])).median;
  return { p50: median('p50'), p99: median('p99'), ratio: median('ratio') };
}

async function missing(map, entries) {
  const random = generator(2);
  const calls = 20_000;
  let pages = 0;
  const look = async () => {
    for (let count = 0; count < calls; count += 1) {
      const block = Math.floor(random() * entries) * STRIDE;
      if (map.lookUp(SPACE, block, VERSION) !== MISS) continue;
      let looks = 0;
      await map.withPages(() => {
        looks += 1;
        return map.lookUp(SPACE, block, VERSION);
      });
      pages += looks - 1;
    }
  };
  await look(); // fills the cache
  pages = 0;
  const us = await timed(look);
  return { missingNs: (us / calls) * 1000, pagesRead: pages / calls };
}

async function inserts(save, entries, quick) {
  const random = generator(3);
  const count = quick ? INSERTS / 4 : INSERTS;
  const before = save.metrics().mapBytes;
  const part = count / PARTS;
  const inserting = [];
  for (let turn = 0; turn < PARTS; turn += 1) {
    inserting.push(
      await timed(async () => {
        for (let from = 0; from < part; from += BATCH) {
          await save.transact((batch) => {
            for (let index = 0; index < BATCH; index += 1) {
              batch.putZero(SPACE, Math.floor(random() * entries * STRIDE), VERSION);
            }
          });
        }
      }),
    );
  }
  const merging = await timed(() => save.checkpoint());
  return {
    insertUs: Math.min(...inserting) / part,
    wholeUs: (inserting.reduce((sum, each) => sum + each) + merging) / count,
    pagesWritten: (save.metrics().mapBytes - before) / save.blockSize / count,
  };
}

function lowerBound(sorted, value) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
