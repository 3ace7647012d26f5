/**
 * Slabs: the memory that requests and replies pass through. A slab is a fixed buffer that many small
 * ones, or one large piece, are laid into one after the other; it goes back to the server's pool when
 * the last of them is gone.
 *   S1  A region is written and sent by its owner alone from `reserve` until `release`.
 *   S2  Bytes of a region that were not filled are never sent.
 */

/** The largest payload that is moved at once; larger requests are carried out in pieces. */
export const PIECE = 262_144;
/** A piece with its header, or 64 replies of 4 KiB with theirs: what a busy client has at once. */
const SLAB_BYTES = PIECE + 8192;
/** What a client that is idle, or asks for one thing at a time, sends at once. */
export const SMALL_BYTES = 8192;
/** Slabs kept for reuse, 16 MiB; a busier moment allocates. */
const MAX_FREE = 64;

/** A buffer in use. */
export interface Slab {
  readonly bytes: Buffer;
  readonly view: DataView;
  /** Bytes given out, from the start. */
  used: number;
  /** Regions given out and not yet released. */
  regions: number;
  /** One of its owner's own, which no pool lent and none takes. */
  readonly isSmall: boolean;
}

/** A slab that belongs to no pool, for a client that needs little. */
export function smallSlab(): Slab {
  return newSlab(SMALL_BYTES, true);
}

function newSlab(size: number, isSmall: boolean): Slab {
  const bytes = Buffer.alloc(size);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return { bytes, view, used: 0, regions: 0, isSmall };
}

/** The slabs of one server. The one freed last is taken first: it is still in the CPU's cache. */
export class SlabPool {
  readonly #free: Slab[] = [];
  #lent = 0;

  /** Slabs in use now; those of a connection that broke are forgotten, not given back. */
  get lent(): number {
    return this.#lent;
  }

  take(): Slab {
    this.#lent += 1;
    const slab = this.#free.pop();
    return slab ?? newSlab(SLAB_BYTES, false);
  }

  give(slab: Slab): void {
    if (slab.isSmall) return;
    this.#lent -= 1;
    slab.used = 0;
    if (this.#free.length < MAX_FREE) this.#free.push(slab);
  }
}

/** The slab one client is filling at the moment. */
export class Arena {
  readonly #pool: SlabPool;
  #current: Slab | undefined;

  constructor(pool: SlabPool) {
    this.#pool = pool;
  }

  /** Takes the next `length` bytes, at most a piece and its header: `slab.used - length` on. */
  reserve(length: number): Slab {
    let slab = this.#current;
    if (slab === undefined || slab.used + length > SLAB_BYTES) {
      slab = this.#pool.take();
      this.#current = slab;
    }
    slab.used += length;
    slab.regions += 1;
    return slab;
  }

  /** Gives one region back, and the slab with its last one. */
  release(slab: Slab): void {
    slab.regions -= 1;
    if (slab.regions > 0) return;
    if (this.#current === slab) this.#current = undefined;
    this.#pool.give(slab);
  }
}
