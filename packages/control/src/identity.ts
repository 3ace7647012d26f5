/**
 * Identities: what a snapshot is known by in every store that it is exported to. One is made with the
 * snapshot; older ones get theirs when they are first exported.
 */
import { StorageError } from '@palimpsest/block-device';
import type { SnapshotRecord, StoredSnapshot } from '@palimpsest/ro-snapshot';
import { encodeObject, storedObject } from '@palimpsest/save-volume';
import type { StoreContext } from './context.js';
import { identity as newIdentity } from './snapshot-operations.js';

/** The identity of a snapshot, if it has one: 32 hexadecimal digits. */
export function identityOf({ attributes }: SnapshotRecord): string | undefined {
  const { identity } = attributes;
  return typeof identity === 'string' ? identity : undefined;
}

/** The same; one is made, and durable when this resolves, where there is none. */
export async function ensureIdentity(
  context: StoreContext,
  snapshot: SnapshotRecord,
): Promise<string> {
  const { save } = context;
  const known = identityOf(snapshot);
  if (known !== undefined) return known;
  let identity = newIdentity(context);
  await save.transact((batch) => {
    const stored = storedObject<StoredSnapshot>(save, 'snapshot', snapshot.id, batch);
    if (stored === undefined || stored.deleting === true) {
      throw new StorageError('ERR_NOT_FOUND', `snapshot ${snapshot.id} was just deleted`);
    }
    const { identity: made } = stored.attributes; // by another export, meanwhile
    if (typeof made === 'string') identity = made;
    const attributes = { ...stored.attributes, identity };
    batch.object(snapshot.id, encodeObject({ ...stored, attributes }));
  });
  return identity;
}
