/**
 * Objects as JSON: what the layers above keep in a save volume beside the map, one shape a type.
 */
import { StorageError } from '@palimpsest/block-device';
import type { Batch } from './batch.js';
import { type Indexed, ObjectIndex } from './object-index.js';
import type { SaveVolume } from './save-volume.js';

/** What the caller of a layer keeps with an object: JSON, stored and changed with it. */
export type Attributes = { readonly [name: string]: unknown };

/** Any stored object. */
export interface StoredObject {
  readonly type: string;
  readonly attributes: Attributes;
  /** Set while the object is being deleted: it is not shown any more, its blocks are given back. */
  readonly deleting?: boolean;
  /** The volume, or the space of a branch, that the object is of. */
  readonly volume?: number;
  /** The branch that the object is of. */
  readonly branch?: number;
  /** What the object is based on; a snapshot that is somebody's base cannot go. */
  readonly base?: { readonly volume: number; readonly snapshot: number } | null;
  /** Other snapshots that the object needs. */
  readonly needs?: readonly number[];
}

/** The object as bytes. */
export function encodeObject<Shape extends StoredObject>(object: Shape): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(object));
}

/**
 * Every object of the save volume of one type, or of all, in order of id. Inside a transaction, pass
 * its batch to see what the transactions that share it have already changed: that costs a look at all.
 * @throws {StorageError} ERR_CORRUPT when an object is not JSON.
 */
export function storedObjects<Shape extends StoredObject>(
  save: SaveVolume,
  type: string | undefined,
  batch?: Batch,
): readonly Indexed<Shape>[] {
  const list = indexOf(save).list(type) as readonly Indexed<Shape>[];
  return withChanges(list, batch, (object) => type === undefined || object.type === type);
}

/**
 * The same of one type, as far as they are of one other object (`volume`, else `branch`): the snapshots
 * of a volume, the spaces of a branch. All of them are looked at only with a batch.
 */
export function storedObjectsOf<Shape extends StoredObject>(
  save: SaveVolume,
  type: string,
  owner: number,
  batch?: Batch,
): readonly Indexed<Shape>[] {
  const list = indexOf(save).listOf(type, owner) as readonly Indexed<Shape>[];
  return withChanges(list, batch, (object) => object.type === type && ownerOf(object) === owner);
}

/** What is based on a snapshot, or needs it, in order of id. Inside a transaction, pass its batch. */
export function storedDependants(
  save: SaveVolume,
  snapshot: number,
  batch?: Batch,
): readonly Indexed<StoredObject>[] {
  const list = indexOf(save).needing(snapshot);
  return withChanges(list, batch, (object) => needsOf(object).includes(snapshot));
}

function indexOf(save: SaveVolume): ObjectIndex<StoredObject> {
  let index = INDICES.get(save);
  if (index === undefined) {
    index = new ObjectIndex<StoredObject>(save, { parse: decodeObject, ownerOf, needsOf });
    INDICES.set(save, index);
  }
  return index;
}

function ownerOf({ volume, branch }: StoredObject): number | undefined {
  return volume ?? branch;
}

function needsOf({ base, needs = [] }: StoredObject): readonly number[] {
  return base === undefined || base === null ? needs : [base.snapshot, ...needs];
}

/** A list as the transactions that share the batch have changed it so far. */
function withChanges<Shape extends StoredObject>(
  list: readonly Indexed<Shape>[],
  batch: Batch | undefined,
  belongs: (object: StoredObject) => boolean,
): readonly Indexed<Shape>[] {
  const changes = batch?.objects ?? [];
  if (changes.length === 0) return list;
  const objects = new Map(list.map((each) => [each.id, each.object]));
  for (const { id, bytes } of changes) {
    const object = bytes === undefined ? undefined : decodeObject(id, bytes);
    if (object === undefined || !belongs(object)) objects.delete(id);
    else objects.set(id, object as Shape);
  }
  return [...objects].map(([id, object]) => ({ id, object }));
}

const INDICES = new WeakMap<SaveVolume, ObjectIndex<StoredObject>>();

/**
 * One object, if it is of that type, or of whatever type. Inside a transaction, pass its batch as above.
 * @throws {StorageError} ERR_CORRUPT when it is not JSON.
 */
export function storedObject<Shape extends StoredObject>(
  save: SaveVolume,
  type: string | undefined,
  id: number,
  batch?: Batch,
): Shape | undefined {
  const changed = batch?.objects.findLast((each) => each.id === id);
  const bytes = changed === undefined ? save.object(id) : changed.bytes;
  if (bytes === undefined) return undefined;
  const object = decodeObject(id, bytes);
  return type === undefined || object.type === type ? (object as Shape) : undefined;
}

/** Objects are read far more often than they change, and changed by replacing their bytes. */
const PARSED = new WeakMap<Uint8Array, StoredObject>();

/**
 * An object from its bytes.
 * @throws {StorageError} ERR_CORRUPT when they are not JSON.
 */
export function decodeObject(id: number, bytes: Uint8Array): StoredObject {
  const known = PARSED.get(bytes);
  if (known !== undefined) return known;
  try {
    const object: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    if (typeof object === 'object' && object !== null && 'type' in object) {
      PARSED.set(bytes, object as StoredObject);
      return object as StoredObject;
    }
  } catch (cause) {
    throw new StorageError('ERR_CORRUPT', `object ${id} is not JSON`, { cause });
  }
  throw new StorageError('ERR_CORRUPT', `object ${id} has no type`);
}
