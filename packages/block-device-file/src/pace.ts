/**
 * Pace: decides whether a small read or write is done at once, on this thread, or by the thread
 * pool. Done at once it is several times cheaper, as long as the bytes are in the page cache; but
 * a disk that has to move can hold the whole process up. So: at once, until a call was slow; then
 * by the pool for a while, twice as long each time, up to a limit; and shorter again after many
 * fast calls. A disk that is always slow thus costs one slow call in ten seconds.
 */

/** A synchronous call that took longer than this, in milliseconds, was slow. */
const SLOW_MS = 1;
/** How long the pool does the work after a first slow call: about one of a busy disk. */
const FIRST_REST_MS = 10;
/** The longest it does so before one more try. */
const LONGEST_REST_MS = 10_000;
/** So many fast calls in a row halve the next rest. */
const FAST_CALLS = 1000;

/** The state of one device. Times are milliseconds on the caller's clock. */
export class Pace {
  #restUntil = Number.NEGATIVE_INFINITY;
  #restMs = FIRST_REST_MS;
  #fastCalls = 0;

  /** True when a small call may be done at once. */
  mayBlock(now: number): boolean {
    return now >= this.#restUntil;
  }

  /** Told after each call done at once. */
  blocked(from: number, to: number): void {
    if (to - from <= SLOW_MS) {
      if (++this.#fastCalls < FAST_CALLS) return;
      this.#fastCalls = 0;
      this.#restMs = Math.max(FIRST_REST_MS, this.#restMs / 2);
      return;
    }
    this.#fastCalls = 0;
    this.#restUntil = to + this.#restMs;
    this.#restMs = Math.min(LONGEST_REST_MS, this.#restMs * 2);
  }
}
