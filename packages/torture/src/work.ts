/**
 * Work: the share of one worker in a run of the torture. Two workers use two processors; their seeds
 * and sequences are disjoint, and what they did is added up.
 *
 * Between two pieces of work the event loop turns. Devices in memory answer at once, so without that one task
 * would run for half an hour, and what each store leaves behind is freed only between tasks.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { begin, exhaust, SEQUENCES, sequenceOf } from './exhaustive.js';
import type { SweepTotals } from './sweep.js';
import { interleave, soak, type TortureOptions, torture, tortureFull } from './torture.js';

/** How much a worker is to do. */
export interface Share {
  /** The first seed, and how far it is from one seed of this worker to the next. */
  readonly first: number;
  readonly step: number;
  readonly images: number;
  readonly recoveryImages: number;
  /** Model operations in all. */
  readonly operations: number;
  /** Every n-th sequence of the exhaustive part; 0 is none. */
  readonly sequencesEvery: number;
}

/** What a worker needs from outside. */
export interface WorkerPort {
  readonly totals: SweepTotals;
  /** Said before each piece of work, in words by which it can be run again. */
  readonly onStart: (words: string) => void;
  readonly hasTime: () => boolean;
}

const INTERLEAVED = 6;
/** One seed of so many is a store that is full as well. */
const FULL_EVERY = 6;
/** Operations of a history that is crashed. */
export const OPERATIONS = 60;
/** Operations of a history that is not. */
export const SOAK_OPERATIONS = 300;
export const THOROUGH: TortureOptions = {
  ...{ operations: OPERATIONS, everyPoint: 1, policies: 7, nestedEvery: 40 },
  ...{ continueEvery: 16, continueOperations: 30 },
};

/** Does a share. @throws {Failure} with the first thing that is wrong. */
export async function work(share: Share, port: WorkerPort): Promise<void> {
  const { tally } = port.totals;
  const isDone = (): boolean =>
    tally.images >= share.images && tally.recoveryImages >= share.recoveryImages;
  await exhaustAll(share, port);
  let seed = share.first;
  for (; !isDone() && port.hasTime(); seed += share.step) {
    port.onStart(`--seed ${seed}`);
    // Six interleavings go with each history that is crashed: they cost a sixth of it.
    for (let number = 0; number < INTERLEAVED; number++) {
      await interleave(seed * INTERLEAVED + number, OPERATIONS, tally);
    }
    await torture(seed, THOROUGH, port.totals);
    await nextTurn();
    if (Math.floor(seed / share.step) % FULL_EVERY !== 0) continue;
    port.onStart(`--full ${seed}`);
    await tortureFull(seed, THOROUGH, port.totals);
    await nextTurn();
  }
  for (; tally.operations < share.operations && port.hasTime(); seed += share.step) {
    port.onStart(`--quick ${seed}`);
    await soak(seed, SOAK_OPERATIONS, tally);
    await nextTurn();
  }
}

async function exhaustAll(share: Share, port: WorkerPort): Promise<void> {
  if (share.sequencesEvery === 0) return;
  const beginning = await begin();
  const start = (share.first - 1) % share.step;
  const stride = share.step * share.sequencesEvery;
  for (let index = start; index < SEQUENCES && port.hasTime(); index += stride) {
    const names = sequenceOf(index);
    port.onStart(`--sequence ${names.join(',')}`);
    await exhaust(names, beginning, port.totals);
    await nextTurn();
  }
}
