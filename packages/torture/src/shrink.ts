/**
 * Shrinking: leaves operations out of a failing case as long as what is left still fails (greedy
 * ddmin). Operations draw from their own seeds, so what is left does much the same as before.
 */
import type { Case } from './case.js';
import type { Operation } from './operation.js';

/** Runs a case; tells how it failed, or nothing. */
export type Attempt = (run: Case) => Promise<string | undefined>;

/** A smaller case that fails, with how it fails. `hasTime` says when to be content. */
export async function shrink(
  run: Case,
  attempt: Attempt,
  hasTime: () => boolean,
): Promise<{ readonly case: Case; readonly failure: string } | undefined> {
  let failure = await attempt(run);
  if (failure === undefined) return undefined;
  let best = run;
  for (let pieces = 2; best.operations.length > 1 && hasTime(); ) {
    let found = false;
    const size = Math.ceil(best.operations.length / pieces);
    // The end first: what comes after the failure goes at once.
    for (let start = best.operations.length - size; start > -size && hasTime(); start -= size) {
      const without = leaveOut(best.operations, Math.max(0, start), start + size);
      const candidate = { ...best, operations: without };
      const again = await attempt(candidate);
      if (again === undefined) continue;
      best = candidate;
      failure = again;
      found = true;
      break;
    }
    if (found) pieces = Math.max(2, pieces - 1);
    else if (size === 1) break;
    else pieces = Math.min(best.operations.length, pieces * 2);
  }
  for (const simpler of simplerShapes(best)) {
    if (!hasTime()) break;
    const again = await attempt(simpler);
    if (again === undefined) continue;
    best = simpler;
    failure = again;
  }
  return { case: best, failure };
}

function leaveOut(operations: readonly Operation[], from: number, to: number): Operation[] {
  return [...operations.slice(0, from), ...operations.slice(to)];
}

/** The same without faults and delays, one after the other. */
function simplerShapes(run: Case): Case[] {
  const { geometry } = run;
  return [
    { ...run, geometry: { ...geometry, failing: false } },
    { ...run, geometry: { ...geometry, jittered: false } },
    { ...run, geometry: { ...geometry, failing: false, jittered: false }, closes: false },
  ];
}
