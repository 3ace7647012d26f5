/**
 * The built program as users run it: plain node on dist, processes, signals, real NBD clients. What
 * is missing on a machine is said aloud, and is a failure where CI is set.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { onTestFinished } from 'vitest';

/** The built command. */
export const PROGRAM = path.resolve(import.meta.dirname, '../dist/pal.cjs');

/** How long anything may take before the test gives up on it; far more than it takes, also on a machine
 * that does ten other things: filling a disk was cut off at 20 s there, and looked like a disk with room. */
export const PATIENCE_MS: number = 60_000;

/** What a process left behind. */
export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** True when the tool is there. Its absence is told, and thrown where CI is set. */
export function present(tool: string): boolean {
  const found =
    tool === PROGRAM
      ? existsSync(PROGRAM)
      : (process.env.PATH ?? '').split(':').some((each) => existsSync(path.join(each, tool)));
  if (found) return true;
  if (process.env.CI) throw new Error(`${tool} is missing, and CI must have it`);
  console.warn(`SKIPPED: ${tool} is missing; tests that need it do not run`);
  return false;
}

/** Runs a program to its end. */
export function run(command: string, args: readonly string[], cwd = '/'): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(command, args, { cwd, timeout: PATIENCE_MS }, (error, out, err) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : null;
      resolve({ code, out, err });
    });
  });
}

/** A process that goes on. */
export interface Running {
  readonly child: ChildProcess;
  /** What it has written to stdout. */
  out(): string;
  err(): string;
  /** Waits until stdout or stderr match. */
  heard(words: RegExp): Promise<void>;
  /** Sends a signal and waits for the end; tells how long it took. */
  stop(signal: NodeJS.Signals): Promise<Ended & { readonly tookMs: number }>;
}

/** Starts a program. It ends with the test at the latest. */
export function start(command: string, args: readonly string[], cwd: string): Running {
  const child = spawn(command, args, { cwd, stdio: 'pipe' });
  onTestFinished(() => void child.kill('SIGKILL'));
  let out = '';
  let err = '';
  let changed = (): void => {};
  child.stdout.on('data', (part) => {
    out += part;
    changed();
  });
  child.stderr.on('data', (part) => {
    err += part;
    changed();
  });
  const ended = new Promise<number | null>((resolve) => {
    child.once('close', resolve);
  });
  return {
    child,
    out: () => out,
    err: () => err,
    heard(words) {
      return new Promise((resolve, reject) => {
        const tell = (why: string): void => {
          reject(new Error(`${why} before ${words} was heard:\n${out}${err}`));
        };
        const timer = setTimeout(() => tell('time went by'), PATIENCE_MS);
        const check = (): void => {
          if (!words.test(out) && !words.test(err)) return;
          clearTimeout(timer);
          resolve();
        };
        changed = check;
        ended.then(() => tell('it ended'));
        check();
      });
    },
    async stop(signal) {
      const before = performance.now();
      child.kill(signal);
      const code = await ended;
      return { code, out, err, tookMs: performance.now() - before };
    },
  };
}
