/**
 * Objects: small named-by-number pieces of JSON that the layers above keep here (volumes,
 * snapshots, branches), changed in the same commits as the map they describe.
 */
import { StorageError } from '@palimpsest/block-device';
import { OBJECT_HEADER } from './format.js';

/** The object list, in order of id. */
export function encodeObjects(objects: ReadonlyMap<number, Uint8Array>): Uint8Array {
  const sorted = [...objects].sort(([a], [b]) => a - b);
  const size = sorted.reduce((sum, [, bytes]) => sum + OBJECT_HEADER.size + bytes.length, 0);
  const list = new Uint8Array(size);
  let at = 0;
  for (const [id, bytes] of sorted) {
    OBJECT_HEADER.encode(list, at, { id, bytes: bytes.length, reserved: 0 });
    list.set(bytes, at + OBJECT_HEADER.size);
    at += OBJECT_HEADER.size + bytes.length;
  }
  return list;
}

/**
 * Reads an object list.
 * @throws {StorageError} ERR_CORRUPT when it does not end where an object does.
 */
export function decodeObjects(list: Uint8Array): Map<number, Uint8Array> {
  const objects = new Map<number, Uint8Array>();
  for (let at = 0; at < list.length; ) {
    if (at + OBJECT_HEADER.size > list.length) throw damaged(at);
    const { id, bytes } = OBJECT_HEADER.decode(list, at);
    const start = at + OBJECT_HEADER.size;
    if (start + bytes > list.length) throw damaged(at);
    objects.set(id, list.slice(start, start + bytes));
    at = start + bytes;
  }
  return objects;
}

function damaged(at: number): StorageError {
  return new StorageError('ERR_CORRUPT', `the object list is damaged at byte ${at}`);
}
