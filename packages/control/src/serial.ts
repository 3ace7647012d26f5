/** A queue for changes of a store: one at a time, in the order asked for. */

/** Runs `work` when all work given before has ended, however it ended. */
export type Serial = <T>(work: () => Promise<T>) => Promise<T>;

/** Makes a queue. */
export function createSerial(): Serial {
  let tail: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = tail.then(work, work);
    // The queue goes on after a failure; the failure itself is the caller's, in `result`.
    tail = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  };
}
