/**
 * What a benchmark found, in one shape whoever measured it, and how that reads. Pure: nothing is
 * measured here.
 *
 *   A *comparison* is two things measured in the same rounds: a ratio is taken within each round,
 *   where both sides met the same machine; its median is held against the budget.
 *   A *curve* is one thing measured at growing sizes: its verdict says how the cost grows.
 *
 * A program that measures hands back a list of both, mixed; `section` groups them on the page.
 */

/** @typedef {{ min: number, median: number, max: number }} Spread */

/**
 * @typedef {object} Comparison
 * @property {string} section
 * @property {string} what
 * @property {string} [against] the peer, or what else of ours; none: a budget of its own
 * @property {Spread} [ratio] ours / peer, or what the budget is about (a share, bytes for each byte)
 * @property {string} [budget] as `budgetOf` says it: `≥ 1.5`
 * @property {boolean} [met] undefined where there is no budget
 * @property {string} ours with its unit
 * @property {string} [peer] with its unit
 * @property {{ ours?: number, peer?: number }} [cpu] server seconds for a million requests
 * @property {string} [note] a sentence below the table
 */

/**
 * @typedef {object} Curve
 * @property {string} section
 * @property {string} what
 * @property {string} axis what grows: `snapshots`
 * @property {{ at: string | number, value: number }[]} points values are costs: less is better
 * @property {string} unit of the values
 * @property {'flat' | 'logarithmic' | 'worse'} verdict
 * @property {string} [budget] the worst verdict allowed
 * @property {boolean} [met]
 * @property {string} [note]
 */

/** @typedef {Comparison | Curve} Finding */

/** A curve whose costliest point is at most this many times its first one is flat. */
export const FLAT = 1.25;
/** For each doubling of what grows, a logarithmic curve's cost grows by at most this share of the first. */
export const PER_DOUBLING = 0.25;

/** @param {readonly number[]} values @returns {Spread} */
export function spread(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median =
    sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { min: sorted[0], median, max: sorted[sorted.length - 1] };
}

/**
 * The ratio of two things measured in the same rounds; a round that one of them lacks is left out.
 * @param {readonly (number | undefined)[]} ours by round
 * @param {readonly (number | undefined)[]} theirs by round
 * @returns {Spread | undefined} when no round has both
 */
export function ratioOf(ours, theirs) {
  const ratios = ours
    .map((value, round) => (value ?? Number.NaN) / (theirs[round] ?? Number.NaN))
    .filter(Number.isFinite);
  return ratios.length === 0 ? undefined : spread(ratios);
}

/**
 * A budget in words, and whether the median meets it. Without a budget, nothing.
 * @param {Spread | undefined} ratio
 * @param {{ atLeast?: number, atMost?: number }} limits
 * @returns {{ budget?: string, met?: boolean }}
 */
export function budgetOf(ratio, { atLeast, atMost }) {
  if (atLeast === undefined && atMost === undefined) return {};
  const budget = atLeast !== undefined ? `≥ ${atLeast}` : `≤ ${atMost}`;
  if (ratio === undefined) return { budget };
  const met = atLeast !== undefined ? ratio.median >= atLeast : ratio.median <= atMost;
  return { budget, met };
}

/**
 * How the cost grows: `flat` when no point costs more than FLAT times the first; `logarithmic` when
 * no point costs more than the first and PER_DOUBLING of it for each doubling of what grows;
 * else `worse`. Where the axis has no sizes (or starts at 0), points count as doublings.
 * @param {readonly { at: string | number, value: number }[]} points
 * @returns {Curve['verdict']}
 */
export function verdictOf(points) {
  const [first] = points;
  const sized = points.every(({ at }) => typeof at === 'number' && at > 0);
  const growths = points.map(({ at, value }, index) => ({
    growth: value / first.value,
    doublings: sized ? Math.log2(at / first.at) : index,
  }));
  if (growths.every(({ growth }) => growth <= FLAT)) return 'flat';
  const logarithmic = ({ growth, doublings }) =>
    growth <= Math.max(FLAT, 1 + PER_DOUBLING * doublings);
  return growths.every(logarithmic) ? 'logarithmic' : 'worse';
}

/**
 * A curve with its verdict. `worst` is its budget: the worst verdict that is allowed.
 * @param {Omit<Curve, 'verdict' | 'met' | 'budget'> & { worst?: 'flat' | 'logarithmic' }} curve
 * @returns {Curve}
 */
export function curveOf({ worst, ...curve }) {
  const verdict = verdictOf(curve.points);
  if (worst === undefined) return { ...curve, verdict };
  const met = verdict === 'flat' || verdict === worst;
  return { ...curve, verdict, budget: worst, met };
}

/** @param {Finding} finding @returns {finding is Curve} */
export const isCurve = (finding) => 'points' in finding;

/** What identifies a finding from one run to the next. */
export const keyOf = ({ section, what, against }) => [section, what, against ?? ''].join(' | ');

/**
 * How many budgets there are and are met, and the missed ones with how far they are.
 * @param {readonly Finding[]} findings
 */
export function budgets(findings) {
  const judged = findings.filter(({ met }) => met !== undefined);
  const missed = judged.filter(({ met }) => met === false).map(missedBy);
  return { met: judged.length - missed.length, of: judged.length, missed };
}

function missedBy(finding) {
  const { what, budget } = finding;
  if (isCurve(finding)) return `${what}: ${finding.verdict}, budget ${budget}`;
  const { against, ratio } = finding;
  const name = against === undefined ? what : `${what}, against ${against}`;
  return `${name}: ${number(ratio.median)}, budget ${budget}`;
}

/**
 * All findings by section: a Markdown table of the comparisons, one of the curves, the notes. It
 * reads well in a terminal too.
 * @param {readonly Finding[]} findings
 * @param {ReadonlyMap<string, number>} [before] by key, the median ratio of an earlier run
 * @param {number} [level] of the section's headings
 */
export function render(findings, before = new Map(), level = 2) {
  const sections = [...new Set(findings.map(({ section }) => section))];
  return sections
    .map((section) => {
      const inside = findings.filter((finding) => finding.section === section);
      const comparisons = inside.filter((finding) => !isCurve(finding));
      const curves = inside.filter(isCurve);
      return [
        `${'#'.repeat(level)} ${section}`,
        ...(comparisons.length > 0 ? [comparisonTable(comparisons, before)] : []),
        ...curvesOf(curves),
        ...notesOf(inside),
      ].join('\n\n');
    })
    .join('\n\n');
}

function notesOf(findings) {
  const notes = findings.filter(({ note }) => note !== undefined);
  if (notes.length === 0) return [];
  return [[...new Set(notes.map(({ what, note }) => `- *${what}*: ${note}`))].join('\n')];
}

const COLUMNS = [
  ['what', ({ what }) => what],
  ['against', ({ against }) => against],
  ['ratio (min … max)', ({ ratio }) => ratio && spreadText(ratio)],
  ['before', (_, before) => before && number(before)],
  ['budget', ({ budget }) => budget],
  ['met', ({ met }) => metText(met)],
  ['ours', ({ ours }) => ours],
  ['peer', ({ peer }) => peer],
  ['CPU ours', ({ cpu }) => cpu?.ours?.toFixed(1)],
  ['CPU peer', ({ cpu }) => cpu?.peer?.toFixed(1)],
];

function comparisonTable(comparisons, before) {
  const rows = comparisons.map((each) =>
    COLUMNS.map(([, text]) => text(each, before.get(keyOf(each))) ?? ''),
  );
  // A column that says nothing in this section is left out.
  const used = COLUMNS.map((_, n) => n === 0 || rows.some((cells) => cells[n] !== ''));
  const only = (cells) => cells.filter((_, n) => used[n]);
  return markdownTable(only(COLUMNS.map(([title]) => title)), rows.map(only));
}

/** Curves over the same points share a table. */
function curvesOf(curves) {
  const heads = curves.map(({ axis, points }) => [axis, ...points.map(({ at }) => String(at))]);
  const ids = heads.map((head) => head.join('|'));
  return [...new Set(ids)].map((id) => {
    const group = curves.filter((_, n) => ids[n] === id);
    const [axis, ...points] = heads[ids.indexOf(id)];
    const rows = group.map(({ what, unit, points: values, verdict, budget, met }) => [
      `${what}, ${unit}`,
      ...values.map(({ value }) => number(value)),
      verdict,
      budget ?? '',
      metText(met),
    ]);
    return markdownTable([`cost against ${axis}`, ...points, 'verdict', 'budget', 'met'], rows);
  });
}

const spreadText = ({ min, median, max }) =>
  `**${number(median)}** (${number(min)} … ${number(max)})`;

const metText = (met) => (met === undefined ? '' : met ? 'yes' : 'NO');

/** Three digits that say something; big ones whole. */
export function number(value) {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.1 || size === 0 ? 2 : 4);
}

function markdownTable(header, rows) {
  const widths = header.map((title, n) =>
    Math.max(title.length, ...rows.map((cells) => cells[n].length)),
  );
  const line = (cells) => `| ${cells.map((cell, n) => cell.padEnd(widths[n])).join(' | ')} |`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  return [line(header), rule, ...rows.map(line)].join('\n');
}
