/**
 * The operation log: who did what, when, and how to undo it. Entries are objects of the save volume,
 * written by the commit of what they tell of, so the log never lies about what happened.
 *
 *   U1  The newest 256 entries are kept; older ones go when new ones come.
 */
import type { Batch, SaveVolume, StoredObject } from '@palimpsest/save-volume';
import { encodeObject, storedObject, storedObjects } from '@palimpsest/save-volume';

/** How an operation can be taken back; numbers are ids of the engine's objects. */
export type UndoRecord =
  /** A restore of a volume: its undo snapshot. */
  | { readonly kind: 'restore'; readonly volume: number; readonly undo: number }
  /** A refresh of a branch: the kept state. */
  | { readonly kind: 'refresh'; readonly branch: number; readonly kept: number }
  /** A snapshot taken again under its name: the old one, under another name now. */
  | { readonly kind: 'retake'; readonly kept: number; readonly name: string }
  /** A deletion that can be had back. */
  | { readonly kind: 'undelete'; readonly object: number };

/** An entry as kept. */
export interface OperationRecord {
  readonly id: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly by: string;
  /** "restore", "refresh", "delete", ... */
  readonly kind: string;
  /** The reference that it was done to. */
  readonly target: string;
  /** The rest, for people. */
  readonly detail?: string;
  readonly undo?: UndoRecord;
  /** The operation that undid it. */
  readonly undoneBy?: number;
}

interface StoredOperation extends StoredObject {
  readonly type: 'operation';
}

const KEPT = 256;

/** Adds an entry in a batch; its id. */
export function recordOperation(
  save: SaveVolume,
  batch: Batch,
  record: Omit<OperationRecord, 'id' | 'undoneBy'>,
): number {
  const id = save.newObjectId();
  put(batch, id, record);
  const all = storedObjects<StoredOperation>(save, 'operation', batch);
  for (const { id: old } of all.slice(0, Math.max(0, all.length - KEPT))) {
    batch.object(old, undefined); // U1
  }
  return id;
}

/** Notes in a batch that an operation was undone by another. */
export function markUndone(save: SaveVolume, batch: Batch, id: number, by: number): void {
  const stored = storedObject<StoredOperation>(save, 'operation', id, batch);
  if (stored !== undefined) put(batch, id, { ...stored.attributes, undoneBy: by });
}

/** All entries, oldest first. */
export function listOperations(save: SaveVolume): readonly OperationRecord[] {
  return storedObjects<StoredOperation>(save, 'operation').map(
    ({ id, object }) => ({ ...object.attributes, id }) as unknown as OperationRecord,
  );
}

function put(batch: Batch, id: number, attributes: object): void {
  batch.object(id, encodeObject({ type: 'operation', attributes: { ...attributes } }));
}
