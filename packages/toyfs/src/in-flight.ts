/**
 * InFlight: work that is under way, a few pieces at a time.
 *
 *   IF1  A failure is heard of when it happens and told when somebody waits here: one that comes while the
 *        maker of more work is busy elsewhere is nobody's, and would end the process.
 */

/** See the file header. */
export class InFlight {
  readonly #limit: number;
  readonly #running = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;

  /** `limit`: pieces under way at once. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  add(work: Promise<unknown>): void {
    const ended = work
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .then(() => {
        this.#running.delete(ended);
      });
    this.#running.add(ended);
  }

  /** Waits until there is room for one more. Throws what the first that failed threw. */
  async room(): Promise<void> {
    while (this.#running.size >= this.#limit) await Promise.race(this.#running);
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Waits for all, also where some have failed. Throws what the first that failed threw. */
  async settled(): Promise<void> {
    await Promise.all(this.#running);
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
