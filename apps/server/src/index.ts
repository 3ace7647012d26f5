/**
 * The Palimpsest daemon as a library: one store with all its volumes, snapshots and branches as NBD
 * exports, and its verbs as a JSON API on a Unix socket.
 */
export type { ApiErrorBody, ApiErrorCode, TransportErrorCode } from './api-errors.js';
export { HTTP_STATUS } from './api-errors.js';
export type { LoggerOptions, LogLevel } from './logger.js';
export { createLogger, escaped, silentLogger } from './logger.js';
export { createNodeEnvironment } from './node-environment.js';
export { prometheusText } from './prometheus.js';
export type { RunningServer, ServeOptions } from './serve-store.js';
export { serveStore } from './serve-store.js';
export type {
  ServiceAddresses,
  ServiceClient,
  ServiceInfo,
  ServiceMetrics,
  ServiceStatus,
  ServiceUsage,
} from './service.js';
export { ensureToken } from './token.js';
