/**
 * What a call costs against what there is already: snapshots, bytes of volume, share of it that is
 * saved, depth of branches, number of branches. In memory. Calls that change a state are told by their
 * p50, reads and writes by their mean.
 */
import {
  createBranch,
  listBranches,
  openBranch,
  refreshBranch,
} from '../../packages/rw-snapshot/dist/index.js';
import { budgetOf, curveOf, spread } from '../lib/findings.mjs';
import { generator, IN_GIB, inTurns, latencies, percentile, SIZES, timed } from './measure.mjs';
import { BLOCK, beneath, makeStore } from './stores.mjs';

const SECTION = 'How cost grows, in memory';
const CREATE = 'snapshot create, one after the other';
const CREATE_BRANCH = 'snapshot of a branch, one after the other';
const OLDEST = 'read of the oldest snapshot';
const YOUNGEST = 'read of the youngest snapshot';
const RATIO = 'oldest of 1,000 snapshots';
const FIRST_WRITE = 'first write after a snapshot, with its flush';
const READ = 'read of a snapshot';
const WRITE = 'write to production with a snapshot';
const DEEP_READ = 'read of a branch, from the bottom';
const DEEP_WRITE = 'write to a branch, with its flush';
const DEEP_SNAPSHOT = 'snapshot of a branch';
const MAKE = 'branch create, one after the other';
const REFRESH = 'branch refresh, of many';
const OPEN = 'branch open, of many';
const FLUSH = 'write and flush of one branch, all of them open';
const LIST = 'listing of branches, for each';

/** @type {readonly import('./rows.mjs').Row[]} */
export const GROWTH = [
  { finds: [CREATE, OLDEST, YOUNGEST, RATIO, FIRST_WRITE], run: bySnapshots },
  { finds: [CREATE_BRANCH], run: byBranchSnapshots },
  { finds: [READ, FIRST_WRITE], run: bySize },
  { finds: [READ, WRITE], run: byShareSaved },
  { finds: [DEEP_READ, DEEP_WRITE, DEEP_SNAPSHOT], run: byDepth },
  { finds: [MAKE, REFRESH, OPEN, FLUSH, LIST], run: byBranches },
];

/** Microseconds a call takes on average. */
const mean = async (calls, work) => {
  const us = await timed(async () => {
    for (let index = 0; index < calls; index += 1) {
      const wait = work(index);
      if (wait !== undefined) await wait;
    }
  });
  return us / calls;
};

/** The median of some calls' microseconds. */
const typical = async (calls, work) => percentile(await latencies(calls, work), 0.5);

/** One curve for each name in what was found, by the order of `axis`. */
function curves(names, axis, ats, found, say, note) {
  return names.map((what) => {
    const points = ats.map((at, n) => ({ at, value: found[n][what].min }));
    say(`${what}: ${points.map(({ at, value }) => `${at}: ${value.toFixed(1)}`).join(', ')} µs`);
    const told = note === undefined ? {} : { note };
    return curveOf({
      section: SECTION,
      what,
      axis,
      unit: 'µs',
      points,
      worst: 'logarithmic',
      ...told,
    });
  });
}

/** Blocks that are changed, and read, where there are many snapshots. */
const CHANGED = 1000;

/**
 * A store with that many snapshots of a volume full of bytes, a block changed between each two; and all
 * of them after the oldest and after the youngest, so that both find as many blocks saved.
 */
async function withSnapshots(count) {
  const store = await makeStore({ size: 2 ** 25 });
  const { volume } = store;
  const bytes = new Uint8Array(BLOCK);
  const all = new Uint8Array(CHANGED * BLOCK).fill(8);
  const filling = new Uint8Array(2 ** 20).fill(7);
  for (let at = 0; at < 2 ** 25; at += filling.length) await volume.device.write(filling, at);
  for (let index = 0; index < count; index += 1) {
    await volume.createSnapshot({ name: `s${index}` });
    if (index === 0 || index === count - 1) await volume.device.write(all, 0);
    else await volume.device.write(bytes.fill(1 + (index % 255)), (index % CHANGED) * BLOCK);
  }
  await volume.device.flush();
  return store;
}

async function bySnapshots({ quick, say }) {
  const counts = [10, 100, 1000, ...(quick ? [] : [10_000])];
  const stores = new Map();
  for (const count of counts) stores.set(count, await withSnapshots(count));
  const random = generator(5);
  const target = new Uint8Array(BLOCK);
  const readOf = (device) => () => device.readInto(target, Math.floor(random() * CHANGED) * BLOCK);
  const ratios = [];
  const found = await inTurns(counts, quick ? 5 : 9, async (count) => {
    // The first snapshots are few for long only when they are made anew.
    const { volume } = count <= 100 ? await withSnapshots(count) : stores.get(count);
    const snapshots = volume.snapshots;
    const oldest = volume.openSnapshot(snapshots[0].id);
    const youngest = volume.openSnapshot(snapshots[count - 1].id);
    const reads = quick ? 20_000 : 50_000;
    const answer = { [YOUNGEST]: await mean(reads, readOf(youngest)) };
    answer[OLDEST] = await mean(reads, readOf(oldest));
    if (count === 1000) ratios.push(answer[YOUNGEST] / answer[OLDEST]);
    answer[CREATE] = await typical(20, () => volume.createSnapshot({ name: 'one more' }));
    answer[FIRST_WRITE] = await firstWrites(volume);
    return answer;
  });
  const ratio = spread(ratios.slice(1));
  return [
    {
      section: SECTION,
      what: RATIO,
      against: 'the youngest',
      ratio,
      ...budgetOf(ratio, { atLeast: 0.9 }),
      ours: `${found[2][OLDEST].median.toFixed(2)} µs a read`,
      peer: `${found[2][YOUNGEST].median.toFixed(2)} µs a read`,
    },
    ...curves([CREATE, OLDEST, YOUNGEST, FIRST_WRITE], 'snapshots', counts, found, say),
  ];
}

/** 256 blocks written for the first time since a snapshot, and flushed: microseconds for each. */
async function firstWrites(volume) {
  await volume.createSnapshot({ name: 'before' });
  const bytes = new Uint8Array(BLOCK).fill(3);
  const us = await timed(async () => {
    for (let index = 0; index < 256; index += 1) {
      await volume.device.write(bytes, (2000 + index * 3) * BLOCK);
    }
    await volume.device.flush();
  });
  return us / 256;
}

async function byBranchSnapshots({ quick, say }) {
  const counts = [10, 100, 1000, ...(quick ? [] : [10_000])];
  const branches = new Map();
  const make = async (count) => {
    const { save, volume } = await makeStore();
    const { id } = await volume.createSnapshot();
    const { id: branchId } = await createBranch(save, { volume: volume.id, snapshot: id });
    const branch = await openBranch(save, branchId, beneath(volume));
    for (let index = 0; index < count; index += 1)
      await branch.createSnapshot({ name: `s${index}` });
    return branch;
  };
  for (const count of counts) branches.set(count, await make(count));
  const found = await inTurns(counts, quick ? 5 : 9, async (count) => {
    const branch = count <= 100 ? await make(count) : branches.get(count);
    return {
      [CREATE_BRANCH]: await typical(20, () => branch.createSnapshot({ name: 'one more' })),
    };
  });
  return curves([CREATE_BRANCH], 'snapshots', counts, found, say);
}

async function bySize({ quick, say }) {
  const stores = new Map();
  const random = generator(6);
  const target = new Uint8Array(BLOCK).fill(4);
  for (const size of SIZES) {
    const { volume } = await makeStore({ size });
    const { id } = await volume.createSnapshot();
    const blocks = Array.from({ length: 4096 }, () => Math.floor((random() * size) / BLOCK));
    for (const block of blocks) await volume.device.write(target, block * BLOCK);
    await volume.device.flush();
    stores.set(size, { volume, blocks, snapshot: volume.openSnapshot(id) });
  }
  const found = await inTurns(SIZES, quick ? 3 : 7, async (size) => {
    const { volume, blocks, snapshot } = stores.get(size);
    const read = await mean(quick ? 10_000 : 40_000, (index) =>
      snapshot.readInto(target, blocks[index % 4096] * BLOCK),
    );
    await volume.createSnapshot();
    const writes = await timed(async () => {
      for (let index = 0; index < 1024; index += 1) {
        await volume.device.write(target, blocks[index] * BLOCK);
      }
      await volume.device.flush();
    });
    return { [READ]: read, [FIRST_WRITE]: writes / 1024 };
  });
  const note =
    'blocks all over the volume: each first write to another 128 MiB of it looks up what is saved there';
  return curves([READ, FIRST_WRITE], IN_GIB.axis, SIZES.map(IN_GIB.at), found, say, note);
}

async function byShareSaved({ quick, say }) {
  const shares = ['none', 'a tenth', 'half', 'all'];
  const parts = { none: 0, 'a tenth': 0.1, half: 0.5, all: 1 };
  const blocks = 16_384;
  const stores = new Map();
  const random = generator(7);
  const target = new Uint8Array(BLOCK).fill(4);
  for (const share of shares) {
    const { volume } = await makeStore({ size: blocks * BLOCK });
    for (let block = 0; block < blocks; block += 1)
      await volume.device.write(target, block * BLOCK);
    const { id } = await volume.createSnapshot();
    for (let block = 0; block < blocks; block += 1) {
      if (random() < parts[share]) await volume.device.write(target, block * BLOCK);
    }
    await volume.device.flush();
    stores.set(share, { volume, snapshot: volume.openSnapshot(id) });
  }
  const found = await inTurns(shares, quick ? 3 : 7, async (share) => {
    const { snapshot } = stores.get(share);
    const anywhere = () => Math.floor(random() * blocks) * BLOCK;
    const calls = quick ? 10_000 : 40_000;
    return {
      [READ]: await mean(calls, () => snapshot.readInto(target, anywhere())),
    };
  });
  const note =
    'what is saved is looked up, read and checked against its checksum; the rest is read from the image';
  return curves([READ], 'share that is saved', shares, found, say, note).map(
    // A mixture of two costs: neither depends on the share.
    ({ budget: _, met: __, ...curve }) => curve,
  );
}

async function byDepth({ quick, say }) {
  const depths = [1, 4, 16, 64];
  const { save, volume } = await makeStore();
  const target = new Uint8Array(BLOCK).fill(5);
  for (let block = 0; block < 2048; block += 1) await volume.device.write(target, block * BLOCK);
  let base = { volume: volume.id, snapshot: (await volume.createSnapshot()).id };
  const branches = new Map();
  for (let depth = 1; depth <= 64; depth += 1) {
    const { id, space } = await createBranch(save, base);
    const branch = await openBranch(save, id, beneath(volume));
    // A block of its own at each depth, beyond those that are read from the bottom.
    await branch.device.write(target, (4096 + depth) * BLOCK);
    if (depths.includes(depth)) branches.set(depth, branch);
    const { id: snapshot } = await branch.createSnapshot();
    base = { volume: space, snapshot };
  }
  const random = generator(8);
  const found = await inTurns(depths, quick ? 6 : 15, async (depth) => {
    const { device, createSnapshot } = branches.get(depth);
    const calls = quick ? 10_000 : 40_000;
    const answer = {
      [DEEP_READ]: await mean(calls, () =>
        device.readInto(target, Math.floor(random() * 2048) * BLOCK),
      ),
    };
    const writing = await timed(async () => {
      for (let index = 0; index < 256; index += 1) {
        await device.write(target, (5000 + index * 3) * BLOCK);
      }
      await device.flush();
    });
    answer[DEEP_WRITE] = writing / 256;
    answer[DEEP_SNAPSHOT] = await typical(20, () => createSnapshot());
    return answer;
  });
  return curves([DEEP_READ, DEEP_WRITE, DEEP_SNAPSHOT], 'depth', depths, found, say);
}

async function byBranches({ quick, say }) {
  const counts = [10, 100, 1000, ...(quick ? [] : [10_000])];
  const stores = new Map();
  const make = async (count) => {
    const { save, volume } = await makeStore();
    const { id } = await volume.createSnapshot();
    const from = { volume: volume.id, snapshot: id };
    for (let index = 0; index < count; index += 1)
      await createBranch(save, from, { name: `b${index}` });
    const opened = [];
    for (const branch of listBranches(save)) {
      opened.push(await openBranch(save, branch.id, beneath(volume)));
    }
    return { save, volume, from, opened };
  };
  for (const count of counts) stores.set(count, await make(count));
  const bytes = new Uint8Array(BLOCK).fill(6);
  const found = await inTurns(counts, quick ? 5 : 9, async (count) => {
    const { save, volume, from, opened } = count <= 100 ? await make(count) : stores.get(count);
    const made = [];
    const answer = {
      [MAKE]: await typical(20, async () => {
        made.push(await createBranch(save, from, { name: 'one more' }));
      }),
    };
    answer[REFRESH] = await typical(20, async (index) => {
      await refreshBranch(save, made[index].id, from, { keep: { name: 'what it was' } });
    });
    answer[OPEN] = await typical(20, async (index) => {
      made[index] = await openBranch(save, made[index].id, beneath(volume));
    });
    answer[FLUSH] = await typical(20, async (index) => {
      const { device } = opened[index % count];
      await device.write(bytes, 0);
      await device.flush();
    });
    answer[LIST] = (await timed(() => listBranches(save))) / count;
    for (const branch of made) await branch.close();
    return answer;
  });
  return curves([MAKE, REFRESH, OPEN, FLUSH, LIST], 'branches', counts, found, say);
}
