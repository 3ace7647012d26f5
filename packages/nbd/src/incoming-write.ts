/**
 * IncomingWrite: a WRITE whose payload is arriving. Payload that comes in one chunk never gets
 * here; the rest is put together in a slab, and what is longer than a piece is handed on piece by
 * piece as it arrives, so that 64 MiB of write hold one mebibyte.
 *   W1  Pieces end on multiples of PIECE on the device: only the ends of the request can be odd.
 *   W2  After an error the remaining payload is passed over, to stay in step with the client.
 */
import type { RequestHeader } from '@palimpsest/nbd-codec';
import { type Arena, PIECE, type Slab } from './slabs.js';

/** Called with a piece that is complete, and the slab to release when it is stored. */
export type PieceReady = (piece: Uint8Array, slab: Slab) => void;

/** See the header of this file. */
export class IncomingWrite {
  readonly cookieHigh: number;
  readonly cookieLow: number;
  readonly flags: number;
  readonly offset: number;
  readonly length: number;
  /** Bytes of the client's allowance that it holds. */
  readonly charge: number;
  /** An error found before any payload was looked at, or 0. */
  readonly error: number;
  /** What the device threw, when it did. */
  thrown: unknown;
  /** Bytes handed to the device. */
  stored = 0;
  /** Pieces the device has not finished. */
  pending = 0;
  /** All payload has arrived. */
  complete = false;
  /** The stream stands still until a piece is finished. */
  waiting = false;
  #slab: Slab | undefined;
  #start = 0;
  #filled = 0;
  #pieceLength = 0;

  constructor(request: RequestHeader, charge: number, error: number) {
    this.cookieHigh = request.cookieHigh;
    this.cookieLow = request.cookieLow;
    this.flags = request.flags;
    this.offset = request.offset;
    this.length = request.length;
    this.charge = charge;
    this.error = error;
  }

  /** Remembers the first failure. */
  fail(thrown: unknown): void {
    this.thrown ??= thrown;
  }

  /** Takes payload; calls `ready` for every piece that it completes. */
  take(bytes: Uint8Array, arena: Arena, ready: PieceReady): void {
    for (let used = 0; used < bytes.length && this.thrown === undefined; ) {
      const slab = this.#slab ?? this.#startPiece(arena);
      const count = Math.min(this.#pieceLength - this.#filled, bytes.length - used);
      const at = this.#start + this.#filled;
      slab.bytes.set(bytes.subarray(used, used + count), at);
      this.#filled += count;
      used += count;
      if (this.#filled === this.#pieceLength) {
        this.#slab = undefined;
        ready(slab.bytes.subarray(this.#start, this.#start + this.#pieceLength), slab);
      }
    }
  }

  /** Gives back the piece that will never be complete. */
  abandon(arena: Arena): void {
    if (this.#slab !== undefined) arena.release(this.#slab);
    this.#slab = undefined;
  }

  #startPiece(arena: Arena): Slab {
    const position = this.offset + this.stored;
    const left = this.length - this.stored;
    // W1. What fits one piece stays whole.
    const toBorder = PIECE - (position % PIECE);
    this.#pieceLength = this.length <= PIECE ? left : Math.min(left, toBorder);
    const slab = arena.reserve(this.#pieceLength);
    this.#slab = slab;
    this.#start = slab.used - this.#pieceLength;
    this.#filled = 0;
    return slab;
  }
}
