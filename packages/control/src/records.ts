/**
 * Records: what the store keeps in the attributes of the engine's objects. They are written by
 * this file and checked by it when they are read back.
 */
import { StorageError } from '@palimpsest/block-device';
import type { SnapshotRecord, VolumeRecord } from '@palimpsest/ro-snapshot';
import type { BranchRecord } from '@palimpsest/rw-snapshot';
import {
  type Attributes,
  type Batch,
  encodeObject,
  type SaveVolume,
  storedObject,
} from '@palimpsest/save-volume';

/** Words of the user's own, by name. */
export type Labels = Readonly<Record<string, string>>;

/** Set when something was deleted and can still be had back. */
export interface Removed {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** When it goes for good, unless its space is needed before. */
  readonly until: number;
  /** Who deleted it. */
  readonly by: string;
  /** Set when its space is being taken back: from then on it cannot be had back. */
  readonly isGoing?: boolean;
}

/** Why a snapshot must not be deleted. */
export interface Hold {
  readonly reason?: string;
  /** Milliseconds since 1970. */
  readonly since: number;
  readonly by: string;
}

/** Kept with everything that has a name. */
export interface NamedAttributes {
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly message?: string;
  readonly labels?: Labels;
  readonly removed?: Removed;
}

/** Kept with a production volume. */
export interface VolumeAttributes extends NamedAttributes {
  /** The image: absolute, or relative to the store's directory when it lies inside it. */
  readonly path: string;
  readonly origin: 'created' | 'adopted';
}

/** Kept with a snapshot. */
export interface SnapshotAttributes extends NamedAttributes {
  readonly holds?: Readonly<Record<string, Hold>>;
  /** When it is deleted by itself. Milliseconds since 1970. */
  readonly expiresAt?: number;
  /** 32 hexadecimal digits that no other snapshot of any store has. */
  readonly identity?: string;
  /** Set when its content was looked at and found clean. */
  readonly consistency?: 'clean';
}

/** Kept with a branch. */
export type BranchAttributes = NamedAttributes;

/** @throws {StorageError} ERR_CORRUPT when the record is not one of ours. */
export function volumeAttributes(record: VolumeRecord): VolumeAttributes {
  const { origin } = record.attributes;
  if (origin !== 'created' && origin !== 'adopted') throw strange(`volume ${record.id}`, 'origin');
  const path = text(record.attributes, 'path', `volume ${record.id}`);
  return { ...named(record.attributes, `volume ${record.id}`), path, origin };
}

/** @throws {StorageError} ERR_CORRUPT when the record is not one of ours. */
export function snapshotAttributes(record: SnapshotRecord): SnapshotAttributes {
  const { holds, expiresAt, identity, consistency } = record.attributes;
  return {
    ...named(record.attributes, `snapshot ${record.id}`),
    ...(typeof holds === 'object' && holds !== null
      ? { holds: holds as Readonly<Record<string, Hold>> }
      : {}),
    ...(typeof expiresAt === 'number' ? { expiresAt } : {}),
    ...(typeof identity === 'string' ? { identity } : {}),
    ...(consistency === 'clean' ? { consistency } : {}),
  };
}

/** @throws {StorageError} ERR_CORRUPT when the record is not one of ours. */
export function branchAttributes(record: BranchRecord): BranchAttributes {
  return named(record.attributes, `branch ${record.id}`);
}

/** Whether something was deleted and waits for its end. */
export function isRemoved(record: { readonly attributes: Attributes }): boolean {
  return typeof record.attributes.removed === 'object' && record.attributes.removed !== null;
}

/** Whether it cannot be had back any more, as its space is being taken back. */
export function isGoing({ attributes }: { readonly attributes: Attributes }): boolean {
  return isRemoved({ attributes }) && (attributes.removed as Removed).isGoing === true;
}

/** Changes the attributes of a stored object, in a batch. `undefined` takes one away. */
export function changeAttributes(
  save: SaveVolume,
  batch: Batch,
  id: number,
  changes: Readonly<Record<string, unknown>>,
): void {
  const object = storedObject(save, undefined, id, batch);
  if (object === undefined) throw new StorageError('ERR_NOT_FOUND', `object ${id} is gone`);
  const attributes = { ...object.attributes, ...changes };
  const kept = Object.entries(attributes).filter(([, value]) => value !== undefined);
  batch.object(id, encodeObject({ ...object, attributes: Object.fromEntries(kept) }));
}

function named(attributes: Attributes, what: string): NamedAttributes {
  const { message, labels, removed } = attributes;
  return {
    name: text(attributes, 'name', what),
    createdAt: time(attributes, what),
    ...(typeof message === 'string' ? { message } : {}),
    ...(typeof labels === 'object' && labels !== null ? { labels: labels as Labels } : {}),
    ...(typeof removed === 'object' && removed !== null ? { removed: removed as Removed } : {}),
  };
}

function text(attributes: Attributes, field: string, what: string): string {
  const value = attributes[field];
  if (typeof value !== 'string' || value === '') throw strange(what, field);
  return value;
}

function time(attributes: Attributes, what: string): number {
  const value = attributes.createdAt;
  if (typeof value !== 'number' || !Number.isFinite(value)) throw strange(what, 'createdAt');
  return value;
}

function strange(what: string, field: string): StorageError {
  return new StorageError('ERR_CORRUPT', `the record of ${what} has no valid "${field}"`);
}
