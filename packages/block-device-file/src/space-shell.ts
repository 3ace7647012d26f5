/**
 * SpaceShell: a small shell that holds one open file and runs a program on it, again and again, until the
 * file is closed. Starting a program from a process with much memory costs far more than it seems: the system
 * forks the process, and every page that is written afterwards is first taken out of what both share.
 * A shell is small, so it is it that forks; the large process does so once a file.
 *
 *   SS1  The shell ends with the process that started it, however that ends: it reads to its input's end.
 *   SS2  A shell that has died is told of by who waits for its answer, and replaced by the next run.
 *   SS3  It keeps nothing running: only an answer that is waited for does.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import process from 'node:process';
import type { Readable, Writable } from 'node:stream';

/**
 * `$0` is the program, and a line its options. An answer is the program's status, what it complained of,
 * and a zero byte. What ends a group of processes at a terminal is not for the shell: its process decides.
 */
const SCRIPT = `trap '' INT HUP QUIT
while read -r options; do
  complaint=$("$0" $options /proc/self/fd/3 2>&1 >/dev/null </dev/null)
  printf '%d %s\\000' "$?" "$complaint"
done`;

/** What a shell says of a program that is not there, or that it may not run. */
const MISSING: ReadonlySet<number> = new Set([126, 127]);

type Shell = ChildProcessByStdio<Writable, Readable, null>;

/** See the file header. */
export class SpaceShell {
  readonly #fd: number;
  readonly #command: string;
  #shell: Shell | undefined;
  /** What is left to hear of a shell that ends. */
  #ended: Promise<void> = Promise.resolve();
  #answer = '';
  #waiting: ((complaint: string | undefined) => void) | undefined;

  /** Runs `command`, a program's name or path, on the open file `fd`. */
  constructor(fd: number, command: string) {
    this.#fd = fd;
    this.#command = command;
  }

  /**
   * Runs the program with those options and the file behind them. One run at a time.
   * Resolves with what it complained of, or `undefined` when all is well.
   */
  run(options: readonly string[]): Promise<string | undefined> {
    return new Promise((resolve) => {
      this.#waiting = resolve;
      this.#shell ??= this.#start();
      hold(this.#shell, true);
      this.#shell.stdin.write(`${options.join(' ')}\n`);
    });
  }

  /** Lets go of the file. Nothing is running. */
  async close(): Promise<void> {
    if (this.#shell !== undefined) hold(this.#shell, true);
    this.#shell?.stdin.end();
    await this.#ended;
  }

  #start(): Shell {
    const shell = spawn('/bin/sh', ['-c', SCRIPT, this.#command], {
      stdio: ['pipe', 'pipe', 'ignore', this.#fd],
      env: { PATH: process.env.PATH, LC_ALL: 'C' }, // messages we can read
    }) as Shell;
    this.#answer = '';
    shell.stdout.setEncoding('utf8').on('data', (text: string) => this.#heard(shell, text));
    shell.stdin.on('error', () => undefined); // it has died: SS2
    this.#ended = new Promise((resolve) => {
      const over = (complaint: string): void => {
        if (this.#shell === shell) this.#shell = undefined;
        this.#done(complaint);
        resolve();
      };
      shell.on('error', (error: NodeJS.ErrnoException) =>
        over(error.code === 'ENOENT' ? 'program not found' : error.message),
      );
      shell.on('close', (status, signal) => over(`ended by ${signal ?? status}`));
    });
    return shell;
  }

  #heard(shell: Shell, text: string): void {
    this.#answer += text;
    if (!this.#answer.endsWith('\0')) return;
    const gap = this.#answer.indexOf(' ');
    const status = Number(this.#answer.slice(0, gap));
    const complaint = this.#answer.slice(gap + 1, -1).trim();
    this.#answer = '';
    hold(shell, false);
    if (status === 0) this.#done(undefined);
    else if (MISSING.has(status)) this.#done('program not found');
    else this.#done(complaint || `ended by ${status}`);
  }

  #done(complaint: string | undefined): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.(complaint);
  }
}

/** SS3: whether Node stays for it. */
function hold(shell: Shell, holds: boolean): void {
  for (const each of [shell, shell.stdin, shell.stdout] as { ref?(): void; unref?(): void }[]) {
    if (holds) each.ref?.();
    else each.unref?.();
  }
}
