/**
 * Budget: the bytes that the requests of all clients hold together.
 *   G1  A client that holds nothing is always admitted, for at most `SHARE` bytes: one greedy
 *       client slows the others down but never stops them.
 */

/** What a client may hold whatever the others do. */
export const SHARE: number = 1 << 20;

/** See the header of this file. */
export class Budget {
  readonly #limit: number;
  #used = 0;
  readonly #waiters = new Set<() => void>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Bytes held now. */
  get used(): number {
    return this.#used;
  }

  /** Takes `bytes` for a client that holds `held` already; false when it has to wait. */
  take(bytes: number, held: number): boolean {
    // Nor must a request larger than all that is allowed wait for ever.
    const always = (held === 0 && bytes <= SHARE) || this.#used === 0;
    if (!always && this.#used + bytes > this.#limit) return false;
    this.#used += bytes;
    return true;
  }

  /** Gives `bytes` back and lets those who wait try again. */
  give(bytes: number): void {
    this.#used -= bytes;
    if (this.#waiters.size === 0 || bytes === 0) return;
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const retry of waiters) queueMicrotask(retry);
  }

  /** Calls `retry` once, after something was given back. */
  wait(retry: () => void): void {
    this.#waiters.add(retry);
  }

  /** Takes `retry` out again. */
  forget(retry: () => void): void {
    this.#waiters.delete(retry);
  }
}
