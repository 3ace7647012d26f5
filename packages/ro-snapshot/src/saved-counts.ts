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

  /** The batch has a block with `states` states to record, `stored` of them with their bytes. */
  add(states: number, stored: number): void {
    if (states > 0) this.#firstWritten += 1;
    this.#copiedOut += stored;
    this.#savedAsZero += states - stored;
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
