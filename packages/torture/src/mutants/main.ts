/**
 * Runs every seeded bug of list.ts in a copy of the tree and prints who noticed it. First the checks
 * run without any bug, and must pass; a bug that survives, or that cannot be put in, is a failure.
 *
 *   npm run mutants                   all of them
 *   npm run mutants -- --only NAME    one; several with more of the same; --unchecked leaves the
 *                                     checks without any bug out
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Check, MUTANTS, type Mutant } from './list.js';
import { REAL_BUGS } from './real.js';

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    /** Leaves out the checks without any bug. */
    unchecked: { type: 'boolean', default: false },
  },
});
const root = fileURLToPath(new URL('../../../..', import.meta.url));
/** The torture of so many distinct crash images; most bugs die within the first hundred. */
const TORTURE = ['--workers', '1', '--images', '5000', '--recovery', '1000'];
const QUIETLY = ['--operations', '10000', '--sequences-every', '50', '--quiet'];
/** A check that takes longer than this hangs, which is a way of failing. */
const LIMIT_MS = 240_000;

interface Outcome {
  readonly failed: boolean;
  /** The line that says what failed. */
  readonly evidence: string;
  readonly seconds: number;
}

const chosen = [...MUTANTS, ...REAL_BUGS].filter(({ name }) => values.only?.includes(name) ?? true);
if (chosen.length === 0) throw new Error(`no mutant is named ${values.only?.join(' or ')}`);
const tree = copyTree();
try {
  process.exitCode = await runAll();
} finally {
  fs.rmSync(tree, { recursive: true, force: true });
}

async function runAll(): Promise<number> {
  for (const mutant of chosen) mutate(mutant); // a patch that does not fit is told at once
  const checks = new Map(chosen.map(({ check }) => [JSON.stringify(check), check]));
  for (const check of values.unchecked ? [] : checks.values()) {
    const { failed, evidence, seconds } = await run(check);
    report(failed ? 'FAILED' : 'passes', `without any bug: ${describe(check)}`, seconds, evidence);
    if (failed) return 1;
  }
  let killed = 0;
  for (const mutant of chosen) {
    const { failed, evidence, seconds } = await attempt(mutant);
    if (failed) killed++;
    report(failed ? 'killed' : 'SURVIVED', mutant.name, seconds, failed ? evidence : mutant.bug);
  }
  console.log(`mutants-killed ${killed} ${chosen.length} ${Math.round(process.uptime())}`);
  return killed === chosen.length ? 0 : 1;
}

async function attempt(mutant: Mutant): Promise<Outcome> {
  const target = path.join(tree, mutant.file);
  const source = fs.readFileSync(target, 'utf8');
  fs.writeFileSync(target, mutate(mutant));
  try {
    return await run(mutant.check);
  } finally {
    fs.writeFileSync(target, source);
  }
}

/** The source with the bug in it. */
function mutate({ name, file, find, replace }: Mutant): string {
  const source = fs.readFileSync(path.join(tree, file), 'utf8');
  const found = source.split(find).length - 1;
  if (found !== 1) throw new Error(`${name}: its text is ${found} times in ${file}, not once`);
  return source.replace(find, () => replace);
}

/** A copy in which packages see each other's copies, and everything else is where it was. */
function copyTree(): string {
  const copy = fs.mkdtempSync(path.join(os.tmpdir(), 'palimpsest-mutants-'));
  for (const file of ['package.json', 'pnpm-workspace.yaml', 'vitest.shared.ts']) {
    fs.copyFileSync(path.join(root, file), path.join(copy, file));
  }
  fs.copyFileSync(path.join(root, 'tsconfig.base.json'), path.join(copy, 'tsconfig.base.json'));
  fs.symlinkSync(path.join(root, 'node_modules'), path.join(copy, 'node_modules'));
  fs.cpSync(path.join(root, 'packages'), path.join(copy, 'packages'), {
    recursive: true,
    verbatimSymlinks: true, // links between packages are relative, and stay inside the copy
    filter: (file) => !['dist', '.turbo'].includes(path.basename(file)),
  });
  return copy;
}

function describe(check: Check): string {
  return check.kind === 'torture' ? 'torture' : `${check.folder} ${check.filter ?? ''}`.trim();
}

async function run(check: Check): Promise<Outcome> {
  const started = performance.now();
  const bin = path.join(root, 'node_modules/.bin');
  const [command, args, folder] =
    check.kind === 'torture'
      ? [
          'tsx',
          ['--conditions=@palimpsest/source', 'src/main.ts', ...TORTURE, ...QUIETLY],
          'packages/torture',
        ]
      : // To its end: a run that is broken off leaves what its tests mounted.
        ['vitest', ['run', ...(check.filter ? [check.filter] : [])], check.folder];
  const { status, output } = await spawned(path.join(bin, command), args, path.join(tree, folder));
  const seconds = (performance.now() - started) / 1000;
  if (status === 0) return { failed: false, evidence: '', seconds };
  const evidence = evidenceIn(output);
  // A program that cannot even start has noticed nothing.
  if (evidence === undefined && status !== 'hangs') {
    throw new Error(`${describe(check)} broke instead of failing:\n${output.slice(-2000)}`);
  }
  return { failed: true, evidence: evidence ?? 'hangs', seconds };
}

/** The line in which the torture or a test says what it found wrong. */
function evidenceIn(output: string): string | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the test runner colours its words
  const plain = output.replaceAll(/\u001b\[[0-9;]*m/g, '');
  const torture = /^FAILED (.*)$/m.exec(plain)?.[1];
  if (torture !== undefined) return torture;
  // A test by its name, if one is named; else the file.
  const test = (/^\s*FAIL\s+(.* > .*)$/m.exec(plain) ?? /^\s*FAIL\s+(.*)$/m.exec(plain))?.[1];
  return test !== undefined && /Tests\s+\d+ failed/.test(plain) ? test : undefined;
}

function spawned(
  command: string,
  args: readonly string[],
  cwd: string,
): Promise<{ status: number | 'hangs'; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let hangs = false;
    const timer = setTimeout(() => {
      hangs = true;
      child.kill('SIGKILL');
    }, LIMIT_MS);
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (text) => {
        output += text;
      });
    }
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ status: hangs ? 'hangs' : (code ?? (signal === null ? 0 : 1)), output });
    });
  });
}

function report(verdict: string, name: string, seconds: number, detail: string): void {
  const time = `${seconds.toFixed(1)} s`.padStart(7);
  console.log(`${verdict.padEnd(8)} ${name.padEnd(36)} ${time}  ${detail.slice(0, 150)}`.trimEnd());
}
