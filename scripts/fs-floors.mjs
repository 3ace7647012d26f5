/**
 * The floors of toyfs: how much its tests try when there is time.
 *
 * Goal: after a crash at any point a file system opens and holds every synced file whole, in 100,000
 * images; e2fsck has no complaint of 2,000 of them; 300 random histories leave what a model says; our
 * own check and e2fsck agree on some hundreds of damaged images. Method: the tests of packages/toyfs,
 * told to do more, in two processes that each take every other case; the kinds of images of others are
 * all read and written on the way, and the kernel of this machine mounts ours and writes its own.
 *
 *   FF1  What was done is counted by the tests themselves, when it was done.
 *   FF2  Without e2fsprogs it is skipped, loudly; under CI=true that is a failure. So is what needs root.
 *
 * Options: --scale N (1): a part of it all, to try it out. Prints `name done target seconds` for each.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { missingTools } from './lib/steps.mjs';

const { values } = parseArgs({ options: { scale: { type: 'string', default: '1' } } });
const scale = Number(values.scale);
const part = (count) => Math.ceil(count * scale);
const TARGETS = {
  'crash-images': part(100_000),
  'crash-images-e2fsck': part(2000),
  histories: part(300),
  damages: part(550),
};
/** Kinds of images that are damaged. */
const DAMAGED_KINDS = 11;
const SHARED = ['test/crash.test.ts', 'test/history.test.ts', 'test/check/damage.test.ts'];
/** What only one of the two runs. */
const ONCE = [
  ['test/read-images.test.ts', 'test/write-others.test.ts', 'test/replay.test.ts'],
  ['test/kernel/kernel.test.ts'],
];
const SHARES = ONCE.length;

const missing = missingTools(['mkfs.ext4', 'e2fsck', 'debugfs', 'dumpe2fs']);
if (missing.length > 0) {
  console.error(`SKIPPED: the floors of toyfs need ${missing.join(', ')} (package e2fsprogs)`);
  process.exit(process.env.CI === 'true' ? 1 : 0);
}

const home = new URL('../packages/toyfs/', import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), 'palimpsest-fs-floors-'));
const counts = join(folder, 'done');
writeFileSync(counts, '');
const started = Date.now();

/** Runs a share of the tests; answers its exit status. */
function run(share) {
  const files = [...SHARED, ...ONCE[share - 1]];
  const child = spawn(
    join(home, '../../node_modules/.bin/vitest'),
    ['run', '--reporter=dot', '--maxWorkers=1', '--testTimeout=600000', ...files],
    {
      cwd: home,
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        ...process.env,
        TOYFS_ALL: '1',
        TOYFS_SHARE: `${share}/${SHARES}`,
        TOYFS_DONE: counts,
        // An image is recovered twice, and both count.
        TOYFS_CRASH_IMAGES: String(TARGETS['crash-images'] / 2),
        TOYFS_E2FSCK: String(TARGETS['crash-images-e2fsck']),
        TOYFS_HISTORIES: String(TARGETS.histories),
        TOYFS_DAMAGES: String(Math.ceil(TARGETS.damages / DAMAGED_KINDS)),
      },
    },
  );
  child.stdout.pipe(process.stderr);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', resolve);
  });
}

const statuses = await Promise.all(Array.from({ length: SHARES }, (_, i) => run(i + 1)));
const seconds = Math.round((Date.now() - started) / 1000);
const done = {};
for (const line of readFileSync(counts, 'utf8').split('\n').filter(Boolean)) {
  const [name, count] = line.split(' ');
  done[name] = (done[name] ?? 0) + Number(count);
}
rmSync(folder, { recursive: true });
let isBelow = statuses.some((status) => status !== 0);
for (const [name, target] of Object.entries(TARGETS)) {
  const count = done[name] ?? 0;
  if (count < target) isBelow = true;
  console.log(`toyfs-${name} ${count} ${target} ${seconds}`);
}
process.exitCode = isBelow ? 1 : 0;
