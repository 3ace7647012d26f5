/**
 * Exclusion: many requests at a time, or one change of state alone. A change waits until the
 * requests in flight have ended; requests that come meanwhile wait for the change.
 */

/** See the file header. */
export class Exclusion {
  #inFlight = 0;
  #drained: (() => void) | undefined;
  #closed: Promise<void> | undefined;
  #line: Promise<void> = Promise.resolve();

  /** When set, a request must await it, and then look again, before it `enter`s. */
  get closed(): Promise<void> | undefined {
    return this.#closed;
  }

  /** A request that does not end in this turn of the event loop begins. */
  enter(): void {
    this.#inFlight += 1;
  }

  /** It ends. */
  leave(): void {
    this.#inFlight -= 1;
    if (this.#inFlight === 0) this.#drained?.();
  }

  /** Runs `change` alone: after the changes before it, with no request in flight. */
  alone<Result>(change: () => Promise<Result>): Promise<Result> {
    const result = this.#line.then(() => this.#run(change));
    this.#line = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }

  async #run<Result>(change: () => Promise<Result>): Promise<Result> {
    let open: () => void = () => undefined;
    this.#closed = new Promise((resolve) => {
      open = resolve;
    });
    try {
      if (this.#inFlight > 0) {
        await new Promise<void>((resolve) => {
          this.#drained = resolve;
        });
      }
      return await change();
    } finally {
      this.#drained = undefined;
      this.#closed = undefined;
      open();
    }
  }
}
