/**
 * Life with a full save volume, under each policy: most of what needs space is refused
 * (`fail-writes`), or the oldest snapshot that nothing needs goes first (`drop-oldest`). Everything is
 * compared with the model all the while; deleting, and refreshing without keeping, always work.
 */
import { createCrashWorld, createRandom } from '@palimpsest/block-device/testing';
import { drawQuickCase } from './case.js';
import { fullOf } from './geometry.js';
import { History } from './history.js';
import { KINDS, type Kind, type Operation } from './operation.js';
import { build } from './record.js';
import { Session } from './session.js';
import { drop, isNeeded } from './steps/snapshots.js';
import { Failure } from './tally.js';

/** What a full store does, as control's settings have it. */
export type FullPolicy = 'fail-writes' | 'drop-oldest';

/** What it came to. */
export interface FullReport {
  operations: number;
  /** Refused for want of space, each by a store that was full. */
  refusals: number;
  /** Snapshots that went to make room. */
  dropped: number;
  deletions: number;
}

/** Operations of one store. */
const OPERATIONS = 250;
/** Few deletions: it stays full. */
const SHARE: Partial<Record<Kind, number>> = {
  ...{ write: 12, flush: 4, 'create-snapshot': 3, 'create-branch': 2, refresh: 2, restore: 0.5 },
  ...{
    'copy-back': 1,
    'delete-snapshot': 1,
    'delete-branch': 0.5,
    burst: 2,
    reopen: 0.3,
    check: 0.2,
  },
  ...{ 'read-error': 0, grow: 0.05 },
};

/** Runs stores until so many operations are done. @throws {Failure} */
export async function lifeWhenFull(
  policy: FullPolicy,
  first: number,
  operations: number,
): Promise<FullReport> {
  const report: FullReport = { operations: 0, refusals: 0, dropped: 0, deletions: 0 };
  for (let seed = first; report.operations < operations; seed++) {
    await liveOne(policy, seed, report);
  }
  return report;
}

async function liveOne(policy: FullPolicy, seed: number, report: FullReport): Promise<void> {
  const random = createRandom(`${seed} full`);
  const drawn = drawQuickCase(seed, 0).geometry;
  const geometry = { ...fullOf(drawn, random.between(60, 110)), volumes: 1 };
  const world = createCrashWorld({ seed });
  try {
    const ids = { next: 1 };
    const model = await build(world, geometry, ids);
    let history: History | undefined;
    const onPressure = async (): Promise<boolean> => {
      const oldest = history?.snapshots().find((each) => !isNeeded(history as History, each.name));
      if (history === undefined || oldest === undefined) return false;
      await drop(history, oldest);
      report.dropped++;
      return true;
    };
    const hooks = policy === 'drop-oldest' ? { onPressure } : {};
    const open = (): Promise<Session> => Session.open(world, geometry, undefined, hooks);
    const log = (event: { readonly kind: string }): void => {
      if (event.kind.startsWith('delete')) report.deletions++;
    };
    history = new History(await open(), { model, ids, open, log });
    await history.run(drawFor(random));
    await history.check();
    await history.session.close();
    report.operations += history.operations;
    report.refusals += history.refusals;
  } catch (error) {
    throw new Failure({ seed, policy }, world.violations[0] ?? error);
  }
}

function drawFor(random: ReturnType<typeof createRandom>): Operation[] {
  const bag = KINDS.flatMap((kind) => {
    const share = SHARE[kind] ?? 0.5;
    return new Array<Kind>(Math.round(share * 20)).fill(kind);
  });
  return Array.from({ length: OPERATIONS }, () => ({
    kind: random.pick(bag),
    seed: random.uint32(),
  }));
}
