/**
 * Puts every seeded bug of list.ts and real.ts into a copy of the tree and prints who noticed it, some
 * at a time, each in a copy of its own. First the checks run without any bug, and must pass. A bug
 * that survives, or that cannot be put in, is a failure; the last line is `mutants-killed done target
 * seconds`.
 *
 *   npm run mutants                   all of them
 *   npm run mutants -- --only NAME    one; several with more of the same
 *   npm run mutants -- --shrink       also looks for the shortest history by which the torture finds each
 *   npm run mutants -- --jobs 4       as many at a time, instead of one for each of two processors
 *   npm run mutants -- --unchecked    leaves the checks without any bug out
 */
import fs from 'node:fs';
import os from 'node:os';
import { parseArgs } from 'node:util';
import { describe, endAll, type Outcome, run } from './check.js';
import { MUTANTS } from './list.js';
import type { Mutant } from './mutant.js';
import { REAL_BUGS } from './real.js';
import { copyTree, mutated, ROOT, withBug } from './tree.js';

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    shrink: { type: 'boolean', default: false },
    jobs: { type: 'string', default: String(Math.min(2, os.availableParallelism())) },
    unchecked: { type: 'boolean', default: false },
  },
});

const chosen = [...MUTANTS, ...REAL_BUGS].filter(({ name }) => values.only?.includes(name) ?? true);
if (chosen.length === 0) throw new Error(`no mutant is named ${values.only?.join(' or ')}`);
const { shrink: shrinks } = values;
const trees: string[] = [];
/** Seconds that each check took without any bug. */
const soundSeconds = new Map<string, number>();
process.on('exit', () => {
  endAll();
  for (const tree of trees) fs.rmSync(tree, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => process.exit(128 + os.constants.signals[signal]));
}
for (const mutant of chosen) mutated(ROOT, mutant); // a patch that does not fit is told at once
for (let job = 0; job < Number(values.jobs); job++) trees.push(copyTree());

const isSound = values.unchecked || (await passesWithoutBug());
const killed = isSound ? await killAll() : 0;
console.log(`mutants-killed ${killed} ${chosen.length} ${Math.round(process.uptime())}`);
process.exitCode = killed === chosen.length ? 0 : 1;

async function passesWithoutBug(): Promise<boolean> {
  const checks = [...new Map(chosen.map(({ check }) => [describe(check), check])).values()];
  let failures = 0;
  await inEachTree(checks, async (check, tree) => {
    const outcome = await run(check, tree, { shrinks });
    if (outcome.verdict !== 'passes') failures++;
    soundSeconds.set(describe(check), outcome.seconds);
    const verdict = outcome.verdict === 'passes' ? 'passes' : 'FAILED';
    report(verdict, `without any bug: ${describe(check)}`, outcome);
  });
  return failures === 0;
}

async function killAll(): Promise<number> {
  let deaths = 0;
  await inEachTree(chosen, async (mutant, tree) => {
    const { check } = mutant;
    const options = { shrinks, soundSeconds: soundSeconds.get(describe(check)) };
    const outcome = await withBug(tree, mutant, () => run(check, tree, options));
    if (outcome.verdict === 'fails') deaths++;
    reportMutant(mutant, outcome);
  });
  return deaths;
}

function reportMutant({ name, bug }: Mutant, outcome: Outcome): void {
  if (outcome.verdict === 'passes') report('SURVIVED', name, { ...outcome, evidence: bug });
  else report(outcome.verdict === 'fails' ? 'killed' : 'BROKE', name, outcome);
}

/** Does the tasks in their order, as many at a time as there are trees. */
async function inEachTree<T>(
  tasks: readonly T[],
  work: (task: T, tree: string) => Promise<void>,
): Promise<void> {
  const left = [...tasks];
  const lane = async (tree: string): Promise<void> => {
    for (let task = left.shift(); task !== undefined; task = left.shift()) await work(task, tree);
  };
  await Promise.all(trees.map(lane));
}

function report(verdict: string, name: string, outcome: Outcome): void {
  const { evidence, operations, seconds } = outcome;
  const time = `${seconds.toFixed(1)} s`.padStart(7);
  const many = operations === 1 ? '1 operation' : `${operations} operations`;
  const shrunk = operations === undefined ? '' : `${many}: `;
  const detail = outcome.verdict === 'breaks' ? evidence : evidence.slice(0, 150);
  console.log(`${verdict.padEnd(8)} ${name.padEnd(39)} ${time}  ${shrunk}${detail}`.trimEnd());
}
