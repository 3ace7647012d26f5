/**
 * Exhaustive: every sequence of up to three of twenty concrete operations on a tiny store (three
 * blocks, two snapshots, a branch), crashed at each I/O of its last operation. The sequences are a
 * tree: the I/Os of the operations before were crashed at when they were last.
 */
import { type CrashWorld, createCrashWorld, createRandom } from '@palimpsest/block-device/testing';
import type { Case } from './case.js';
import type { Geometry } from './geometry.js';
import { History } from './history.js';
import type { ModelEvent } from './model/event.js';
import type { Branch, Model, Observation, Snapshot } from './model/model.js';
import { build, type Recording } from './record.js';
import { Session } from './session.js';
import { branchOff, isFree, makeIndependent, remove, renew, targetsOf } from './steps/branches.js';
import { commit, flush, put, putZeros, reopen } from './steps/io.js';
import { copyBackSome, restoreFrom } from './steps/restores.js';
import { drop, isNeeded, take, takeGroup } from './steps/snapshots.js';
import { type SweepOptions, type SweepTotals, sweep } from './sweep.js';
import { Failure } from './tally.js';

const TINY: Geometry = {
  ...{ blockSize: 512, volumes: 1, volumeBlocks: 3, saveBytes: 2 * 4096 + 16_384 + 200 * 512 },
  ...{ dirtyBytes: 64 * 512, cacheBytes: 64 * 512, full: false, frontFirst: true },
  ...{ jittered: false, failing: false },
};
const CASE: Case = {
  ...{ seed: 0, geometry: TINY, operations: [], afterFailure: [], stallChance: 0, closes: false },
};
const OUTCOMES: SweepOptions = {
  ...{ everyPoint: 1, policies: 5, nestedEvery: 40, continueEvery: 0, continueOperations: 0 },
};
const VOLUME = 'v0';

type Act = (history: History) => Promise<void> | undefined;

/** The operations, by name. One that finds nothing to act on does nothing. */
const ACTS: Readonly<Record<string, Act>> = {
  'write-one': (history) => put(history, VOLUME, { first: 0, count: 1 }),
  'write-two': (history) => put(history, VOLUME, { first: 1, count: 2 }),
  zero: (history) => putZeros(history, VOLUME, { first: 0, count: 2 }, false),
  flush: (history) => flush(history, VOLUME),
  'branch-write': onBranch((history, { name }) => put(history, name, { first: 0, count: 2 })),
  'branch-zero': onBranch((history, { name }) =>
    putZeros(history, name, { first: 1, count: 2 }, false),
  ),
  commit,
  snapshot: (history) => take(history, VOLUME),
  'branch-snapshot': onBranch((history, { name }) => take(history, name)),
  group: (history) => takeGroup(history, [VOLUME, ...history.branches().map(({ name }) => name)]),
  'delete-oldest': (history) => withSnapshot(free(history)[0], (each) => drop(history, each)),
  'delete-youngest': (history) => withSnapshot(free(history).at(-1), (each) => drop(history, each)),
  branch: (history) =>
    withSnapshot(history.snapshots().at(-1), ({ name }) => branchOff(history, name)),
  'delete-branch': onBranch((history, branch) =>
    isFree(history, branch) ? remove(history, branch.name) : undefined,
  ),
  refresh: onBranch((history, branch) =>
    withSnapshot(targetsOf(history, branch).at(-1), (to) => renew(history, branch, to, false)),
  ),
  'refresh-and-keep': onBranch((history, branch) =>
    withSnapshot(targetsOf(history, branch)[0], (to) => renew(history, branch, to, true)),
  ),
  flatten: onBranch((history, { name, base }) =>
    base === undefined ? undefined : makeIndependent(history, name, false),
  ),
  restore: (history) =>
    withSnapshot(history.snapshots()[0], (source) => restoreFrom(history, VOLUME, source)),
  'copy-back': (history) => copyBackSome(history, VOLUME, undefined),
  reopen,
};
const NAMES = Object.keys(ACTS);
/** Sequences of one to three operations. */
export const SEQUENCES: number = NAMES.length + NAMES.length ** 2 + NAMES.length ** 3;

/** The sequence with a number, from 0. */
export function sequenceOf(index: number): readonly string[] {
  const count = NAMES.length;
  let left = index;
  let length = 1;
  for (; left >= count ** length; length++) left -= count ** length;
  const names: string[] = [];
  for (let at = 0; at < length; at++, left = Math.floor(left / count)) {
    names.unshift(NAMES[left % count] as string);
  }
  return names;
}

/** The state that every sequence begins with. */
export interface Beginning {
  readonly world: CrashWorld;
  readonly model: Model;
  readonly ids: number;
  /** What recovery makes of images: many sequences have some in common. */
  readonly recovered: Map<number, Observation>;
}

/** Makes a store with two snapshots, and a branch of the first that was written to. @throws {Failure} */
export async function begin(): Promise<Beginning> {
  try {
    return await makeBeginning();
  } catch (error) {
    throw new Failure({ sequence: 'write-one' }, error); // any will do: they all begin with it
  }
}

async function makeBeginning(): Promise<Beginning> {
  const world = createCrashWorld({ seed: 0 });
  const ids = { next: 1 };
  const model = await build(world, TINY, ids);
  const open = (): Promise<Session> => Session.open(world, TINY);
  const history = new History(await open(), { model, ids, open, log: () => undefined });
  for (const name of ['snapshot', 'write-one', 'flush', 'branch', 'branch-write', 'snapshot']) {
    await ACTS[name]?.(history);
  }
  await put(history, VOLUME, { first: 1, count: 1 });
  const seen = await history.session.check(model, 'now');
  await history.session.close();
  const based = model.rebase(seen);
  return { world, model: based, ids: ids.next, recovered: new Map() };
}

/** Runs a sequence and crashes its last operation. @throws {Failure} */
export async function exhaust(
  names: readonly string[],
  beginning: Beginning,
  totals: SweepTotals,
): Promise<void> {
  const place = { sequence: names.join(',') };
  const world = beginning.world.crash(beginning.world.point, { kind: 'all' });
  const ids = { next: beginning.ids };
  const initial = beginning.model.copy();
  const model = beginning.model.copy();
  const events: { event: ModelEvent; point: number }[] = [];
  let last = 0;
  try {
    const open = (): Promise<Session> => Session.open(world, TINY);
    const log = (event: ModelEvent, point: number): void => void events.push({ event, point });
    const history = new History(await open(), { model, ids, open, log });
    for (const name of names) {
      last = world.point;
      const act = ACTS[name];
      if (act === undefined) throw new Error(`no operation is named ${name}`);
      await act(history);
    }
    await history.session.check(model, 'now');
    totals.tally.operations += history.operations;
    totals.tally.sequences++;
  } catch (error) {
    throw new Failure(place, world.violations[0] ?? error);
  }
  const run = { ...CASE, seed: createRandom(place.sequence).uint32() };
  const recording: Recording = { case: run, world, initial, start: last, events, ids };
  await sweep(recording, place, OUTCOMES, { ...totals, recovered: beginning.recovered }, last);
}

function onBranch(act: (history: History, branch: Branch) => Promise<void> | undefined): Act {
  return (history) => {
    const branch = history.branches().at(-1);
    return branch === undefined ? undefined : act(history, branch);
  };
}

function withSnapshot(
  snapshot: Snapshot | undefined,
  act: (snapshot: Snapshot) => Promise<void>,
): Promise<void> | undefined {
  return snapshot === undefined ? undefined : act(snapshot);
}

/** Snapshots that nothing stands on, in order of creation. */
function free(history: History): Snapshot[] {
  return history.snapshots().filter(({ name }) => !isNeeded(history, name));
}
