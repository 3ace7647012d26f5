/** Torture: what is done with one seed. Each throws a `Failure` with the first thing that is wrong. */
import { type Case, drawCase, drawFullCase, drawQuickCase, drawSlowCase } from './case.js';
import { record } from './record.js';
import { type SweepOptions, type SweepTotals, sweep } from './sweep.js';
import type { Place, Tally } from './tally.js';

/** What is done with each seed whose history is crashed. */
export interface TortureOptions extends SweepOptions {
  /** Operations of a history. */
  readonly operations: number;
}

/** Runs the history of a seed and crashes it. */
export async function torture(
  seed: number,
  options: TortureOptions,
  totals: SweepTotals,
): Promise<void> {
  await crashCase(drawCase(seed, options.operations), { seed }, options, totals);
}

/** Runs a history in a store that is full, and crashes it. Survivors live on: few images, many of them. */
export async function tortureFull(
  seed: number,
  { operations, ...options }: TortureOptions,
  totals: SweepTotals,
): Promise<void> {
  const often: SweepOptions = { ...options, everyPoint: 3, policies: 4, continueEvery: 3 };
  await crashCase(drawFullCase(seed, operations), { seed, full: true }, often, totals);
}

/** Runs a case and crashes it. */
export async function crashCase(
  run: Case,
  place: Place,
  options: SweepOptions,
  totals: SweepTotals,
): Promise<void> {
  const recording = await record(run, { place, tally: totals.tally });
  await sweep(recording, place, options, totals);
}

/** Runs a history whose calls all take their time, without any crash. */
export async function interleave(seed: number, operations: number, tally: Tally): Promise<void> {
  const place = { seed, interleaved: true };
  await record(drawSlowCase(seed, operations), { place, tally });
  tally.interleaved++;
}

/** Runs a longer history as fast as it can, without any crash. */
export async function soak(seed: number, operations: number, tally: Tally): Promise<void> {
  const place = { seed, quick: true };
  await record(drawQuickCase(seed, operations), { place, tally });
}
