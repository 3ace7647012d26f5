/**
 * CommitQueue: commits one after the other. Whoever asks while one runs needs the next, and all who do
 * share it: many calls of fsync at once cost one commit.
 */

/** See the head of the file. */
export class CommitQueue {
  readonly #commit: () => Promise<void>;
  /** Settles when what runs has ended, well or not. */
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(commit: () => Promise<void>) {
    this.#commit = commit;
  }

  /** A commit that begins after this call. */
  ask(): Promise<void> {
    if (this.#running === undefined) return this.#start();
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      return this.#start();
    });
    return this.#next;
  }

  /** Runs `work` while no commit runs. */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    while (this.#running !== undefined) await this.#running;
    const result = work();
    this.#hold(result);
    return await result;
  }

  #start(): Promise<void> {
    const work = this.#commit();
    this.#hold(work);
    return work;
  }

  #hold(work: Promise<unknown>): void {
    const end = (): void => {
      if (this.#running === running) this.#running = undefined;
    };
    const running = work.then(end, end);
    this.#running = running;
  }
}
