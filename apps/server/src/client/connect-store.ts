/** Finds the way to a store: its daemon when one answers, else the store itself. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isStorageError } from '@palimpsest/block-device';
import type { Logger } from '@palimpsest/control';
import { who } from '../who.js';
import { openDaemonClient } from './daemon-client.js';
import type { StoreClient } from './store-client.js';

/**
 * How long a store that is open elsewhere is waited for: long enough for another command to end, or
 * for a daemon that starts to answer.
 */
const WAIT_MS = 2_000;
const POLL_MS = 50;

/** How to reach a store. */
export interface ConnectOptions {
  /** How long to wait for a store that another process has open. @default 2000 */
  readonly waitMs?: number;
  /** Who asks, for the store's log. @default the user of this process, `alice@library` */
  readonly by?: string;
}

/**
 * Reaches the store in a directory (absolute), through its daemon if one runs.
 * @throws {StorageError} ERR_NOT_FOUND when there is none; ERR_BUSY when another process that is no
 * daemon keeps it open; ERR_FORMAT, ERR_CORRUPT.
 */
export async function connectStore(
  directory: string,
  logger: Logger,
  options: ConnectOptions = {},
): Promise<StoreClient> {
  const deadline = Date.now() + (options.waitMs ?? WAIT_MS);
  const by = options.by ?? who('library');
  for (;;) {
    const daemon = await openDaemonClient(directory, by);
    if (daemon !== undefined) return daemon;
    // The engine is loaded only when it is needed: a daemon's client starts without it.
    const { openDirectClient } = await import('./direct-client.js');
    try {
      return await openDirectClient(directory, logger, by);
    } catch (error) {
      if (!isStorageError(error, 'ERR_BUSY') || Date.now() >= deadline) throw error;
      await sleep(POLL_MS);
    }
  }
}
