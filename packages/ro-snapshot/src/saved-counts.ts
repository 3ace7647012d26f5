/**
 * SavedCounts: blocks that were saved before they were written for the first time. What a batch saves
 * counts when it is durable, and not at all when it is refused.
 */

/** See the file header. */
export class SavedCounts {
  /** Blocks whose old state was recorded. */
  firstWritten = 0;
  /** States stored with their bytes. */
  copiedOut = 0;
  /** States recorded as zeros, which take no block. */
  savedAsZero = 0;
  #firstWritten = 0;
  #copiedOut = 0;
  #savedAsZero = 0;

  /** The batch has a block with `states` states to record. */
  block(states: number): void {
    if (states > 0) this.#firstWritten += 1;
  }

  /** The batch has the bytes of a state. */
  bytes(): void {
    this.#copiedOut += 1;
  }

  /** The batch says that states are zeros. */
  zeros(states: number): void {
    this.#savedAsZero += states;
  }

  /** The batch is durable. */
  settle(): void {
    this.firstWritten += this.#firstWritten;
    this.copiedOut += this.#copiedOut;
    this.savedAsZero += this.#savedAsZero;
    this.forget();
  }

  /** The batch was refused. */
  forget(): void {
    this.#firstWritten = 0;
    this.#copiedOut = 0;
    this.#savedAsZero = 0;
  }
}
