/**
 * The block map at 10 thousand to 10 million entries. Entries are those of unwritten-to blocks
 * (zeros), which have the same size and cost as others and no bytes; the map lies in memory.
 */
import { measure } from 'mitata';
import { createMemoryDevice } from '../../packages/block-device/dist/index.js';
import { formatSaveVolume, MISS, openSaveVolume } from '../../packages/save-volume/dist/index.js';
import { curveOf, spread } from '../lib/findings.mjs';
import { generator, inTurns, timed } from './measure.mjs';

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
/** An insert's own call does not wait for more than this many others. */
const BATCH = 64;

/** @type {readonly import('./rows.mjs').Row[]} */
export const BLOCK_MAP = [
  { finds: [LOOK_UP], run: lookUps },
  { finds: [MISSING], run: missing },
  { finds: [INSERT, CHECKPOINT], run: inserts },
];

const sizesOf = (quick) => [1e4, 1e6, ...(quick ? [] : [1e7])];

async function makeMap(entries, cacheBytes) {
  const device = createMemoryDevice({ size: 2 ** 33 });
  await formatSaveVolume(device);
  const save = await openSaveVolume(device, cacheBytes === undefined ? {} : { cacheBytes });
  const step = save.operationsMax;
  for (let from = 0; from < entries; from += step) {
    await save.transact((batch) => {
      const end = Math.min(entries, from + step);
      for (let index = from; index < end; index += 1) batch.putZero(SPACE, index * STRIDE, VERSION);
    });
  }
  await save.checkpoint();
  return save;
}

async function lookUps({ quick, say }) {
  const points = [];
  let note = '';
  for (const entries of sizesOf(quick)) {
    const save = await makeMap(entries, 2 ** 31);
    const plain = new Float64Array(entries).map((_, index) => index * STRIDE);
    const random = generator(1);
    const lookUp = () => save.map.lookUp(SPACE, Math.floor(random() * entries) * STRIDE, VERSION);
    const search = () => lowerBound(plain, Math.floor(random() * entries) * STRIDE);
    const ratios = [];
    const ours = [];
    for (let round = 0; round < (quick ? 3 : 5); round += 1) {
      ours.push(await measure(lookUp, { min_cpu_time: 5e7 }));
      ratios.push(ours.at(-1).p50 / (await measure(search, { min_cpu_time: 5e7 })).p50);
    }
    const told = (name) => spread(ours.map((each) => each[name])).median.toFixed(0);
    say(`${entries} entries: ${told('p50')} ns, p99 ${told('p99')} ns`);
    note += `${note && '; '}${told('p50')} ns (p99 ${told('p99')}) at ${entries.toLocaleString('en')}`;
    points.push({ at: entries, value: spread(ratios).median });
  }
  return [
    curveOf({
      section: SECTION,
      what: LOOK_UP,
      axis: 'entries',
      unit: '× a binary search in one sorted array',
      points,
      worst: 'logarithmic',
      note:
        `${note}. A search in one sorted array of as many numbers takes as many steps and meets the ` +
        "processor's caches in the same way, so what grows besides is the map's.",
    }),
  ];
}

/** Random look-ups with the cache that a store has by default. */
async function missing({ quick, say }) {
  const maps = new Map();
  for (const entries of sizesOf(quick)) maps.set(entries, await makeMap(entries));
  let misses = 0;
  const found = await inTurns([...maps.keys()], 3, async (entries) => {
    const { map } = maps.get(entries);
    const random = generator(2);
    misses = 0;
    const us = await timed(async () => {
      for (let count = 0; count < 20_000; count += 1) {
        const block = Math.floor(random() * entries) * STRIDE;
        while (map.lookUp(SPACE, block, VERSION) === MISS) {
          misses += 1;
          await map.fetch();
        }
      }
    });
    return { ns: us / 20, misses: misses / 20_000 };
  });
  const sizes = [...maps.keys()];
  say(sizes.map((size, n) => `${size}: ${found[n].misses.median} pages read`).join(', '));
  return [
    curveOf({
      section: SECTION,
      what: MISSING,
      axis: 'entries',
      unit: 'ns',
      points: sizes.map((at, index) => ({ at, value: found[index].ns.median })),
      note: `random look-ups with the default cache of 64 MiB, which holds a map of some 2 million entries. Pages read for each look-up: ${sizes.map((size, n) => `${found[n].misses.median.toFixed(2)} at ${size.toLocaleString('en')}`).join(', ')}: inner pages stay in memory, so it is one at most.`,
    }),
  ];
}

async function inserts({ quick, say }) {
  const durable = [];
  const whole = [];
  let pages = '';
  for (const entries of sizesOf(quick)) {
    const save = await makeMap(entries);
    const random = generator(3);
    const step = quick ? INSERTS / 4 : INSERTS;
    const before = save.metrics().mapBytes;
    const inserting = await timed(async () => {
      for (let from = 0; from < step; from += BATCH) {
        await save.transact((batch) => {
          for (let index = 0; index < BATCH; index += 1) {
            batch.putZero(SPACE, Math.floor(random() * entries * STRIDE), VERSION);
          }
        });
      }
    });
    const merging = await timed(() => save.checkpoint());
    const written = (save.metrics().mapBytes - before) / step;
    say(`${entries} entries: ${inserting / step} µs, checkpoint ${merging / 1000} ms`);
    durable.push({ at: entries, value: inserting / step });
    whole.push({ at: entries, value: (inserting + merging) / step });
    pages += `${pages && ', '}${written.toFixed(0)} at ${entries.toLocaleString('en')}`;
  }
  return [
    curveOf({
      section: SECTION,
      what: INSERT,
      axis: 'entries',
      unit: 'µs',
      points: durable,
      worst: 'flat',
    }),
    curveOf({
      section: SECTION,
      what: CHECKPOINT,
      axis: 'entries',
      unit: 'µs',
      points: whole,
      note: pages,
    }),
  ];
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
