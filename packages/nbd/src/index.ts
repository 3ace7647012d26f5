/**
 * An NBD server for any BlockDevice over any byte stream: fixed newstyle handshake, structured
 * replies, block status, byte granularity, multi-connection safety, limits on everything. It hears
 * nothing of snapshots: a catalog maps names to devices, and whoever listens hands in streams.
 */
export type { ClientInfo, ExportCatalog, Logger, NbdExport, Timers } from './catalog.js';
export type { NbdLimits } from './limits.js';
export { ANNOUNCED_PAYLOAD, DEFAULT_LIMITS } from './limits.js';
export type { MetaContext } from './meta-contexts.js';
export type { NbdServer, NbdServerOptions } from './server.js';
export { createNbdServer } from './server.js';
export type { Connection, OnRead } from './stream.js';
