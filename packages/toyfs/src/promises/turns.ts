/**
 * Turns: work on one thing, one after the other. Where nobody is before it and the work needs no
 * waiting, it is done at once.
 */
import type { Answer } from '../vfs.js';

/** See the head of the file. */
export class Turns {
  readonly #last = new Map<unknown, Promise<unknown>>();

  /** Whether work on `thing` is under way. */
  isBusy(thing: unknown): boolean {
    return this.#last.size > 0 && this.#last.has(thing);
  }

  /** Runs `work` after all earlier work on `thing` has settled. */
  run<T>(thing: unknown, work: () => Answer<T>): Answer<T> {
    const before = this.#last.get(thing);
    const result = before === undefined ? work() : before.then(work);
    if (!(result instanceof Promise)) return result;
    // Whoever comes next must not stumble over a failure that its caller has heard of.
    const settled = result.then(
      () => undefined,
      () => undefined,
    );
    this.#last.set(thing, settled);
    void settled.then(() => {
      if (this.#last.get(thing) === settled) this.#last.delete(thing);
    });
    return result;
  }
}
