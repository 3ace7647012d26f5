/**
 * together: one call made of several, whose parts go on at once. It is done when all parts are; when
 * one fails it fails with the first failure, but only after all have ended: until then they use the
 * caller's buffer (D11), and nobody else would hear of their failures.
 */
import type { Completion } from './block-device.js';

/**
 * Runs `begin`, which starts the parts and adds to `waits` those that are not done at once. Should it
 * throw in the midst, what it had begun still ends first.
 */
export function together(begin: (waits: Promise<void>[]) => void): Completion {
  const waits: Promise<void>[] = [];
  try {
    begin(waits);
  } catch (error) {
    if (waits.length === 0) throw error;
    waits.push(Promise.reject(error));
  }
  return waits.length === 0 ? undefined : allEnded(waits);
}

/** Resolves when all have; rejects with the first failure in order, once all have ended. */
async function allEnded(waits: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(waits)) {
    if (result.status === 'rejected') throw result.reason;
  }
}
