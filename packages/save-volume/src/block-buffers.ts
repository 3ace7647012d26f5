/**
 * BlockBuffers: memory for blocks that are held for a commit, shared by all who hold any. It is taken
 * from the system in large pieces and never given back: what was needed once, `dirtyBytes` at most,
 * will be needed again, and fresh memory costs several times more than copying a block into it.
 *
 *   BB1  A buffer is given back at most once, by who took it, when nobody reads it any more.
 */

/** Bytes taken from the system at a time: at first, and each time twice as many, up to a limit. */
const FIRST_PIECE_BYTES = 1 << 16;
const PIECE_BYTES_MAX = 1 << 20;

/** See the file header. */
export class BlockBuffers {
  readonly #blockSize: number;
  readonly #free: Uint8Array[] = [];
  #piece: Uint8Array = new Uint8Array(0);
  #used = 0;
  #nextBytes = FIRST_PIECE_BYTES;

  constructor(blockSize: number) {
    this.#blockSize = blockSize;
  }

  /** A buffer of one block, with anything in it. */
  take(): Uint8Array {
    return this.#free.pop() ?? this.#carve();
  }

  /** Takes a buffer back (BB1). */
  give(buffer: Uint8Array): void {
    this.#free.push(buffer);
  }

  #carve(): Uint8Array {
    if (this.#used + this.#blockSize > this.#piece.length) {
      this.#piece = new Uint8Array(Math.max(this.#blockSize, this.#nextBytes));
      this.#nextBytes = Math.min(PIECE_BYTES_MAX, 2 * this.#nextBytes);
      this.#used = 0;
    }
    this.#used += this.#blockSize;
    return this.#piece.subarray(this.#used - this.#blockSize, this.#used);
  }
}
