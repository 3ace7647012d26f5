/**
 * Life: what a store must be after a long time, one line a floor (`name done target seconds`): full
 * under each policy for many operations, and with a thousand snapshots.
 *
 *   npm run life                           the floors, one policy a process
 *   npm run life -- --policy drop-oldest --seed 7     one store that is full
 */
import { fork } from 'node:child_process';
import { parseArgs } from 'node:util';
import { type FullPolicy, lifeWhenFull } from './full-store.js';
import { Failure } from './tally.js';
import { thousandSnapshots } from './thousand-snapshots.js';

const POLICIES: readonly FullPolicy[] = ['fail-writes', 'drop-oldest'];
const { values } = parseArgs({
  options: {
    operations: { type: 'string', default: '100000' },
    snapshots: { type: 'string', default: '1000' },
    policy: { type: 'string' },
    seed: { type: 'string' },
  },
});
const seconds = (): string => (performance.now() / 1000).toFixed(1);

/** One policy, in this process. */
async function live(policy: FullPolicy): Promise<void> {
  const target = values.seed === undefined ? Number(values.operations) : 1;
  const first = Number(values.seed ?? 1);
  const { operations, refusals, dropped, deletions } = await lifeWhenFull(policy, first, target);
  console.log(`full-store-${policy} ${operations} ${target} ${seconds()}`);
  console.log(`  ${refusals} refusals, ${deletions} deletions, ${dropped} of them to make room`);
  if (values.seed === undefined && refusals < target / 20) process.exitCode = 1;
}

function liveApart(policy: FullPolicy): Promise<void> {
  const args = ['--policy', policy, '--operations', values.operations];
  const child = fork(process.argv[1] as string, args);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => {
      if (code !== 0) process.exitCode = 1;
      resolve();
    });
  });
}

async function keepMany(): Promise<void> {
  const report = await thousandSnapshots(Number(values.snapshots));
  console.log(`thousand-snapshots ${report.snapshots} ${values.snapshots} ${seconds()}`);
  console.log(
    `  calls to make one: ${report.createFirst} at first, ${report.createLast} at last; to read a ` +
      `block: ${report.readOldest} of the oldest, ${report.readYoungest} of the youngest; ` +
      `${report.returnedBytes} bytes given back, each as predicted`,
  );
}

try {
  const policy = POLICIES.find((name) => name === values.policy);
  if (policy !== undefined) await live(policy);
  else {
    await Promise.all(POLICIES.map(liveApart));
    await keepMany();
  }
} catch (error) {
  if (!(error instanceof Failure)) throw error;
  console.error(`FAILED ${error.message}`);
  for (let cause = error.cause; cause instanceof Error; cause = cause.cause) {
    console.error(cause.stack);
  }
  const { policy, seed } = error.place;
  console.error(`run it again: npm run life -- --policy ${policy} --seed ${seed}`);
  process.exitCode = 1;
}
