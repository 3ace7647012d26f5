/**
 * Check: runs the torture or a test file in a copy of the tree, and tells what it noticed. A program
 * that cannot even start has noticed nothing: its check broke, and the bug lives.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import type { Check } from './mutant.js';
import { ROOT } from './tree.js';

/** The torture of so many distinct crash images; most bugs die within the first hundred. */
const FLOORS = ['--images', '5000', '--recovery', '1000', '--operations', '10000'];
const TORTURE = ['--workers', '1', ...FLOORS, '--sequences-every', '50'];
/**
 * A check that takes longer than this hangs, which is a way of failing. One that passes takes half a
 * minute at most, on a processor of its own.
 */
const LIMIT_MS = 180_000;
/** It hangs only if it also takes so many times as long as without any bug: machines can be busy. */
const PATIENCE = 5;
const SHRINK_SECONDS = 240;

/** What is asked of a check. */
export interface RunOptions {
  /** Looks for a short history when the torture fails. */
  readonly shrinks: boolean;
  /** Seconds that it took without any bug, if it ran. */
  readonly soundSeconds?: number | undefined;
}

/** What a check came to. */
export interface Outcome {
  readonly verdict: 'passes' | 'fails' | 'breaks';
  /** The line that says what failed; of a check that broke, its last words. */
  readonly evidence: string;
  /** Operations of the shortest history that still fails, if one was looked for and found. */
  readonly operations: number | undefined;
  readonly seconds: number;
}

/** A check in words. */
export function describe(check: Check): string {
  return check.kind === 'torture' ? 'torture' : `${check.folder} ${check.filter ?? ''}`.trim();
}

/** Runs a check in a tree. */
export async function run(
  check: Check,
  tree: string,
  { shrinks, soundSeconds = 0 }: RunOptions,
): Promise<Outcome> {
  const started = performance.now();
  const [command, args, folder] =
    check.kind === 'torture'
      ? ['tsx', tortureArguments(shrinks), 'packages/torture']
      : // To its end: a run that is broken off leaves what its tests mounted.
        ['vitest', ['run', ...(check.filter ? [check.filter] : [])], check.folder];
  const program = path.join(ROOT, 'node_modules/.bin', command);
  const patienceMs = Math.max(LIMIT_MS, PATIENCE * soundSeconds * 1000);
  const limitMs = patienceMs + (shrinks ? SHRINK_SECONDS * 1000 : 0);
  const { status, output } = await spawned(program, args, path.join(tree, folder), limitMs);
  const seconds = (performance.now() - started) / 1000;
  if (status === 0) return { verdict: 'passes', evidence: '', operations: undefined, seconds };
  const evidence = evidenceIn(output) ?? (status === 'hangs' ? 'hangs' : undefined);
  return evidence === undefined
    ? { verdict: 'breaks', evidence: output.slice(-2000), operations: undefined, seconds }
    : { verdict: 'fails', evidence, operations: operationsIn(output), seconds };
}

function tortureArguments(shrinks: boolean): string[] {
  const args = ['--conditions=@palimpsest/source', 'src/main.ts', ...TORTURE];
  return shrinks ? [...args, '--shrink-seconds', String(SHRINK_SECONDS)] : [...args, '--quiet'];
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

/** Sequences of the exhaustive part are as short as can be already. */
function operationsIn(output: string): number | undefined {
  const sequence = /^run it again: .* --sequence (\S+)$/m.exec(output)?.[1];
  if (sequence !== undefined) return sequence.split(',').length;
  const shrunk = /^(\d+) operations are enough/m.exec(output)?.[1];
  return shrunk === undefined ? undefined : Number(shrunk);
}

const running = new Set<ChildProcess>();

/** Ends every check that runs, with the processes it has started. */
export function endAll(): void {
  for (const child of running) end(child);
}

/** The whole group: a wrapper that is killed on its own leaves the program it wrapped running. */
function end({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // it has ended already
  }
}

function spawned(
  command: string,
  args: readonly string[],
  cwd: string,
  limitMs: number,
): Promise<{ status: number | 'hangs'; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    running.add(child);
    let output = '';
    let hangs = false;
    const timer = setTimeout(() => {
      hangs = true;
      end(child);
    }, limitMs);
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (text) => {
        output += text;
      });
    }
    child.on('error', reject);
    child.on('close', (code) => {
      running.delete(child);
      clearTimeout(timer);
      resolve({ status: hangs ? 'hangs' : (code ?? 1), output });
    });
  });
}
