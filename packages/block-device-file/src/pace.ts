/**
 * Pace: decides whether a small read or write is done at once, on this thread, or by the thread
 * pool. Done at once it is several times cheaper, as long as the bytes are in the page cache; but
 * a disk that has to move holds the whole process up. So: at once, until slow calls have taken a
 * real share of the time; then by the pool for a while, longer each time, and shorter again after
 * many fast calls.
 *
 *   A call is also slow when the process was merely put off its processor in the midst of it, as
 *   happens a few times a second on a busy machine. That is no reason to leave the fast way: what
 *   counts is not one slow call but their share of the time (a bucket that fills with slow calls'
 *   milliseconds and leaks half a millisecond each millisecond). A call so slow that it fills the
 *   bucket alone is followed by a rest of a hundred times its length: less than one percent of the
 *   time is lost to a disk that stalls, however long.
 */

/** A synchronous call that took longer than this, in milliseconds, was slow. */
const SLOW_MS = 1;
/** Milliseconds of slow calls that the bucket holds. */
const BUCKET_MS = 50;
/** What leaks out of it each millisecond. */
const LEAK = 0.5;
/** How long the pool does the work after the bucket first ran over. */
const FIRST_REST_MS = 10;
/** The longest it does so before one more try. */
const LONGEST_REST_MS = 60_000;
/** The rest after a single call that fills the bucket alone, in lengths of that call. */
const STALL_REST = 100;
/** So many fast calls in a row halve the next rest. */
const FAST_CALLS = 1000;

/** The state of one device. Times are milliseconds on the caller's clock. */
export class Pace {
  #restUntil = Number.NEGATIVE_INFINITY;
  #restMs = FIRST_REST_MS;
  #fastCalls = 0;
  #bucketMs = 0;
  #lastSlow = Number.NEGATIVE_INFINITY;

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
    this.#slow(to - from, to);
  }

  #slow(tookMs: number, now: number): void {
    this.#fastCalls = 0;
    this.#bucketMs = Math.max(0, this.#bucketMs - (now - this.#lastSlow) * LEAK) + tookMs;
    this.#lastSlow = now;
    if (this.#bucketMs <= BUCKET_MS) return;
    this.#bucketMs = 0;
    const stallMs = tookMs > BUCKET_MS ? tookMs * STALL_REST : 0;
    this.#restUntil = now + Math.min(LONGEST_REST_MS, Math.max(this.#restMs, stallMs));
    this.#restMs = Math.min(LONGEST_REST_MS, this.#restMs * 2);
  }
}
