/**
 * Pace: decides whether a small read or write is done at once, on this thread, or by the thread
 * pool. Done at once it is several times cheaper, as long as the bytes are in the page cache; but
 * a disk that has to move, or does not answer, holds the whole process up, and every other device.
 *
 *   P1  Trust is earned in the pool: a device starts there, and is trusted with calls at once after so
 *       many fast ones. One that is slow from the start never holds anybody up.
 *   P2  A call at once that stalls is followed by a rest in the pool of two hundred times its length, in
 *       which each call that stalls begins the rest anew: less than half a percent of the time is lost to
 *       a disk that stalls again and again. Each later stall doubles that, up to an hour.
 *   P3  Calls at once that are slow, not stalled, end the trust when they take a real share of the time (a
 *       bucket that fills with slow calls' milliseconds and leaks half a millisecond each millisecond):
 *       for a while, longer each time, and shorter again after many fast calls. One slow call is no
 *       reason: the process may merely have been put off its processor in the midst of it, as happens a
 *       few times a second on a busy machine.
 *   P4  A device that is never trusted is one whose stalls have no bounds (remote.ts).
 */

/** Fast calls in the pool that earn trust, and how many of them a slow one costs. */
const TRUSTED_AT = 64;
const SLOW_COSTS = 8;
/** A call in the pool is slow when it took longer, in milliseconds: it waits for a turn of this thread. */
const POOL_SLOW_MS = 5;
/** A call that took so many milliseconds has stalled. */
const STALL_MS = 100;
/** The rest after the first stall, in lengths of the call, and the longest. */
const STALL_REST = 200;
const LONGEST_STALL_REST_MS = 3_600_000;
/** A call at once that took longer than this, in milliseconds, was slow. */
const SLOW_MS = 1;
/** Milliseconds of slow calls that the bucket holds. */
const BUCKET_MS = 50;
/** What leaks out of it each millisecond. */
const LEAK = 0.5;
/** How long the pool does the work after the bucket first ran over, and the longest. */
const FIRST_REST_MS = 10;
const LONGEST_REST_MS = 60_000;
/** So many fast calls in a row halve the next rest. */
const FAST_CALLS = 1000;

/** Whether calls may be done at once: after P1, from the start, or never (P4). */
export type Trust = 'earned' | 'given' | 'never';

/** The state of one device. Times are milliseconds on the caller's clock. */
export class Pace {
  readonly #never: boolean;
  readonly #onStall: () => void;
  /** Fast calls in the pool, less what slow ones cost. */
  #credit: number;
  #restUntil = Number.NEGATIVE_INFINITY;
  #restMs = FIRST_REST_MS;
  #stalls = 0;
  #fastCalls = 0;
  #bucketMs = 0;
  #lastSlow = Number.NEGATIVE_INFINITY;

  /** `onStall` is called when a call done at once has stalled. */
  constructor(trust: Trust = 'earned', onStall: () => void = () => undefined) {
    this.#never = trust === 'never';
    this.#credit = trust === 'given' ? TRUSTED_AT : 0;
    this.#onStall = onStall;
  }

  /** True when a small call may be done at once. */
  mayBlock(now: number): boolean {
    return this.#credit >= TRUSTED_AT && now >= this.#restUntil && !this.#never;
  }

  /** Told after each small call that the pool did. */
  waited(from: number, to: number): void {
    const tookMs = to - from;
    if (tookMs <= POOL_SLOW_MS) {
      if (this.#credit < TRUSTED_AT) this.#credit += 1;
      return;
    }
    this.#credit = Math.max(0, Math.min(this.#credit, TRUSTED_AT) - SLOW_COSTS);
    if (tookMs >= STALL_MS && to < this.#restUntil && this.#stalls > 0) this.#restOf(tookMs, to); // P2
  }

  /** Told after each call done at once. */
  blocked(from: number, to: number): void {
    const tookMs = to - from;
    if (tookMs <= SLOW_MS) {
      if (++this.#fastCalls < FAST_CALLS) return;
      this.#fastCalls = 0;
      this.#restMs = Math.max(FIRST_REST_MS, this.#restMs / 2);
      return;
    }
    this.#fastCalls = 0;
    if (tookMs >= STALL_MS) {
      this.#stalls += 1;
      this.distrust();
      this.#restOf(tookMs, to);
      this.#onStall();
      return;
    }
    this.#slow(tookMs, to);
  }

  /** Trust has to be earned anew: the disk beneath may have stalled. */
  distrust(): void {
    this.#credit = 0;
  }

  #restOf(tookMs: number, now: number): void {
    const rest = tookMs * STALL_REST * 2 ** (this.#stalls - 1);
    this.#restUntil = Math.max(this.#restUntil, now + Math.min(LONGEST_STALL_REST_MS, rest));
  }

  /** P3. */
  #slow(tookMs: number, now: number): void {
    this.#bucketMs = Math.max(0, this.#bucketMs - (now - this.#lastSlow) * LEAK) + tookMs;
    this.#lastSlow = now;
    if (this.#bucketMs <= BUCKET_MS) return;
    this.#bucketMs = 0;
    this.#restUntil = now + this.#restMs;
    this.#restMs = Math.min(LONGEST_REST_MS, this.#restMs * 2);
  }
}
