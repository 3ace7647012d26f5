/**
 * What the long scripts share: running a tool, undoing what was done whatever happens, counting
 * checks, and telling which tools the machine lacks.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** A tool that runs longer than this hangs. */
const TOOL_MS = 180_000;

/**
 * Runs a tool; its standard output. Rejects with both outputs when it fails.
 * @param {string} file
 * @param {...(string | number)} args
 * @returns {Promise<string>}
 */
export function tool(file, ...args) {
  const argv = args.map(String);
  return new Promise((resolve, reject) => {
    const options = { maxBuffer: 1 << 28, timeout: TOOL_MS, killSignal: 'SIGKILL' };
    execFile(file, argv, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else {
        const status = error.killed ? `no end after ${TOOL_MS} ms` : (error.code ?? error.signal);
        reject(new Error(`${file} ${argv.join(' ')} (${status}):\n${stdout}${stderr}`));
      }
    });
  });
}

/** Which of these tools are not on the path. */
export function missingTools(names) {
  const folders = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`.split(':');
  return names.filter((name) => !folders.some((folder) => existsSync(join(folder, name))));
}

/**
 * A stack of things to undo. Undoes them, latest first, also when the work fails or the process is
 * asked to end; a failure to undo is told and does not stop the others.
 */
export class Undo {
  #stack = [];

  constructor() {
    for (const signal of ['SIGINT', 'SIGTERM']) {
      process.once(signal, async () => {
        await this.all();
        process.exit(1);
      });
    }
  }

  /** @returns {() => Promise<void>} undoes this one now. */
  push(what, undo) {
    const entry = { what, undo };
    this.#stack.push(entry);
    return async () => {
      const at = this.#stack.indexOf(entry);
      if (at === -1) return;
      this.#stack.splice(at, 1);
      await undo();
    };
  }

  async all() {
    for (let entry = this.#stack.pop(); entry !== undefined; entry = this.#stack.pop()) {
      try {
        await entry.undo();
      } catch (error) {
        console.error(`could not undo ${entry.what}: ${error.message}`);
        process.exitCode = 1;
      }
    }
  }
}

/** Counts checks, tells each, and sums up as `name done target seconds`. */
export class Checks {
  #start = performance.now();
  done = 0;
  failed = 0;

  constructor(name) {
    this.name = name;
  }

  /** Runs one check; a failure is told and counted, and the next check runs all the same. */
  async check(what, run) {
    try {
      const note = await run();
      this.done += 1;
      console.log(`ok   ${what}${typeof note === 'string' ? `: ${note}` : ''}`);
    } catch (error) {
      this.failed += 1;
      console.log(`FAIL ${what}\n${error.stack ?? error}`);
    }
  }

  /** The summary line; sets the exit code. */
  finish() {
    const seconds = ((performance.now() - this.#start) / 1000).toFixed(1);
    console.log(`${this.name} ${this.done} ${this.done + this.failed} ${seconds}`);
    if (this.failed > 0 || this.done === 0) process.exitCode = 1;
  }
}

/** Fails with the two values unless they are equal. */
export function same(actual, expected, what) {
  if (actual !== expected) throw new Error(`${what}: ${actual}, expected ${expected}`);
}
