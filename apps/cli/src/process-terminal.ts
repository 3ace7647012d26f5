/** The terminal of this process. */
import { createInterface } from 'node:readline/promises';
import type { Terminal } from './terminal.js';

/** Exit code after a second Ctrl-C: what shells report for an interrupt. */
const FORCED = 130;

/** The streams, environment and signals of this process. */
export function processTerminal(): Terminal {
  // A reader that has seen enough (`| head`) is no failure of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  return {
    out: (text) => void process.stdout.write(text),
    outBytes: (bytes) =>
      new Promise((resolve, reject) => {
        process.stdout.write(bytes, (error) => (error ? reject(error) : resolve()));
      }),
    input: () => process.stdin,
    err: (text) => void process.stderr.write(text),
    interactive: process.stdin.isTTY === true && process.stderr.isTTY === true,
    canDraw: process.stderr.isTTY === true && process.env.TERM !== 'dumb',
    cwd: process.cwd(),
    env: process.env,
    program: process.argv[1] ?? '',
    async ask(question) {
      const lines = createInterface({ input: process.stdin, output: process.stderr });
      try {
        const ended = new Promise<string>((resolve) => lines.once('close', () => resolve('')));
        return await Promise.race([lines.question(question), ended]);
      } finally {
        lines.close();
      }
    },
    onStop(stop) {
      let asked = false;
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
        process.on(signal, () => {
          if (asked) process.exit(FORCED);
          asked = true;
          stop();
        });
      }
    },
  };
}
