/**
 * Torture: works until every floor is reached, in two processes, prints one line a floor (`name done
 * target seconds`), and fails when one is not reached or anything is wrong. A failure prints the
 * line that runs it again, and the shortest list of operations that still fails.
 *
 *   npm run torture                        the floors
 *   npm run torture -- --seed 7            one seed, every point
 *   npm run torture -- --full 7            one in a store that is full, every third point
 *   npm run torture -- --interleaved 7     one history without a crash, all calls delayed
 *   npm run torture -- --quick 7           one longer history without a crash or delay
 *   npm run torture -- --sequence zero,restore,copy-back     one of the exhaustive part
 *   npm run torture -- --case FILE         a case as it was shrunk
 *   npm run torture -- --images 1000       other floors; --first 100 starts at another seed
 */
import { type ChildProcess, fork } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { begin, exhaust, SEQUENCES } from './exhaustive.js';
import { reportFailure } from './report.js';
import { addTally, newTally, type Tally } from './tally.js';
import { crashCase, interleave, soak, torture, tortureFull } from './torture.js';
import { OPERATIONS, type Share, SOAK_OPERATIONS, THOROUGH, work } from './work.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    full: { type: 'string' },
    interleaved: { type: 'string' },
    quick: { type: 'string' },
    sequence: { type: 'string' },
    case: { type: 'string' },
    first: { type: 'string', default: '1' },
    images: { type: 'string', default: '200000' },
    recovery: { type: 'string', default: '40000' },
    operations: { type: 'string', default: '2000000' },
    'sequences-every': { type: 'string', default: '1' },
    seconds: { type: 'string', default: '2300' },
    workers: { type: 'string', default: String(Math.min(2, os.availableParallelism())) },
    /** A worker: its share as JSON. */
    share: { type: 'string' },
    quiet: { type: 'boolean', default: false },
    'shrink-seconds': { type: 'string', default: '60' },
  },
});

/** What a worker sends when it has done its share. */
interface Report {
  readonly tally: Tally;
  readonly hashes: Float64Array;
}

/**
 * A piece of work takes seconds, and to report a failure a minute. One that turns round and round, so
 * that its worker cannot tell, is given up.
 */
const PIECE_SECONDS = 300;

const seconds = (): number => performance.now() / 1000;
const totals = { seen: new Set<number>(), tally: newTally() };
const images = Number(values.images);

/** What runs. A store that waits for ever leaves Node nothing to do, and it exits. */
let running: string | undefined;
process.on('exit', () => {
  if (running === undefined) return;
  console.error(`FAILED ${running}: the store hangs: an operation is never answered`);
  console.error(`run it again: npm run torture -- ${running}`);
  process.exitCode = 1;
});

/** Runs what one line asks for. Tells whether there was such a line. */
async function runOne(): Promise<boolean> {
  const { seed, full, interleaved, quick, sequence } = values;
  if (sequence !== undefined) await exhaust(sequence.split(','), await begin(), totals);
  else if (values.case !== undefined) {
    const run = JSON.parse(fs.readFileSync(values.case, 'utf8'));
    await crashCase(run.case ?? run, { seed: 0 }, THOROUGH, totals);
  } else if (interleaved !== undefined) {
    await interleave(Number(interleaved), OPERATIONS, totals.tally);
  } else if (quick !== undefined) await soak(Number(quick), SOAK_OPERATIONS, totals.tally);
  else if (full !== undefined) await tortureFull(Number(full), THOROUGH, totals);
  else if (seed !== undefined) await torture(Number(seed), THOROUGH, totals);
  else return false;
  return true;
}

/** Shares the work out, and adds up what was done. */
async function runAll(): Promise<void> {
  const workers = Number(values.workers);
  const all: ChildProcess[] = [];
  const reports = Array.from({ length: workers }, (_, index) => {
    const share: Share = {
      first: Number(values.first) + index,
      step: workers,
      images: Math.ceil((images - Number(values.recovery)) / workers),
      recoveryImages: Math.ceil(Number(values.recovery) / workers),
      operations: Math.ceil(Number(values.operations) / workers),
      sequencesEvery: Number(values['sequences-every']),
    };
    const args = ['--share', JSON.stringify(share), '--seconds', values.seconds];
    args.push('--shrink-seconds', values['shrink-seconds']);
    if (values.quiet) args.push('--quiet');
    const child = fork(process.argv[1] as string, args, { serialization: 'advanced' });
    all.push(child);
    return reportOf(child);
  });
  try {
    for (const { tally, hashes } of await Promise.all(reports)) {
      addTally(totals.tally, tally);
      for (const hash of hashes) totals.seen.add(hash);
    }
  } catch (error) {
    for (const child of all) child.kill();
    throw error;
  }
}

function reportOf(child: ChildProcess): Promise<Report> {
  return new Promise((resolve, reject) => {
    let piece = 'start';
    const watchdog = setTimeout(() => {
      console.error(`FAILED ${piece}: not done after ${PIECE_SECONDS} s: an operation never ends`);
      console.error(`run it again: npm run torture -- ${piece}`);
      child.kill('SIGKILL');
    }, PIECE_SECONDS * 1000);
    child.on('message', (message) => {
      if (typeof message !== 'string') return resolve(message as Report);
      piece = message;
      watchdog.refresh();
    });
    child.on('error', reject);
    child.on('exit', (code) => {
      clearTimeout(watchdog);
      reject(new WorkerFailed(`a worker ended with ${code}`));
    });
  });
}

/** Its own output says why. */
class WorkerFailed extends Error {}

async function runShare(share: Share): Promise<void> {
  let last = 0;
  await work(share, {
    totals,
    onStart: (words) => {
      running = words;
      process.send?.(words);
      if (values.quiet || seconds() < last + 10) return;
      last = seconds();
      const { tally } = totals;
      process.stderr.write(
        `${words}: ${tally.images} images, ${tally.recoveryImages} in recovery, ` +
          `${tally.operations} operations, ${last.toFixed(0)} s\n`,
      );
    },
    hasTime: () => seconds() < Number(values.seconds),
  });
  running = undefined;
  const report: Report = { tally: totals.tally, hashes: Float64Array.from(totals.seen) };
  process.send?.(report, () => process.disconnect());
}

/** One line a floor; `totals.seen` has each image once, whoever saw it. */
function tellFloors(): void {
  const { tally, seen } = totals;
  const every = Number(values['sequences-every']);
  const floors: [name: string, done: number, target: number][] = [
    ['crash-images', seen.size, images],
    ['crash-images-in-recovery', tally.recoveryImages, Number(values.recovery)],
    ['model-operations', tally.operations, Number(values.operations)],
    ['sequences-of-three', tally.sequences, every === 0 ? 0 : Math.floor(SEQUENCES / every)],
    ['survivors-lived-on', tally.survivors, Math.floor(images / 100)],
    ['interleaved-histories', tally.interleaved, Math.floor(images / 200)],
    ['refusals-when-full', tally.refusals, Math.floor(images / 400)],
    ['first-overwrites-watched', tally.firstOverwrites, Math.floor(images / 400)],
  ];
  for (const [name, done, target] of floors) {
    console.log(`${name} ${done} ${target} ${seconds().toFixed(1)}`);
    if (done < target) process.exitCode = 1;
  }
}

try {
  if (values.share !== undefined) await runShare(JSON.parse(values.share) as Share);
  else if (await runOne()) console.log(`nothing wrong: ${JSON.stringify(totals.tally)}`);
  else {
    await runAll();
    tellFloors();
    const { histories, kills } = totals.tally;
    console.log(
      `histories ${histories}, kills ${kills}: nothing lost, nothing invented, no snapshot changed`,
    );
  }
} catch (error) {
  running = undefined;
  process.exitCode = 1;
  if (!(error instanceof WorkerFailed)) {
    const until = seconds() + Number(values['shrink-seconds']);
    await reportFailure(error, {
      hasTime: () => seconds() < until,
      shrinks: !values.quiet,
      keep: (name, json) => {
        const file = path.join(os.tmpdir(), name);
        fs.writeFileSync(file, json);
        return file;
      },
    });
  }
  if (process.connected) process.disconnect();
}
