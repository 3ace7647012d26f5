/**
 * Events: what a store tells of that happened by itself, as it happens, to whoever listens.
 *
 *   E1  A listener that fails harms neither the others nor what the event tells of: the log has its
 *       failure.
 *   E2  Nothing is kept for listeners that come later; the operation log has what must not be missed.
 */
import type { Logger } from './environment.js';

/** Those who listen. */
export interface Events<Event> {
  /** Tells everybody who listens now, in the order they came. Never throws. */
  emit(event: Event): void;
  /** Calls `listener` with each event until the returned function is called. */
  subscribe(listener: (event: Event) => void): () => void;
}

/** Makes a set of listeners, empty. */
export function createEvents<Event>(logger: Logger): Events<Event> {
  const listeners = new Map<symbol, (event: Event) => void>();
  return {
    emit(event) {
      // A copy: a listener may stop listening, or another begin, while it is called.
      for (const listener of [...listeners.values()]) {
        try {
          listener(event);
        } catch (error) {
          logger.error('a listener for events failed', { error: String(error) }); // E1
        }
      }
    },
    subscribe(listener) {
      const mine = Symbol('listener'); // the same function may listen twice
      listeners.set(mine, listener);
      return () => {
        listeners.delete(mine);
      };
    },
  };
}
