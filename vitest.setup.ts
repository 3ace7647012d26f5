/**
 * Bytes are compared as bytes. Vitest's own way walks a typed array element by element as if it were
 * any object, some ten milliseconds for a block of 4 KiB, and most of our tests compare blocks. What is
 * equal stays the same: the same class, the same length, the same bytes.
 */
import { expect } from 'vitest';

/** `undefined` where it is not for us to say. */
function equalBytes(a: unknown, b: unknown): boolean | undefined {
  if (!(a instanceof Uint8Array && b instanceof Uint8Array)) return undefined;
  if (a.constructor !== b.constructor) return undefined;
  return Buffer.compare(a, b) === 0;
}

expect.addEqualityTesters([equalBytes]);
