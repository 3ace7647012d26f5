/**
 * Paths as callers give them: text, bytes, or a file URL. Below, a path is bytes; in errors it is text.
 */
import { Buffer } from 'node:buffer';
import { fileURLToPath } from 'node:url';
import { invalidType, invalidValue } from './node-errors.js';

/** What names a file. */
export type PathLike = string | Uint8Array | URL;

/** A path as text or bytes, checked. */
export function checkedPath(path: unknown, name = 'path'): string | Uint8Array {
  const plain = isUrl(path) ? fileURLToPath(path) : path;
  if (typeof plain === 'string') {
    if (!plain.includes('\0')) return plain;
  } else if (plain instanceof Uint8Array) {
    if (!plain.includes(0)) return plain;
  } else {
    throw invalidType(name, 'of type string or an instance of Buffer or URL', plain);
  }
  throw invalidValue(name, plain, 'must be a string, Uint8Array, or URL without null bytes');
}

/** A checked path as bytes. */
export function pathBytes(path: string | Uint8Array): Uint8Array {
  return typeof path === 'string' ? Buffer.from(path) : path;
}

/** A checked path as errors show it. */
export function pathText(path: string | Uint8Array): string {
  return typeof path === 'string' ? path : Buffer.from(path).toString();
}

function isUrl(value: unknown): value is URL {
  return (
    typeof value === 'object' &&
    value !== null &&
    'href' in value &&
    'protocol' in value &&
    !('auth' in value && 'path' in value)
  );
}
