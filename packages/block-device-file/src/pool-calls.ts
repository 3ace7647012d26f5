/**
 * PoolCalls: reads, writes and syncs of one file by the thread pool, in the file's lane of it. A call that
 * was interrupted is made again, and one that moved less than it was asked to goes on where it ended.
 */
import type { FileCalls, Moved } from './file-calls.js';
import type { Pace } from './pace.js';
import type { Lane } from './thread-pool.js';

/** Requests of so many bytes always go to the pool, and tell nothing of the disk: copying takes a while. */
export const LARGE: number = 256 * 1024;

/** See the file header. */
export class PoolCalls {
  readonly #fd: number;
  readonly #calls: FileCalls;
  readonly #pace: Pace;
  readonly #lane: Lane;

  constructor(fd: number, calls: FileCalls, pace: Pace, lane: Lane) {
    this.#fd = fd;
    this.#calls = calls;
    this.#pace = pace;
    this.#lane = lane;
  }

  /** Tells how many bytes were read: fewer than asked for only where the file ends. */
  read(target: Uint8Array, position: number, then: Moved, done = 0): void {
    const rest = target.length - done;
    const ended: Moved = (error, count) => {
      if (error?.code === 'EINTR') this.read(target, position, then, done);
      else if (error !== null || count === 0 || count === rest) then(error, done + count);
      else this.read(target, position, then, done + count);
    };
    this.#inLane(rest, ended, (timed) =>
      this.#calls.read(this.#fd, target, done, rest, position + done, timed),
    );
  }

  /** `each` is called after every call, whatever came of it. */
  write(source: Uint8Array, position: number, each: () => void, then: Moved, done = 0): void {
    const rest = source.length - done;
    const ended: Moved = (error, count) => {
      each();
      if (error?.code === 'EINTR') this.write(source, position, each, then, done);
      else if (error !== null || count === rest) then(error, done + count);
      else this.write(source, position, each, then, done + count);
    };
    this.#inLane(rest, ended, (timed) =>
      this.#calls.write(this.#fd, source, done, rest, position + done, timed),
    );
  }

  sync(then: Moved): void {
    this.#inLane(LARGE, then, (timed) =>
      this.#calls.fdatasync(this.#fd, (error) => timed(error, 0)),
    );
  }

  /** Makes a call of so many bytes when its turn comes. */
  #inLane(bytes: number, ended: Moved, call: (timed: Moved) => void): void {
    this.#lane.enter(() => {
      const from = this.#calls.now();
      call((error, count) => {
        const to = this.#calls.now();
        this.#lane.ended(to - from);
        if (bytes < LARGE) this.#pace.waited(from, to);
        ended(error, count);
      });
    });
  }
}
