/** A terminal of memory, and how to run a command line in it. */
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { runCli, type Terminal } from '../src/index.js';

/** What a command line did. */
export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** How the terminal is. */
export interface Setting {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Given when a person sits there: what they answer. */
  readonly answer?: string;
  readonly canDraw?: boolean;
  /** Asks the process to stop as soon as it can be asked. */
  readonly stops?: boolean;
  /** What is read from stdin, and where bytes go that are written to stdout. */
  readonly input?: () => AsyncIterable<Uint8Array>;
  readonly bytes?: Uint8Array[];
}

/** An empty folder, removed after the test. */
export async function scratch(): Promise<string> {
  const folder = await realpath(await mkdtemp(path.join(tmpdir(), 'palimpsest-cli-')));
  // Not a hook of this file: it is loaded once for many test files, and would be the first one's alone.
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Makes `pal` for a folder: runs a command line in it. */
export function palIn(setting: Setting): (...args: string[]) => Promise<Outcome> {
  return async (...args) => {
    let out = '';
    let err = '';
    const terminal: Terminal = {
      out: (text) => {
        out += text;
      },
      outBytes: async (bytes) => void setting.bytes?.push(bytes.slice()),
      input: () => setting.input?.() ?? (async function* () {})(),
      err: (text) => {
        err += text;
      },
      interactive: setting.answer !== undefined,
      canDraw: setting.canDraw === true,
      cwd: setting.cwd,
      env: setting.env ?? {},
      program: path.join(setting.cwd, 'main.js'),
      ask: async (question) => {
        err += question;
        return setting.answer ?? '';
      },
      onStop: (stop) => {
        if (setting.stops === true) stop();
      },
    };
    const code = await runCli(args, terminal);
    return { code, out, err };
  };
}
