/**
 * Records: what the store keeps in the attributes of the engine's objects. They are written by
 * this file and checked by it when they are read back.
 */
import { StorageError } from '@palimpsest/block-device';
import type { SnapshotRecord, VolumeRecord } from '@palimpsest/ro-snapshot';
import type { BranchRecord } from '@palimpsest/rw-snapshot';
import type { Attributes } from '@palimpsest/save-volume';

/** Kept with a production volume. */
export interface VolumeAttributes {
  readonly name: string;
  /** The image: absolute, or relative to the store's directory when it lies inside it. */
  readonly path: string;
  readonly origin: 'created' | 'adopted';
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}

/** Kept with a snapshot. */
export interface SnapshotAttributes {
  readonly name: string;
  readonly message?: string;
  readonly createdAt: number;
}

/** Kept with a branch. */
export interface BranchAttributes {
  readonly name: string;
  readonly createdAt: number;
}

/** @throws {StorageError} ERR_CORRUPT when the record is not one of ours. */
export function volumeAttributes(record: VolumeRecord): VolumeAttributes {
  const { origin } = record.attributes;
  if (origin !== 'created' && origin !== 'adopted') throw strange(`volume ${record.id}`, 'origin');
  return {
    name: text(record.attributes, 'name', `volume ${record.id}`),
    path: text(record.attributes, 'path', `volume ${record.id}`),
    origin,
    createdAt: time(record.attributes, `volume ${record.id}`),
  };
}

/** @throws {StorageError} ERR_CORRUPT when the record is not one of ours. */
export function snapshotAttributes(record: SnapshotRecord): SnapshotAttributes {
  const what = `snapshot ${record.id}`;
  const { message } = record.attributes;
  return {
    name: text(record.attributes, 'name', what),
    ...(typeof message === 'string' ? { message } : {}),
    createdAt: time(record.attributes, what),
  };
}

/** @throws {StorageError} ERR_CORRUPT when the record is not one of ours. */
export function branchAttributes(record: BranchRecord): BranchAttributes {
  const what = `branch ${record.id}`;
  return {
    name: text(record.attributes, 'name', what),
    createdAt: time(record.attributes, what),
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
