/** Clients of a store: through its daemon, or on the store itself. */

export { prometheusText } from '../prometheus.js';
export { who } from '../who.js';
export type { ConnectOptions } from './connect-store.js';
export { connectStore } from './connect-store.js';
export { openDaemonClient } from './daemon-client.js';
export { DaemonError } from './daemon-request.js';
export type { StoreClient } from './store-client.js';
