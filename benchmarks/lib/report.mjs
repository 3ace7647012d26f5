/**
 * From measurements to ratios: each round's ratio is taken within that round, where both sides met
 * the same machine; minimum, median and maximum say how far the rounds agree.
 */
import { spread } from './findings.mjs';

/**
 * One comparison for each row and peer.
 * @param {readonly import('./rows.mjs').Row[]} rows
 * @param {(row: string, target: string) => import('./fio.mjs').Result[]} resultsOf by round
 */
export function compare(rows, resultsOf) {
  return rows.flatMap(({ what, ours, peers, measure = 'rate' }) => {
    const value = (result) => (measure === 'rate' ? result.iops : result.latencyUs);
    const mine = resultsOf(what, ours);
    return peers.map(({ target, atLeast, atMost }) => {
      const theirs = resultsOf(what, target);
      const ratio = spread(mine.map((result, round) => value(result) / value(theirs[round])));
      const budget =
        atLeast !== undefined ? `≥ ${atLeast}` : atMost !== undefined ? `≤ ${atMost}` : undefined;
      const met =
        atLeast !== undefined
          ? ratio.median >= atLeast
          : atMost !== undefined
            ? ratio.median <= atMost
            : undefined;
      return {
        what,
        measure,
        ours: summary(mine, value),
        peer: { target, ...summary(theirs, value) },
        ratio,
        budget,
        met,
      };
    });
  });
}

function summary(results, value) {
  const cpu = results.map(({ cpuSeconds, requests }) => (cpuSeconds / requests) * 1e6);
  return { value: spread(results.map(value)).median, cpuPerMillion: spread(cpu).median };
}

/** The comparisons as a Markdown table, which also reads well in a terminal. */
export function table(comparisons) {
  const header = [
    'what',
    'against',
    'ratio (min … max)',
    'budget',
    'met',
    'ours',
    'peer',
    'CPU ours',
    'CPU peer',
  ];
  const rows = comparisons.map(({ what, measure, ours, peer, ratio, budget, met }) => [
    what,
    peer.target,
    `**${ratio.median.toFixed(2)}** (${ratio.min.toFixed(2)} … ${ratio.max.toFixed(2)})`,
    budget ?? '',
    met === undefined ? '' : met ? 'yes' : 'NO',
    amount(ours.value, measure),
    amount(peer.value, measure),
    ours.cpuPerMillion.toFixed(1),
    peer.cpuPerMillion.toFixed(1),
  ]);
  const widths = header.map((title, n) =>
    Math.max(title.length, ...rows.map((cells) => (cells[n] ?? '').length)),
  );
  const line = (cells) => `| ${cells.map((cell, n) => cell.padEnd(widths[n] ?? 0)).join(' | ')} |`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  return [line(header), rule, ...rows.map(line)].join('\n');
}

function amount(value, measure) {
  return measure === 'rate' ? `${(value / 1000).toFixed(1)} k/s` : `${value.toFixed(0)} µs`;
}
