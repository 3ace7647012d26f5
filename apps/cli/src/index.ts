/** The palimpsest command as a library: run a command line, anywhere, with streams of your own. */
export { EXIT_CODES, exitCodeOf } from './exit-codes.js';
export { runCli } from './run-cli.js';
export type { Terminal } from './terminal.js';
