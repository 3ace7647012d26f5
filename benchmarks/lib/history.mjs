/** The history of runs: one line of JSON a run, appended, never changed. */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { isCurve, keyOf } from './findings.mjs';

/** @typedef {{ machine: object, settings: object, tookSeconds: number, findings: import('./findings.mjs').Finding[] }} Run */

/** @param {string} file @returns {Run[]} oldest first */
export function readHistory(file) {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

/** @param {string} file @param {Run} run */
export function appendRun(file, run) {
  appendFileSync(file, `${JSON.stringify(run)}\n`);
}

/** Whether two runs were made on the same kind of machine, so that they can be compared. */
export const sameMachine = (a, b) => a.cpu === b.cpu && a.cores === b.cores;

/**
 * The median ratios of the last run on the same kind of machine, by key, to compare with.
 * @param {readonly Run[]} runs
 * @param {{ cpu?: string, cores?: number }} machine
 */
export function ratiosBefore(runs, machine) {
  const last = runs.findLast((run) => sameMachine(run.machine, machine));
  const comparisons = (last?.findings ?? []).filter((found) => !isCurve(found) && found.ratio);
  return new Map(comparisons.map((found) => [keyOf(found), found.ratio.median]));
}

/**
 * Budgets over several runs: how often each row that has one was met.
 * @param {readonly Run[]} runs
 */
export function metByRun(runs) {
  const rows = new Map();
  for (const { findings } of runs) {
    for (const found of findings.filter(({ met }) => met !== undefined)) {
      const key = keyOf(found);
      const row = rows.get(key) ?? { found, met: 0, of: 0 };
      rows.set(key, { found: row.found, met: row.met + (found.met ? 1 : 0), of: row.of + 1 });
    }
  }
  return [...rows.values()];
}
