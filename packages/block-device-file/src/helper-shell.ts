/**
 * HelperShell: runs a program on an open file, again and again, from a small shell that stays for a while.
 * A child of this process itself would be a fork of all its memory, each page of which is then copied
 * when it is next written: with a cache of a few hundred MiB that costs seconds after every run.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import process from 'node:process';
import type { Readable, Writable } from 'node:stream';

/** Milliseconds without work until the shell ends. */
const IDLE_MS = 5000;
/** A line of options in, what the program says out, and then its status. */
const SCRIPT =
  'while read -r options; do "$0" $options /proc/self/fd/3 </dev/null 2>&1; echo "= $?"; done';
const STATUS = /^= (\d+)\n/m;
/** What shells end with where there is no such program, or it may not be run. */
const NOT_RUN: readonly number[] = [126, 127];

/** A pipe's end, which keeps this process alive or does not. */
interface Holding {
  ref(): unknown;
  unref(): unknown;
}

interface Shell extends ChildProcess {
  readonly stdin: Writable & Holding;
  readonly stdout: Readable & Holding;
}

/** See the head of the file. */
export class HelperShell {
  readonly #fd: number;
  readonly #command: string;
  #shell: Shell | undefined;
  #ended: Promise<void> = Promise.resolve();
  #idle: NodeJS.Timeout | undefined;
  #said = '';
  /** Who waits for which shell. */
  #work: { shell: Shell; resolve: (complaint: string | undefined) => void } | undefined;

  /** `command` is the program; the file is its last argument. */
  constructor(fd: number, command: string) {
    this.#fd = fd;
    this.#command = command;
  }

  /**
   * Runs the program, which nobody else may be doing. Resolves with what it complained of, or undefined
   * when all is well.
   */
  run(options: readonly string[]): Promise<string | undefined> {
    clearTimeout(this.#idle);
    const shell = this.#shell ?? this.#start();
    this.#said = '';
    return new Promise((resolve) => {
      hold(shell, true);
      this.#work = { shell, resolve };
      shell.stdin.write(`${options.join(' ')}\n`);
    });
  }

  /** Ends the shell; resolves when it is gone. */
  end(): Promise<void> {
    clearTimeout(this.#idle);
    if (this.#shell !== undefined) {
      hold(this.#shell, true);
      this.#shell.stdin.end();
      this.#shell = undefined;
    }
    return this.#ended;
  }

  #start(): Shell {
    const shell = spawn('sh', ['-c', SCRIPT, this.#command], {
      stdio: ['pipe', 'pipe', 'ignore', this.#fd],
      env: { PATH: process.env.PATH, LC_ALL: 'C' }, // messages we can read
    }) as Shell;
    this.#shell = shell;
    shell.stdin.on('error', () => undefined); // it has ended, of which `close` tells
    shell.stdout.on('data', (text) => this.#hear(shell, String(text)));
    let failure: string | undefined;
    shell.on('error', (error) => {
      failure = error.message;
    });
    const ended = new Promise<void>((resolve) => {
      shell.on('close', (status, signal) => {
        if (this.#shell === shell) this.#shell = undefined;
        if (this.#work?.shell === shell) {
          this.#settle(failure === undefined ? `ended by ${signal ?? status}` : 'shell not found');
        }
        resolve();
      });
    });
    this.#ended = this.#ended.then(() => ended);
    return shell;
  }

  #hear(shell: Shell, text: string): void {
    this.#said += text;
    const status = STATUS.exec(this.#said);
    if (status === null) return;
    const code = Number(status[1]);
    const complaint = this.#said.slice(0, status.index).trim();
    hold(shell, false);
    this.#idle = setTimeout(() => void this.end(), IDLE_MS);
    this.#idle.unref();
    if (code === 0) this.#settle(undefined);
    else if (NOT_RUN.includes(code)) this.#settle('program not found');
    else this.#settle(complaint || `ended by ${code}`);
  }

  #settle(complaint: string | undefined): void {
    const work = this.#work;
    this.#work = undefined;
    work?.resolve(complaint);
  }
}

/** Whether this process lives as long as the shell: while it works. */
function hold(shell: Shell, isHeld: boolean): void {
  for (const each of [shell, shell.stdin, shell.stdout]) {
    if (isHeld) each.ref();
    else each.unref();
  }
}
