/**
 * ThreadPool: whose calls may use the threads of the system's pool, which all files of the process share.
 * The pool itself serves whoever comes first, so a few calls that do not return would stop all others.
 * Here each file has a lane of its own, and what a lane may not have under way waits in it.
 *
 *   TP1  A lane with nothing under way has its first call begin while there is any thread.
 *   TP2  More than that a lane may have only while a quarter of the threads is left for the lanes of TP1,
 *        and at most a quarter of them, or two; an eighth when it is slow; four when its calls are so quick
 *        that they only wait for a processor.
 *   TP3  Slow lanes have half of the threads at most between them, TP1 apart.
 *   TP4  Lanes that wait take turns, and each lane's calls begin in the order asked.
 *
 * A lane is slow when its last call took long, or when one is under way and none has ended for long. So a
 * disk that hangs takes a quarter of the threads in the worst case, and after a moment an eighth of them;
 * and it takes as many disks that hang as there are threads to stop a file on a sound one.
 */
import process from 'node:process';

/** A call that took so many milliseconds was long; one that took fewer than that was quick. */
const LONG_MS = 50;
const QUICK_MS = 1;
/** Threads for quick calls: more of them cost more to switch between than they bring. */
const QUICK_MOST = 4;
/** What libuv makes of UV_THREADPOOL_SIZE. */
const DEFAULT_THREADS = 4;
const MOST_THREADS = 1024;

/** A file's way into the pool. */
export interface Lane {
  /** Has `begin` called, now or when its turn comes: it makes one call. */
  enter(begin: () => void): void;
  /** That call has ended, after so many milliseconds. */
  ended(tookMs: number): void;
}

interface LaneState {
  readonly waiting: (() => void)[];
  /** Calls under way. */
  running: number;
  /** What the last call took that ended. */
  tookMs: number;
  /** When the last call ended, or the first of those under way began. */
  progressAt: number;
}

/** See the file header. */
export class ThreadPool {
  readonly #threads: number;
  readonly #now: () => number;
  /** Lanes with something under way. */
  readonly #busy = new Set<LaneState>();
  /** Lanes in which something waits, next first. */
  readonly #line = new Set<LaneState>();
  /** Calls under way. */
  #running = 0;

  /** `threads`: how many the pool has. `now`: milliseconds. */
  constructor(threads: number, now: () => number) {
    this.#threads = threads;
    this.#now = now;
  }

  /** A lane for one file. */
  lane(): Lane {
    const state: LaneState = { waiting: [], running: 0, tookMs: 0, progressAt: 0 };
    return {
      enter: (begin) => this.#enter(state, begin),
      ended: (tookMs) => this.#ended(state, tookMs),
    };
  }

  #enter(lane: LaneState, begin: () => void): void {
    if (lane.waiting.length > 0 || !this.#mayBegin(lane)) {
      lane.waiting.push(begin);
      this.#line.add(lane);
    } else this.#begin(lane, begin);
  }

  #begin(lane: LaneState, begin: () => void): void {
    if (lane.running === 0) {
      lane.progressAt = this.#now();
      this.#busy.add(lane);
    }
    lane.running += 1;
    this.#running += 1;
    begin();
  }

  #ended(lane: LaneState, tookMs: number): void {
    lane.tookMs = tookMs;
    lane.progressAt = this.#now();
    lane.running -= 1;
    this.#running -= 1;
    if (lane.running === 0) this.#busy.delete(lane);
    // TP4: who has begun a call goes behind the others.
    for (const next of this.#line) {
      if (this.#running >= this.#threads) return;
      if (!this.#mayBegin(next)) continue;
      const begin = next.waiting.shift() as () => void;
      this.#line.delete(next);
      if (next.waiting.length > 0) this.#line.add(next);
      this.#begin(next, begin);
    }
  }

  #mayBegin(lane: LaneState): boolean {
    const threads = this.#threads;
    if (lane.running === 0) return this.#running < threads; // TP1
    if (this.#running >= Math.floor((threads * 3) / 4)) return false; // TP2
    if (this.#isSlow(lane)) {
      return lane.running < Math.floor(threads / 8) && this.#slow() < threads / 2; // TP3
    }
    const most = Math.max(2, Math.floor(threads / 4));
    return lane.running < (lane.tookMs < QUICK_MS ? Math.min(QUICK_MOST, most) : most);
  }

  #isSlow({ running, tookMs, progressAt }: LaneState): boolean {
    return tookMs >= LONG_MS || (running > 0 && this.#now() - progressAt >= LONG_MS);
  }

  /** Calls under way of slow lanes: few lanes, as each has a thread at least. */
  #slow(): number {
    let running = 0;
    for (const lane of this.#busy) if (this.#isSlow(lane)) running += lane.running;
    return running;
  }
}

/** How many threads the pool of this process has, unless it was started before that was set. */
export function threadsOfProcess(): number {
  const set = Math.trunc(Number(process.env.UV_THREADPOOL_SIZE));
  return set >= 1 ? Math.min(MOST_THREADS, set) : DEFAULT_THREADS;
}
