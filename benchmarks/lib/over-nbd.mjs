/**
 * What is measured over NBD: every row of rows.mjs in rounds, ours and the peers one after the other,
 * so that a busy machine is busy for all. After each job that writes, its server is asked to flush, and
 * only then is the next one measured: nobody pays for the write-back of another.
 */
import { budgetOf, ratioOf, spread } from './findings.mjs';
import { runFio } from './fio.mjs';
import { settle, warm } from './targets.mjs';

/**
 * @param {Record<string, import('./targets.mjs').Target>} targets
 * @param {readonly import('./rows.mjs').Row[]} rows
 * @param {{ rounds: number, seconds: number, size: number, say: (line: string) => void }} options
 * @returns {Promise<import('./findings.mjs').Finding[]>}
 */
export async function overNbd(targets, rows, { rounds, seconds, size, say }) {
  const results = new Map();
  for (let round = 0; round < rounds; round += 1) {
    for (const row of rows) {
      if (row.once && round > 0) continue;
      for (const name of [row.ours, ...row.peers.map(({ target }) => target)]) {
        const result = await measure(targets[name], row.job, { seconds, size, seed: 1 + round });
        const key = `${row.section}|${row.what}|${name}`;
        results.set(key, [...(results.get(key) ?? []), result]);
        const rate = `${(result.iops / 1000).toFixed(1)} k/s`;
        say(`round ${round + 1}/${rounds}  ${row.section}: ${row.what}  ${name}: ${rate}`);
      }
    }
  }
  return rows.flatMap((row) =>
    compare(row, (name) => results.get(`${row.section}|${row.what}|${name}`) ?? []),
  );
}

/**
 * One job against one target, with a warm cache, if it says what it reads. Not only at the start: there are
 * machines that put pages aside which nobody asked for in the last minute, and the cold rows empty the cache.
 */
export async function measure(target, job, options) {
  await target.prepare?.();
  for (const path of target.reads?.() ?? []) await warm(path);
  const at = target.at();
  const result = await runFio(at, job, options);
  await target.after?.();
  if (!job.rw.endsWith('read')) await settle(at);
  return result;
}

/**
 * One comparison for each peer of a row.
 * @param {import('./rows.mjs').Row} row
 * @param {(target: string) => import('./fio.mjs').Result[]} resultsOf by round
 */
export function compare({ section, what, ours, peers, measure: kind = 'rate' }, resultsOf) {
  const value = (result) => (kind === 'rate' ? result.iops : result.latencyUs);
  const mine = resultsOf(ours);
  return peers.map(({ target, atLeast, atMost }) => {
    const theirs = resultsOf(target);
    const ratio = ratioOf(mine.map(value), theirs.map(value));
    return {
      section,
      what,
      against: target,
      ratio,
      ...budgetOf(ratio, { atLeast, atMost }),
      ours: amount(spread(mine.map(value)).median, kind),
      peer: amount(spread(theirs.map(value)).median, kind),
      cpu: { ours: cpuPerMillion(mine), peer: cpuPerMillion(theirs) },
    };
  });
}

/** Server seconds for a million requests, the median of the rounds. */
const cpuPerMillion = (results) =>
  spread(results.map(({ cpuSeconds, requests }) => (cpuSeconds / requests) * 1e6)).median;

const amount = (value, kind) =>
  kind === 'rate' ? `${(value / 1000).toFixed(1)} k/s` : `${value.toFixed(0)} µs`;
