/** Clients of a store: through its daemon, or on the store itself. */
export type { ConnectOptions } from './connect-store.js';
export { connectStore } from './connect-store.js';
export { DaemonError, openDaemonClient } from './daemon-client.js';
export type { StoreClient } from './store-client.js';
