/**
 * What the save volume keeps about production volumes and their snapshots, and the reading of it.
 */
import { StorageError } from '@palimpsest/block-device';
import {
  type Attributes,
  type Batch,
  type Indexed,
  type SaveVolume,
  type StoredObject,
  storedObject,
  storedObjects,
  storedObjectsOf,
} from '@palimpsest/save-volume';

/** A read-only snapshot as its volume lists it. */
export interface SnapshotRecord {
  /** Unique in the store; grows from the oldest snapshot of a volume to the youngest. */
  readonly id: number;
  /** Bytes of the volume when the snapshot was taken. */
  readonly size: number;
  readonly attributes: Attributes;
}

/** A production volume as the store lists it. */
export interface VolumeRecord {
  readonly id: number;
  /** Bytes. */
  readonly size: number;
  readonly attributes: Attributes;
  /** The snapshot queue, oldest (head) first. */
  readonly snapshots: readonly SnapshotRecord[];
}

/** A volume object as stored. */
export interface StoredVolume extends StoredObject {
  readonly type: 'volume';
  readonly size: number;
  /** Set while the clone volume grows: the size it is to have (resize.ts). */
  readonly growingTo?: number;
}

/** A snapshot object as stored. */
export interface StoredSnapshot extends StoredObject {
  readonly type: 'snapshot';
  readonly volume: number;
  readonly size: number;
  /** Set when the snapshot has spans of blocks that held nothing (unused-spans.ts). */
  readonly unused?: true;
}

/** All production volumes of the store, in order of creation. */
export function listProductionVolumes(save: SaveVolume): readonly VolumeRecord[] {
  return storedObjects<StoredVolume>(save, 'volume').map(({ id, object }) => ({
    id,
    size: object.size,
    attributes: object.attributes,
    snapshots: storedSnapshots(save, id)
      .filter(({ object: snapshot }) => snapshot.deleting !== true)
      .map(snapshotRecord),
  }));
}

/**
 * The stored record of one volume; inside a transaction, as its batch has it.
 * @throws {StorageError} ERR_NOT_FOUND.
 */
export function findVolume(save: SaveVolume, id: number, batch?: Batch): StoredVolume {
  const found = storedObject<StoredVolume>(save, 'volume', id, batch);
  if (found === undefined) throw new StorageError('ERR_NOT_FOUND', `the store has no volume ${id}`);
  return found;
}

/** The snapshots of a volume or another space, those being deleted too, oldest first. */
export function storedSnapshots(
  save: SaveVolume,
  volume: number,
): readonly Indexed<StoredSnapshot>[] {
  return storedObjectsOf<StoredSnapshot>(save, 'snapshot', volume);
}

/** A snapshot as listed. */
export function snapshotRecord({
  id,
  object,
}: {
  id: number;
  object: StoredSnapshot;
}): SnapshotRecord {
  return { id, size: object.size, attributes: object.attributes };
}
