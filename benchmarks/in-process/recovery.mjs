/**
 * Opening a store after its process was killed: real files, a real `kill -9`, another process that
 * opens it through the daemon's own path (lock, recovery, volume, export). The page cache is warm.
 *
 * What was killed: a sparse production volume of 16 TiB with a snapshot and ten million saved blocks
 * all over it, each with its place and checksum in the save volume (of zeros, which its file leaves as
 * holes); a journal as full as it gets; and writes that were not flushed.
 */
import { fork } from 'node:child_process';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { budgetOf, curveOf, spread } from '../lib/findings.mjs';

const SECTION = 'Open and recovery';
const FIRST_IO = 'open after kill -9: first I/O';
const MEMORY = 'open after kill -9: memory';
const PROCESS = fileURLToPath(new URL('recovery-process.mjs', import.meta.url));
/** The largest file of some file systems is a page short of 16 TiB. */
const SIZE = 2 ** 44 - 65_536;
/** A round more is worth more than a build more: one store is killed and opened again and again. */
const ROUNDS = 3;

/** @type {readonly import('./rows.mjs').Row[]} */
export const RECOVERY = [{ finds: [FIRST_IO, MEMORY], run: recovery }];

async function recovery({ quick, say }) {
  const counts = quick ? [500_000] : [500_000, 10_000_000];
  const points = [];
  let last;
  for (const blocks of counts) {
    last = await killAndOpen(blocks, quick ? 1 : ROUNDS);
    points.push({ at: blocks, value: last.ms.median });
    const { ms, rss, built } = last;
    say(
      `${blocks} blocks: built in ${built.toFixed(0)} s, first I/O after ${ms.median.toFixed(0)} ms, ${rss.max.toFixed(0)} MiB`,
    );
  }
  const { ms, rss, note } = last;
  const seconds = { min: ms.min / 1000, median: ms.median / 1000, max: ms.max / 1000 };
  const against = `${counts.at(-1).toLocaleString('en')} saved blocks, 16 TiB`;
  return [
    {
      section: SECTION,
      what: FIRST_IO,
      against,
      ratio: seconds,
      ...budgetOf(seconds, { atMost: 2 }),
      ours: `${seconds.median.toFixed(2)} s`,
      note,
    },
    {
      section: SECTION,
      what: MEMORY,
      against,
      ratio: rss,
      ...budgetOf(rss, { atMost: 256 }),
      ours: `${rss.median.toFixed(0)} MiB`,
      note: 'the most that the process had until its first I/O was done (VmHWM), MiB',
    },
    curveOf({
      section: SECTION,
      what: FIRST_IO,
      axis: 'saved blocks',
      unit: 'ms',
      points,
      worst: 'logarithmic',
    }),
  ];
}

async function killAndOpen(blocks, rounds) {
  const directory = await mkdtemp(join(tmpdir(), 'palimpsest-recovery-'));
  try {
    const image = join(directory, 'disk.img');
    await writeFile(image, '');
    await truncate(image, SIZE);
    const started = Date.now();
    const { pending } = await untilReady(start('build', directory, blocks));
    const built = (Date.now() - started) / 1000;
    const results = [];
    for (let round = 0; round < rounds; round += 1) {
      results.push(await untilReady(start('open', directory, blocks)));
    }
    return {
      built,
      ms: spread(results.map((each) => each.ms)),
      rss: spread(results.map((each) => each.rssKiB / 1024)),
      note:
        'from the start of the process, Node and all, until a block was read, another written and both ' +
        `flushed; the journal had ${pending.toLocaleString('en')} changes to be replayed, and the ` +
        'bytes of saved blocks are zeros, which the file leaves as holes',
    };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const start = (what, directory, blocks) =>
  fork(PROCESS, [what, directory, String(blocks)], { execArgv: [] });

/** Waits for the process to say that it is where it should be, and kills it there. */
function untilReady(child) {
  return new Promise((resolve, reject) => {
    let said;
    child.on('message', (message) => {
      said = message;
      child.kill('SIGKILL');
    });
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      if (said !== undefined && signal === 'SIGKILL') resolve(said);
      else reject(new Error(`the process ended by itself: ${signal ?? code}`));
    });
  });
}
