/**
 * The part `files`: toyfs, on a file and with its journal, beside file systems with the same API: memfs and
 * ZenFS in memory, ZenFS in one buffer, and node:fs on this machine's disk. All in-process, through
 * `fs.promises`. Each subject has a process of its own in each round, so that none meets the garbage of another.
 *
 * Two kinds of rows: what toyfs is asked, in thousands of calls, MiB or milliseconds, against its budget;
 * and ratios to the others, which tell more on a machine that is slow or busy.
 */
import { fork } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { budgetOf, curveOf, number, ratioOf, spread } from '../lib/findings.mjs';
import { SUBJECTS } from './subjects.mjs';

const SECTION = 'Files: toyfs';
const CHILD = fileURLToPath(new URL('child.mjs', import.meta.url));
const DIRECTORIES = [10_000, 100_000];

/** What is measured of every subject, with what is asked of toyfs. */
const ROWS = [
  {
    what: 'small files: create',
    of: ({ small }) => small.create,
    unit: 'k/s',
    limit: { atLeast: 20 },
  },
  {
    what: 'small files: stat',
    of: ({ small }) => small.stat,
    unit: 'k/s',
    limit: { atLeast: 150 },
  },
  { what: 'small files: read', of: ({ small }) => small.read, unit: 'k/s', limit: { atLeast: 60 } },
  {
    what: 'small files: rename',
    of: ({ small }) => small.rename,
    unit: 'k/s',
    limit: { atLeast: 25 },
  },
  {
    what: 'small files: unlink',
    of: ({ small }) => small.unlink,
    unit: 'k/s',
    limit: { atLeast: 25 },
  },
  {
    what: 'large file: write',
    of: ({ large }) => large.write,
    unit: 'MiB/s',
    limit: { atLeast: 400 },
  },
  {
    what: 'large file: read',
    of: ({ large }) => large.read,
    unit: 'MiB/s',
    limit: { atLeast: 1000 },
  },
  {
    what: 'large file: random 4 KiB write',
    of: ({ large }) => large.random,
    unit: 'k/s',
    limit: {},
  },
  {
    what: 'durable create, 16 at once',
    of: ({ durable }) => durable,
    unit: 'k/s',
    limit: { atLeast: 3 },
  },
];

/** What is measured of toyfs alone. */
const TIMES = [
  { what: 'open a volume of 10 GiB', of: ({ open }) => open, limit: { atMost: 30 } },
  { what: 'replay a full journal of 32 MiB', of: ({ replay }) => replay, limit: { atMost: 300 } },
  { what: 'freeze with 15 MiB to be written', of: ({ freeze }) => freeze, limit: { atMost: 50 } },
];

/** The row of a large directory. */
const GROWTH = 'small files: cost by size of the directory';

/**
 * @param {{ quick: boolean, only?: string, say: (line: string) => void, dir: string }} options
 * @returns {Promise<import('../lib/findings.mjs').Finding[]>}
 */
export async function files({ quick, only = '', say, dir }) {
  const rows = ROWS.filter(({ what }) => what.includes(only));
  const timed = TIMES.filter(({ what }) => what.includes(only));
  const bench = new Bench(dir, quick ? 1 : 3);
  const findings = [];
  if (rows.length > 0) findings.push(...(await beside(bench, rows, say)));
  if (timed.length > 0) findings.push(...(await alone(bench, timed, say)));
  if (GROWTH.includes(only)) findings.push(...(await growth(bench, say)));
  return findings;
}

class Bench {
  constructor(dir, rounds) {
    this.dir = dir;
    this.rounds = rounds;
  }

  /** One measurement in a process and a directory of its own. */
  async run(what, argument) {
    const dir = join(this.dir, 'files');
    mkdirSync(dir, { recursive: true });
    try {
      return await new Promise((resolve, reject) => {
        const child = fork(CHILD, [what, String(argument), dir], { execArgv: ['--expose-gc'] });
        let found;
        child.on('message', (message) => {
          found = message;
        });
        child.on('error', reject);
        child.on('exit', (code, signal) => {
          if (found !== undefined && code === 0) resolve(found);
          else reject(new Error(`${what} ${argument} ended with ${signal ?? code}`));
        });
      });
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  }
}

async function beside(bench, rows, say) {
  const measured = new Map(SUBJECTS.map(({ name }) => [name, []]));
  for (let round = 0; round < bench.rounds; round += 1) {
    for (const { name } of SUBJECTS) {
      say(`files: ${name}, round ${round + 1} of ${bench.rounds}`);
      measured.get(name).push(await bench.run('rates', name));
    }
  }
  return rows.flatMap((row) => rowsOf(row, measured));
}

function rowsOf({ what, of, unit, limit }, measured) {
  const by = (name) => measured.get(name).map(of);
  const ours = by('toyfs');
  const rate = spread(ours);
  const text = (values) => `${number(spread(values).median)} ${unit}`;
  const budget = {
    section: SECTION,
    what: `${what}, ${unit}`,
    ratio: rate,
    ...budgetOf(rate, limit),
    ours: text(ours),
  };
  const peers = SUBJECTS.filter(({ name }) => name !== 'toyfs' && by(name)[0] !== undefined);
  return [
    budget,
    ...peers.map(({ name }) => ({
      section: SECTION,
      what,
      against: name,
      ratio: ratioOf(ours, by(name)),
      ours: text(ours),
      peer: text(by(name)),
    })),
  ];
}

async function alone(bench, timed, say) {
  const measured = [];
  for (let round = 0; round < bench.rounds; round += 1) {
    say(`files: open, replay, freeze, round ${round + 1} of ${bench.rounds}`);
    measured.push(await bench.run('times', '-'));
  }
  return timed.map(({ what, of, limit }) => {
    const took = spread(measured.map(of));
    return {
      section: SECTION,
      what: `${what}, ms`,
      ratio: took,
      ...budgetOf(took, limit),
      ours: `${number(took.median)} ms`,
      ...(what.startsWith('replay')
        ? {
            note: `${measured[0].replayed} transactions, which fill three quarters: then its blocks go home`,
          }
        : {}),
    };
  });
}

async function growth(bench, say) {
  const points = DIRECTORIES.map((count) => ({ count, rates: [] }));
  for (let round = 0; round < Math.min(2, bench.rounds); round += 1) {
    for (const { count, rates } of points) {
      say(`files: a directory of ${count} files`);
      rates.push(await bench.run('large', count));
    }
  }
  return ['create', 'stat', 'read', 'rename', 'unlink'].map((call) =>
    curveOf({
      section: SECTION,
      what: `small files: ${call}`,
      axis: 'files in the directory',
      unit: 'µs',
      points: points.map(({ count, rates }) => ({
        at: count,
        value: 1000 / Math.max(...rates.map((each) => each[call])),
      })),
      worst: 'flat',
    }),
  );
}
