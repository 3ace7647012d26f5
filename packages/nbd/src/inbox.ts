/**
 * Inbox: the memory that one client's bytes arrive in, and lie in until they are used. The stream
 * reads straight into it (OnRead), requests are parsed where they lie, and the device takes a write's
 * payload from there: between the socket and the device nothing is copied, and nothing is allocated.
 *
 *        used            waits               room
 *   |-----------|~~~~~~~~~~~~~~~~~~~~~|.....................|   a slab
 *             from                    to
 *
 *   I1  What `room` gave is written by the stream alone until `filled` or `close`: it is asked for
 *       right before the next bytes come, and only then may the waiting bytes move. It is never empty.
 *   I2  Memory that a device still reads from (`hold`) is written by nobody until it is released.
 *   I3  A client that sends little has a small buffer of its own, and nothing of the pool.
 */
import { PIECE, type Slab, type SlabPool, SMALL_BYTES, smallSlab } from './slabs.js';

/** Less room than this is not worth a system call when the waiting bytes can move cheaply. */
const LEAST_ROOM = 65_536;
/** So many bytes cost as much to move as a system call. */
const CHEAP_MOVE = 16_384;
/**
 * Kept back of a slab when room is given: while the limits of the client are reached, what waits is not
 * used, and a stream that was paused must have room all the same (I1).
 */
const KEPT_BACK = 4096;
/** Slabs of one client that devices read from; then no more is read from the client. */
const MAX_SLABS = 16;

/** See the header of this file. */
export class Inbox {
  readonly #pool: SlabPool;
  #small: Slab = smallSlab();
  #slab: Slab = this.#small;
  #from = 0;
  #to = 0;
  /** Slabs that were left, and that a device still reads from. */
  #left = 0;
  /** Bytes that came last. */
  #last = 0;
  /** Room is given, and nothing has come into it yet. */
  #isGiven = false;

  constructor(pool: SlabPool) {
    this.#pool = pool;
  }

  /** Bytes that wait. */
  get length(): number {
    return this.#to - this.#from;
  }

  /** The bytes that wait. */
  get bytes(): Buffer {
    return this.#slab.bytes.subarray(this.#from, this.#to);
  }

  /** True when devices are so far behind that no more must be read. */
  get crowded(): boolean {
    return this.#left >= MAX_SLABS;
  }

  /** The first `count` bytes that wait are used. */
  use(count: number): void {
    this.#from += count;
  }

  /**
   * Memory for the bytes to come, of which `needed` must lie side by side with those that wait. In a
   * handshake 0: then it is small, however much comes.
   */
  room(needed: number): Buffer {
    this.#makeRoom(Math.min(needed, PIECE));
    this.#isGiven = true;
    const { bytes, isSmall } = this.#slab;
    const limit = bytes.length - (isSmall ? 0 : KEPT_BACK);
    return bytes.subarray(this.#to, this.#to < limit ? limit : bytes.length);
  }

  /** `count` bytes have come into the room given last. */
  filled(count: number): void {
    this.#isGiven = false;
    this.#to += count;
    this.#last = count;
  }

  /** Takes a copy of bytes that came some other way: together with those that wait, `needed` at most. */
  append(bytes: Uint8Array, needed: number): void {
    this.#makeRoom(needed);
    this.#slab.bytes.set(bytes, this.#to);
    this.filled(bytes.length);
  }

  /** True while the stream may write into the room it was given: nothing can be appended (I1). */
  get isGiven(): boolean {
    return this.#isGiven;
  }

  /** Puts bytes, less than a piece, before those that just came: they were left of a handshake. */
  prepend(bytes: Uint8Array): void {
    const came = Buffer.from(this.bytes); // few: there is only the small buffer in a handshake
    this.#from = this.#to;
    this.append(Buffer.concat([bytes, came]), bytes.length + came.length);
  }

  /** Gives a slab back that holds nothing, when nobody is about to fill it. */
  tidy(): void {
    if (!this.#isGiven && this.length === 0 && !this.#slab.isSmall) this.#move(this.#ownSlab());
  }

  /** A device reads from the bytes that lie here now, and goes on after the call (I2). */
  hold(): Slab {
    this.#slab.regions += 1;
    return this.#slab;
  }

  /** The device has read what `hold` was called for. */
  release(slab: Slab): void {
    slab.regions -= 1;
    if (slab.regions > 0 || slab === this.#slab) return;
    this.#left -= 1;
    this.#pool.give(slab);
  }

  /** The stream is gone: nothing will come into the room that was given. */
  close(): void {
    this.#isGiven = false;
    this.#from = this.#to;
    this.tidy();
  }

  #makeRoom(needed: number): void {
    const { isSmall, regions, bytes } = this.#slab;
    const size = bytes.length;
    const waiting = this.length;
    if (waiting === 0 && regions === 0) {
      const isFull = this.#to === size;
      this.#from = 0;
      this.#to = 0;
      const wantsLittle = this.#last < SMALL_BYTES / 2 && needed <= SMALL_BYTES;
      if (isSmall && needed > 0 && (isFull || needed > size)) this.#move(this.#pool.take());
      else if (!isSmall && wantsLittle) this.#move(this.#ownSlab());
      return;
    }
    const left = size - this.#to;
    const isEnough = isSmall ? left > 0 : left >= LEAST_ROOM || waiting > CHEAP_MOVE;
    if (this.#from + needed <= size && isEnough) return;
    if (regions === 0 && !isSmall) {
      bytes.copyWithin(0, this.#from, this.#to);
      this.#from = 0;
      this.#to = waiting;
    } else this.#move(this.#pool.take());
  }

  /** The small one, unless a device still reads from it. */
  #ownSlab(): Slab {
    if (this.#small.regions > 0) this.#small = smallSlab();
    return this.#small;
  }

  /** Goes on in other memory. */
  #move(to: Slab): void {
    const old = this.#slab;
    const waiting = this.length;
    old.bytes.copy(to.bytes, 0, this.#from, this.#to);
    this.#slab = to;
    this.#from = 0;
    this.#to = waiting;
    if (old.regions > 0) this.#left += 1;
    else this.#pool.give(old);
  }
}
