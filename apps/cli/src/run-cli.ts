/** Runs one command line and returns its exit code; every failure ends here. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type Command, CommanderError } from 'commander';
import type { CommandContext, Options } from './command-context.js';
import { EXIT_CODES, exitCodeOf } from './exit-codes.js';
import { createOutput } from './output.js';
import { createProgram } from './program.js';
import { DEFAULT_STORE } from './shell.js';
import type { Terminal } from './terminal.js';

/** Runs `args` (without node and the program) and resolves with the exit code. */
export async function runCli(args: readonly string[], terminal: Terminal): Promise<number> {
  const program = createProgram(async (command, work) => {
    await work(contextOf(command, terminal));
  });
  let complaint = '';
  // Subcommands copied these settings when they were made, so each is told.
  for (const command of everyCommand(program)) {
    command.exitOverride().configureOutput({
      writeOut: (text) => terminal.out(text),
      writeErr: (text) => {
        complaint += text;
      },
    });
  }
  program.on('option:version', () => {
    terminal.out(`${version()}\n`);
    throw new CommanderError(0, 'commander.version', 'version');
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
    return EXIT_CODES.ok.code;
  } catch (error) {
    const json = args.includes('--json');
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return EXIT_CODES.ok.code;
      if (json) createOutput(terminal, json).error('ERR_INVALID', complaint.trim());
      else terminal.err(complaint);
      return EXIT_CODES.usage.code;
    }
    report(terminal, json, error);
    return exitCodeOf(error);
  }
}

/** A command and all beneath it. */
export function everyCommand(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap(everyCommand)];
}

function contextOf(command: Command, terminal: Terminal): CommandContext {
  const options = command.optsWithGlobals<Options>();
  const store = options.store;
  const given = typeof store === 'string' ? store : terminal.env.PALIMPSEST_STORE;
  const json = options.json === true;
  return {
    terminal,
    output: createOutput(terminal, json),
    // An empty variable is as good as none.
    directory: path.resolve(terminal.cwd, given || DEFAULT_STORE),
    json,
    options,
  };
}

function report(terminal: Terminal, json: boolean, error: unknown): void {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  const isOfFile = error instanceof Error && error.name === 'FileError';
  const known = typeof code === 'string' && (isOfFile || /^ERR_[A-Z_]+$/.test(code));
  const output = createOutput(terminal, json);
  if (known && typeof message === 'string') {
    output.error(code, message);
    return;
  }
  // A bug of ours, or a failure of the machine that nobody translated: told whole.
  const told = error instanceof Error ? (error.stack ?? error.message) : String(error);
  output.error('ERR_INTERNAL', told);
}

function version(): string {
  const manifest: unknown = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  );
  return (manifest as { version: string }).version;
}
