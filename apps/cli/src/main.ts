/** The palimpsest command: hands the process's own streams and arguments to `runCli`. */
import { processTerminal } from './process-terminal.js';
import { runCli } from './run-cli.js';

// The code is set, not forced: what is still being written to a pipe gets there.
process.exitCode = await runCli(process.argv.slice(2), processTerminal());
