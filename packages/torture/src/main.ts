/**
 * Torture: runs seeds until every floor is reached, prints one line a floor (`name done target
 * seconds`), and fails when one is not reached or anything is wrong. A failure prints the line
 * that runs it again.
 *
 *   npm run torture                        the floors
 *   npm run torture -- --seed 7            one seed, every point
 *   npm run torture -- --interleaved 7     one history without a crash, all calls delayed
 *   npm run torture -- --images 1000       other floors; --first 100 starts at another seed
 */
import { parseArgs } from 'node:util';
import { Failure, interleave, newTally, type SweepOptions, torture } from './crash-driver.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    first: { type: 'string', default: '1' },
    images: { type: 'string', default: '20000' },
    recovery: { type: 'string', default: '5000' },
    seconds: { type: 'string', default: '480' },
    interleaved: { type: 'string' },
    quiet: { type: 'boolean', default: false },
  },
});

const started = performance.now();
const seconds = (): number => (performance.now() - started) / 1000;
const tally = newTally();
const seen = new Set<number>();
const INTERLEAVED = 6;
const THOROUGH: SweepOptions = {
  operations: 60,
  everyPoint: 1,
  policies: 7,
  nestedEvery: 40,
  continueEvery: 16,
  continueOperations: 30,
};

/** The seed that runs. A store that waits for ever leaves Node nothing to do, and it exits. */
let running: number | undefined;
process.on('exit', () => {
  if (running === undefined) return;
  console.error(`FAILED seed=${running}: the store hangs: an operation is never answered`);
  process.exitCode = 1;
});

async function run(seed: number): Promise<void> {
  running = seed;
  // Six interleavings go with each history that is crashed: they cost a sixth of it.
  for (let number = 0; number < INTERLEAVED; number++) {
    await interleave(seed * INTERLEAVED + number, 60, tally);
  }
  await torture(seed, THOROUGH, seen, tally);
  running = undefined;
  if (!values.quiet) {
    process.stderr.write(
      `seed ${seed}: ${tally.images} images, ${tally.recoveryImages} in recovery, ` +
        `${seconds().toFixed(1)} s\n`,
    );
  }
}

/** One seed was asked for: nothing is missed. */
const single = values.seed !== undefined || values.interleaved !== undefined;
const floors = (): [name: string, done: number, target: number][] => [
  ['crash-points', tally.images + tally.recoveryImages, Number(values.images)],
  ['crash-points-in-recovery', tally.recoveryImages, Number(values.recovery)],
  ['survivors-lived-on', tally.survivors, Math.floor(Number(values.images) / 50)],
  ['interleaved-histories', tally.interleaved, Math.floor(Number(values.images) / 100)],
  ['refusals-when-full', tally.refusals, Math.floor(Number(values.images) / 200)],
  ['first-overwrites-watched', tally.firstOverwrites, Math.floor(Number(values.images) / 200)],
];

try {
  if (values.interleaved !== undefined) await interleave(Number(values.interleaved), 60, tally);
  else if (values.seed !== undefined) await run(Number(values.seed));
  else {
    for (let seed = Number(values.first); ; seed++) {
      if (floors().every(([, done, target]) => done >= target)) break;
      if (seconds() > Number(values.seconds)) break;
      await run(seed);
    }
  }
  for (const [name, done, target] of floors()) {
    console.log(`${name} ${done} ${single ? '-' : target} ${seconds().toFixed(1)}`);
    if (!single && done < target) process.exitCode = 1;
  }
  console.log(
    `histories ${tally.histories}, operations ${tally.operations}, kills ${tally.kills}: ` +
      'nothing lost, nothing invented, no snapshot changed',
  );
} catch (error) {
  running = undefined;
  if (!(error instanceof Failure)) throw error;
  console.error(`FAILED ${error.message}`);
  if (error.cause instanceof Error) console.error(error.cause.stack);
  const again = error.place.interleaved === true ? '--interleaved' : '--seed';
  console.error(`run it again: npm run torture -- ${again} ${error.place.seed}`);
  process.exitCode = 1;
}
