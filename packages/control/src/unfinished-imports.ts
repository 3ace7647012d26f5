/**
 * Imports that have begun: kept with the volume until the snapshot is there, so that an interrupted
 * one goes on where it was, and nobody takes half of it for the whole.
 *
 *   I2  One counts only as long as the volume's youngest snapshot is the one that it began with. A
 *       restore gives the import up: its content, and its undo snapshot, are not what was begun with.
 */
import { StorageError } from '@palimpsest/block-device';
import type { StreamHeader, StreamSnapshot } from '@palimpsest/change-stream';
import type { VolumeRecord } from '@palimpsest/ro-snapshot';
import {
  type Batch,
  encodeObject,
  type SaveVolume,
  type StoredObject,
  storedObject,
} from '@palimpsest/save-volume';
import type { UnfinishedImport } from './exchange-types.js';
import { volumeAttributes } from './records.js';
import type { Availability } from './store-types.js';

/** As kept in the attributes of the volume, under `importing`. */
export interface StoredImport {
  readonly from: string | null;
  readonly to: StreamSnapshot;
  /** Bytes that the volume has at the end. */
  readonly size: number;
  /** Id of the volume's youngest snapshot when it began; 0 when there was none. */
  readonly youngest: number;
  /** Bytes before which everything is there, durably. */
  readonly position: number;
}

/** The import that a volume is in the midst of (I2). */
export function importOf(volume: VolumeRecord): StoredImport | undefined {
  const importing = volume.attributes.importing as StoredImport | undefined;
  if (typeof importing !== 'object' || importing === null) return undefined;
  return importing.youngest === youngestOf(volume) ? importing : undefined;
}

/** Notes in a batch how far an import is; `undefined` that it has ended. */
export function putImport(
  save: SaveVolume,
  batch: Batch,
  volume: number,
  importing: StoredImport | undefined,
): void {
  const stored = storedObject<StoredObject>(save, 'volume', volume, batch);
  if (stored === undefined) {
    throw new StorageError('ERR_NOT_FOUND', `volume ${volume} went away during the import`);
  }
  const { importing: _, ...rest } = stored.attributes;
  const attributes = importing === undefined ? rest : { ...rest, importing };
  batch.object(volume, encodeObject({ ...stored, attributes }));
}

/** Whether a stream is that of the import, so that it can go on with it. */
export function isSameImport({ from, to, size }: StoredImport, header: StreamHeader): boolean {
  return from === header.from && to.identity === header.to.identity && size === header.size;
}

/** Id of the youngest snapshot; 0 when there is none. */
export function youngestOf(volume: VolumeRecord): number {
  return volume.snapshots.at(-1)?.id ?? 0;
}

/** As the store tells it. */
export function unfinishedImport(volume: VolumeRecord): UnfinishedImport | undefined {
  const importing = importOf(volume);
  if (importing === undefined) return undefined;
  const { from, to, position } = importing;
  const { identity, name } = to;
  return { volume: volumeAttributes(volume).name, from, identity, name, position };
}

/**
 * Refuses a volume that an import has half written.
 * @throws {StorageError} ERR_IN_USE.
 */
export function assertNoImport(volume: VolumeRecord): void {
  const { reason } = importAvailability(volume);
  if (reason !== undefined) throw new StorageError('ERR_IN_USE', reason);
}

/** What an unfinished import makes of a volume's availability: nothing when there is none. */
export function importAvailability(volume: VolumeRecord): Partial<Availability> {
  const unfinished = unfinishedImport(volume);
  if (unfinished === undefined) return {};
  const { volume: name, position, from } = unfinished;
  const reason =
    `an import of ${unfinished.name} into ${name} has not ended, ${position} bytes are there; send the ` +
    `stream again: pal import --to ${name}; or give it up: ` +
    (from === null ? `pal volume release ${name}` : `pal restore ${name} --from ${name}@latest`);
  return { state: 'unavailable', reason };
}
