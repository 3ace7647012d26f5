/** What a program needs to make or open a store on this machine itself, without the daemon. */
export { checkStore } from './check-store.js';
export type { LoggerOptions, LogLevel } from './logger.js';
export { createLogger, escaped, silentLogger } from './logger.js';
export { createNodeEnvironment } from './node-environment.js';
export { ensureToken } from './token.js';
