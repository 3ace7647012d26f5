/**
 * LogMemory: memory for the logs of transactions. All of it is let go at once, when every block is home, and
 * used again: touching fresh memory costs more than the copy that goes into it.
 */

/** Bytes taken at once, at least. */
const PIECE = 1 << 20;
/** Bytes kept for later, at most. */
const KEPT_MAX = 16 << 20;

/** See the head of the file. */
export class LogMemory {
  #pieces: Uint8Array[] = [];
  /** The piece in use, and how much of it is taken. */
  #current = 0;
  #used = 0;

  /** So many bytes in a row; they are arbitrary. */
  take(length: number): Uint8Array {
    while (this.#current < this.#pieces.length) {
      const piece = this.#pieces[this.#current] as Uint8Array;
      if (this.#used + length <= piece.length) {
        this.#used += length;
        return piece.subarray(this.#used - length, this.#used);
      }
      this.#current++;
      this.#used = 0;
    }
    this.#pieces.push(new Uint8Array(Math.max(PIECE, length)));
    return this.take(length);
  }

  /** Nobody has any of it any more. */
  reset(): void {
    let kept = 0;
    this.#pieces = this.#pieces.filter(({ length }) => {
      kept += length;
      return kept <= KEPT_MAX;
    });
    this.#current = 0;
    this.#used = 0;
  }
}
