/** What the operations of one open store share. */
import { StorageError } from '@palimpsest/block-device';
import type { SaveVolume } from '@palimpsest/save-volume';
import type { AttachedVolumes } from './attached-volumes.js';
import type { ControlEnvironment } from './environment.js';
import type { SharedExports } from './shared-exports.js';
import type { StoreIndex } from './store-index.js';

/** One open store. */
export interface StoreContext {
  readonly environment: ControlEnvironment;
  readonly directory: string;
  readonly save: SaveVolume;
  /** Names looked up. Whoever changes what the engine lists calls its `changed`. */
  readonly index: StoreIndex;
  readonly attached: AttachedVolumes;
  readonly shared: SharedExports;
  /** Names the clients that have a reference open, for messages; the others are counted. */
  readonly clientsOf: (reference: string) => readonly string[];
  /** Called between the steps of long work. @throws {StorageError} ERR_CLOSED when closing. */
  readonly assertGoingOn: () => void;
}

/** References are listed in messages up to this many; the rest is counted. */
const LISTED = 8;

/** "a, b and 3 more". */
export function listed(items: readonly string[]): string {
  const shown = items.slice(0, LISTED);
  const rest = items.length - shown.length;
  return rest > 0 ? `${shown.join(', ')} and ${rest} more` : shown.join(', ');
}

/**
 * Refuses while any of the references is open (C2).
 * @throws {StorageError} ERR_IN_USE with the clients.
 */
export function assertUnused(context: StoreContext, references: readonly string[]): void {
  const used = references.filter((reference) => context.shared.openers(reference) > 0);
  if (used.length === 0) return;
  const described = used.map((reference) => {
    const openers = context.shared.openers(reference);
    const clients = context.clientsOf(reference);
    const names = clients.length > 0 ? ` (${listed(clients)})` : '';
    return `${reference} to ${openers} client${openers === 1 ? '' : 's'}${names}`;
  });
  throw new StorageError(
    'ERR_IN_USE',
    `now being served: ${listed(described)}; disconnect them and try again`,
  );
}
