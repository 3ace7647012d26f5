/** What the operations of one open store share. */
import { StorageError } from '@palimpsest/block-device';
import type { VolumeRecord } from '@palimpsest/ro-snapshot';
import type { SaveVolume } from '@palimpsest/save-volume';
import type { AttachedVolumes } from './attached-volumes.js';
import type { Attendants } from './attendants.js';
import type { ControlEnvironment } from './environment.js';
import type { Jobs } from './jobs.js';
import type { SharedExports } from './shared-exports.js';
import type { StoreIndex } from './store-index.js';
import type { Meter } from './store-metrics.js';
import type { StoreEvent } from './work-types.js';

/** One open store. */
export interface StoreContext {
  readonly environment: ControlEnvironment;
  readonly directory: string;
  readonly save: SaveVolume;
  /** Names looked up. Whoever changes what the engine lists calls its `changed`. */
  readonly index: StoreIndex;
  readonly attached: AttachedVolumes;
  readonly shared: SharedExports;
  readonly meter: Meter;
  /** Names the clients that have a reference open, for messages; the others are counted. */
  readonly clientsOf: (reference: string) => readonly string[];
  /** Who is meant when nobody is named. */
  readonly by: string;
  readonly jobs: Jobs;
  /** Those who know what lies on volumes; see attendants.ts. */
  readonly attendants: Attendants;
  /** Tells of something that happened by itself. */
  readonly emit: (event: StoreEvent) => void;
  /** Gives back what can go; see sweep.ts. */
  readonly sweep: () => Promise<void>;
  /** Goes on with the restores of volumes that could not be opened before. */
  readonly resumeRestores: () => void;
  /** Forgets a volume and lets go of its image, or removes it. */
  readonly releaseImage: (volume: VolumeRecord) => Promise<void>;
  /** Where a volume's image is, for listings. */
  readonly pathOf: (volume: VolumeRecord) => string;
  /** The space of the block map that a snapshot is of. */
  readonly spaceOf: (snapshot: number) => number | undefined;
  /** Ends the sessions of everybody who has a reference open. */
  readonly endClients: (reference: string) => Promise<void>;
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
 * Refuses while any of the references is open (C2); with `force` its clients' sessions end instead.
 * They cannot come back before the change is made: opening waits for its turn.
 * @throws {StorageError} ERR_IN_USE with the clients.
 */
export async function makeUnused(
  context: StoreContext,
  references: readonly string[],
  { force, dryRun }: { readonly force?: boolean; readonly dryRun?: boolean },
): Promise<void> {
  if (force === true) {
    if (dryRun === true) return;
    for (const reference of references) await context.shared.end(reference, context.endClients);
  }
  await assertUnused(context, references, '; or end their sessions: --force');
}

/**
 * Refuses while any of the references is open (C2). Who keeps one open without need lets go first.
 * @throws {StorageError} ERR_IN_USE with the clients.
 */
export async function assertUnused(
  context: StoreContext,
  references: readonly string[],
  hint = '',
): Promise<void> {
  for (const reference of references) await context.shared.vacate(reference);
  const used = references.filter((reference) => context.shared.openers(reference) > 0);
  if (used.length === 0) return;
  const described = used.map((reference) => {
    const openers = context.shared.openers(reference);
    const clients = context.clientsOf(reference);
    const names = context.shared.isAlone(reference)
      ? ' (a mounted file system)'
      : clients.length > 0
        ? ` (${listed(clients)})`
        : '';
    return `${reference} to ${openers} client${openers === 1 ? '' : 's'}${names}`;
  });
  throw new StorageError(
    'ERR_IN_USE',
    `now being served: ${listed(described)}; disconnect them and try again${hint}`,
  );
}
