/**
 * Everything `npm test` does, in one run: build, types, format and lint, layers, unused code, tests,
 * packed tarballs, a few real kill -9 cycles and the examples. Cheap checks that fail do not hide the
 * later ones; without a build nothing else is worth a look. One line per step, a summary at the end.
 * Steps of one group run side by side, for none of them keeps two processors busy all the time; what
 * each says is kept and told whole when it ends.
 *
 * Options: --only name[,name] runs some steps; --report file writes the counts as JSON.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const { values } = parseArgs({
  options: { only: { type: 'string' }, report: { type: 'string' } },
});
const scratch = mkdtempSync(join(tmpdir(), 'palimpsest-test-'));
const vitestReport = join(scratch, 'vitest.json');

/** Seconds after which a step counts as hung; the whole run takes three to four minutes on two processors. */
const WATCHDOG_S = 600;

/** Groups run one after the other, the steps of a group side by side. */
const GROUPS = [
  [{ name: 'build', command: ['turbo', 'run', 'build', '--output-logs=errors-only'], vital: true }],
  [
    { name: 'types', command: ['tsc', '-p', 'tsconfig.check.json'] },
    { name: 'lint', command: ['biome', 'check', '.'] },
    { name: 'layers', command: ['node', 'scripts/layers.mjs'] },
    { name: 'unused', command: ['knip', '--no-config-hints', '--no-progress'] },
  ],
  [
    {
      name: 'tests',
      command: [
        'vitest',
        'run',
        '--reporter=default',
        '--reporter=json',
        `--outputFile.json=${vitestReport}`,
      ],
    },
  ],
  [
    { name: 'tarballs', command: ['node', 'scripts/pack-check.mjs'] },
    { name: 'kill-9', command: ['node', 'scripts/kill9.mjs', '--cycles', '10', '--seed', '1'] },
    { name: 'examples', command: ['node', 'examples/run-all.mjs', '--library'] },
  ],
];

/**
 * Runs one command with the workspace's binaries on the path; true when it exits with 0. What it says goes
 * through, or is told at its end where it shares the terminal with others.
 */
function run(command, shared) {
  return new Promise((resolve) => {
    const [file, ...args] = command;
    const path = `${join(ROOT, 'node_modules/.bin')}:${process.env.PATH ?? ''}`;
    const child = spawn(file, args, {
      cwd: ROOT,
      stdio: shared ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'inherit', 'inherit'],
      env: { TURBO_TELEMETRY_DISABLED: '1', ...process.env, PATH: path },
    });
    const said = [];
    const keep = (part) => said.push(part);
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    const watchdog = setTimeout(() => {
      console.error(`${file} ran for ${WATCHDOG_S} s: stopped`);
      child.kill('SIGKILL');
    }, WATCHDOG_S * 1000);
    const finish = (ok) => {
      clearTimeout(watchdog);
      process.stdout.write(Buffer.concat(said.splice(0)));
      resolve(ok);
    };
    child.on('error', (error) => {
      console.error(String(error));
      finish(false);
    });
    // Not before all that it said has come; a grandchild that is left behind must not keep us, though.
    child.on('close', (code) => finish(code === 0));
    child.on('exit', (code) => setTimeout(finish, 2_000, code === 0).unref());
  });
}

/** Passed and failed tests of the vitest report; a run without one is one failure. */
function testCounts() {
  try {
    const report = JSON.parse(readFileSync(vitestReport, 'utf8'));
    // A suite that does not load has no tests in the report, yet it failed.
    const unloaded = report.testResults.filter(
      ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
    ).length;
    return {
      passed: report.numPassedTests,
      failed: report.numFailedTests + unloaded,
      skipped: report.numPendingTests + report.numTodoTests,
    };
  } catch (error) {
    console.error(`no test report: ${error.message}`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

const only = values.only?.split(',');
const total = { passed: 0, failed: 0, skipped: 0 };
const lines = [];

/** Runs a step to its end and counts what came of it; true when it went well. */
async function take(step, shared) {
  const start = performance.now();
  const ok = await run(step.command, shared);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const counts = step.name === 'tests' ? testCounts() : { passed: +ok, failed: +!ok, skipped: 0 };
  // A run can fail without a failed test: an unhandled rejection, say.
  if (!ok && counts.failed === 0) counts.failed = 1;
  for (const key of Object.keys(total)) total[key] += counts[key];
  lines.push(`${ok ? 'ok  ' : 'FAIL'} ${step.name.padEnd(9)} ${seconds.padStart(6)} s`);
  console.log(lines.at(-1));
  return ok;
}

const started = performance.now();
try {
  for (const group of GROUPS) {
    const steps = group.filter(({ name }) => only === undefined || only.includes(name));
    const went = await Promise.all(steps.map((step) => take(step, steps.length > 1)));
    if (steps.some(({ vital }, index) => vital && !went[index])) break;
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
lines.push(`     in all    ${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s`);
console.log(`\n${lines.join('\n')}\n`);
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
if (values.report !== undefined) writeFileSync(values.report, JSON.stringify(total));
process.exit(total.failed === 0 ? 0 : 1);
