/**
 * Making, refreshing and restoring states, against the size of the volume and against how much differs.
 * In memory: what is measured is our own work; the flushes it asks for are counted.
 */
import {
  branchRestoreSource,
  createBranch,
  createBranchSnapshot,
  refreshBranch,
} from '../../packages/rw-snapshot/dist/index.js';
import { LIVE } from '../../packages/save-volume/dist/index.js';
import { budgetOf, curveOf, spread } from '../lib/findings.mjs';
import {
  generator,
  IN_GIB,
  inTurns,
  LARGEST,
  latencies,
  percentile,
  SIZES,
  timed,
} from './measure.mjs';
import { BLOCK, beneath, makeStore } from './stores.mjs';

const SECTION = 'Snapshots, branches and restores in memory';
const SNAPSHOT = 'snapshot create';
const BRANCH = 'branch create';
const REFRESH = 'branch refresh';
const RESTORE = 'restore, until production can be read and written';
const DIFFERING = 'restore from a branch, until usable';
const DIFFERING_SNAPSHOT = 'restore from a snapshot, until usable';
const FLUSHES = 'flushes';
/** Blocks written before each state, all over the volume. */
const WRITES = 64;
/** Restores in a round, each copied back before the next. */
const RESTORES = 5;

/** @type {readonly import('./rows.mjs').Row[]} */
export const STATES = [
  {
    finds: [SNAPSHOT, BRANCH, REFRESH, RESTORE].flatMap((what) => [what, `${what}: ${FLUSHES}`]),
    run: bySize,
  },
  { finds: [DIFFERING, DIFFERING_SNAPSHOT], run: byDifference },
];

/**
 * What each must stay within: milliseconds in memory (the median call), flushes, and how the cost may grow
 * with the volume. A restore looks along the trees, which are deeper for a larger volume.
 */
const BUDGETS = {
  [SNAPSHOT]: { ms: 0.5, flushes: 2, worst: 'flat' },
  [BRANCH]: { ms: 0.5, flushes: 2, worst: 'flat' },
  [REFRESH]: { ms: 5, worst: 'flat' },
  [RESTORE]: { ms: 50, worst: 'logarithmic' },
};

async function bySize({ quick, say }) {
  const stores = new Map();
  for (const size of SIZES) stores.set(size, await makeStore({ size }));
  const found = await inTurns(SIZES, quick ? 10 : 15, (size) => oneOfEach(stores.get(size)));
  return Object.entries(BUDGETS).flatMap(([what, budget]) => {
    const points = SIZES.map((size, n) => ({
      at: IN_GIB.at(size),
      value: found[n][what].min,
    }));
    say(`${what}: ${points.map(({ value }) => value.toFixed(1)).join(', ')} µs`);
    const all = spread(
      found.flatMap((each) => [each[what].min, each[what].median, each[what].max]),
    );
    const ms = { min: all.min / 1000, median: all.median / 1000, max: all.max / 1000 };
    const flushes = spread(found.flatMap((each) => Object.values(each[`${what}: ${FLUSHES}`])));
    return [
      {
        section: SECTION,
        what,
        ratio: ms,
        ...budgetOf(ms, { atMost: budget.ms }),
        ours: `${(ms.median * 1000).toFixed(0)} µs`,
        note: 'p50 in milliseconds, over all sizes and rounds; a curve has the least of its rounds',
      },
      {
        section: SECTION,
        what: `${what}: ${FLUSHES}`,
        ratio: flushes,
        ...budgetOf(flushes, budget.flushes === undefined ? {} : { atMost: budget.flushes }),
        ours: `${flushes.median} flushes`,
        note: 'of the save volume and the image together, each one after the other, for one call with nothing held',
      },
      curveOf({
        section: SECTION,
        what,
        axis: IN_GIB.axis,
        unit: 'µs',
        points,
        worst: budget.worst,
      }),
    ];
  });
}

/** Some calls of each kind on one store: the median time, and the flushes of one. */
async function oneOfEach(store) {
  const { save, volume, counter } = store;
  const calls = 20;
  const answers = {};
  await scatter(volume, WRITES);
  const count = async (what, times, work) => {
    const before = counter.flushes;
    answers[what] = percentile(await latencies(times, work), 0.5);
    answers[`${what}: ${FLUSHES}`] = (counter.flushes - before) / times;
  };
  let base;
  await count(SNAPSHOT, calls, async () => {
    base = await volume.createSnapshot({ name: 'a snapshot' });
  });
  const from = { volume: volume.id, snapshot: base.id };
  let branch;
  await count(BRANCH, calls, async () => {
    branch = await createBranch(save, from, { name: 'a branch' });
  });
  await count(REFRESH, calls, () =>
    refreshBranch(save, branch.id, from, { keep: { name: 'what it was' } }),
  );
  const restores = new Float64Array(RESTORES);
  let flushes = 0;
  for (let turn = 0; turn < RESTORES; turn += 1) {
    await scatter(volume, WRITES);
    const before = counter.flushes;
    restores[turn] = 1000 * (await restoring(volume, () => base.id));
    flushes += counter.flushes - before;
    await volume.copyBack();
  }
  answers[RESTORE] = percentile(restores.sort(), 0.5);
  answers[`${RESTORE}: ${FLUSHES}`] = flushes / RESTORES;
  return answers;
}

async function scatter(volume, blocks) {
  const random = generator(4);
  const bytes = new Uint8Array(BLOCK);
  const end = volume.size / BLOCK;
  for (let count = 0; count < blocks; count += 1) {
    bytes.fill(1 + (count % 255));
    await volume.device.write(bytes, Math.floor(random() * end) * BLOCK);
  }
  await volume.device.flush();
}

/** A restore must not walk all that differs before it is usable. */
async function byDifference({ quick, say }) {
  const counts = [1000, 100_000, ...(quick ? [] : [1_000_000])];
  const found = { [DIFFERING]: [], [DIFFERING_SNAPSHOT]: [] };
  await restoreFromBranch(1000); // the engine meets the code for the first time
  for (const blocks of counts) {
    found[DIFFERING].push(await leastOfThree(() => restoreFromBranch(blocks)));
    found[DIFFERING_SNAPSHOT].push(await leastOfThree(() => restoreFromSnapshot(blocks)));
  }
  return Object.entries(found).flatMap(([what, all]) => {
    const points = counts.map((at, n) => ({ at, value: all[n] }));
    say(`${what}: ${points.map(({ at, value }) => `${at}: ${value.toFixed(2)} ms`).join(', ')}`);
    const worst = spread([all.at(-1)]);
    return [
      {
        section: SECTION,
        what,
        against: `${counts.at(-1).toLocaleString('en')} blocks differ`,
        ratio: worst,
        ...budgetOf(worst, { atMost: 50 }),
        ours: `${worst.median.toFixed(2)} ms`,
        note: 'milliseconds; the volume has 16 TiB, the blocks lie all over it',
      },
      curveOf({
        section: SECTION,
        what,
        axis: 'blocks that differ',
        unit: 'ms',
        points,
        worst: 'logarithmic',
      }),
    ];
  });
}

/** A single try may have something else in it that takes longer than what is measured. */
async function leastOfThree(measure) {
  return Math.min(await measure(), await measure(), await measure());
}

/**
 * Milliseconds until production is usable, restored from a branch with that many blocks of its own.
 * They are recorded as zeros, all over the volume: entries like others.
 */
async function restoreFromBranch(blocks) {
  const { save, volume } = await makeStore({ size: LARGEST });
  const base = await volume.createSnapshot({ name: 'base' });
  const branch = await createBranch(save, { volume: volume.id, snapshot: base.id });
  await putZeros(save, blocks, volume.size, branch.space, LIVE);
  const snapshot = await createBranchSnapshot(save, branch.id, { name: 'its state' });
  global.gc(); // the garbage of what was recorded is not the restore's
  return restoring(volume, () => branchRestoreSource(save, snapshot.id, beneath(volume)));
}

/** The same, restored to a snapshot since which that many blocks changed. */
async function restoreFromSnapshot(blocks) {
  const { save, volume } = await makeStore({ size: LARGEST });
  const base = await volume.createSnapshot({ name: 'base' });
  await putZeros(save, blocks, volume.size, volume.id, base.id);
  global.gc();
  return restoring(volume, () => base.id);
}

async function restoring(volume, openSource) {
  const target = new Uint8Array(BLOCK);
  const us = await timed(async () => {
    await volume.startRestore(await openSource(), { undo: { name: 'undo' } });
    await volume.device.readInto(target, 7 * BLOCK);
    await volume.device.write(target, 7 * BLOCK);
  });
  return us / 1000;
}

/** Records that many blocks, in runs of 256, and leaves as many changes pending as a journal takes. */
async function putZeros(save, blocks, size, space, version) {
  const runs = Math.ceil(blocks / 256);
  const distance = Math.floor(size / BLOCK / runs);
  for (let from = 0; from < runs; from += 400) {
    await save.transact((batch) => {
      for (let run = from; run < Math.min(runs, from + 400); run += 1) {
        for (let index = 0; index < 256; index += 1) {
          batch.putZero(space, run * distance + index, version);
        }
      }
    });
  }
}
