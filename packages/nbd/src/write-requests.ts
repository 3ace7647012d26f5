/**
 * WriteRequests: WRITE, of which one at a time is coming in. Payload that arrives in one chunk goes
 * to the device from where it lies; the rest is put together first (see IncomingWrite).
 *   W1  A write that is refused still takes its payload, to stay in step, and holds none of it.
 *   W2  It is answered when all of it is stored, and flushed under FUA; or when all of it has come.
 */
import type { Completion } from '@palimpsest/block-device';
import { COMMAND_FLAG, NBD_ERROR, type RequestHeader } from '@palimpsest/nbd-codec';
import { SHARE } from './budget.js';
import { type ClientWork, flushThenSucceed, isFua, REFUSED_TEXT } from './client-work.js';
import { IncomingWrite } from './incoming-write.js';
import type { Replies } from './replies.js';
import { PIECE, type Slab } from './slabs.js';

const { fua: FUA } = COMMAND_FLAG;
/** Pieces of one large write that the device may be behind. */
const MAX_PIECES = SHARE / PIECE;

/** See the header of this file. */
export class WriteRequests {
  readonly #work: ClientWork;
  readonly #replies: Replies;
  #write: IncomingWrite | undefined;

  constructor(work: ClientWork) {
    this.#work = work;
    this.#replies = work.replies;
  }

  /** True between a WRITE and the last byte of its payload. */
  get receiving(): boolean {
    return this.#write !== undefined;
  }

  /** Begins a WRITE; its payload follows, unless it is empty or ends the session. */
  start(request: RequestHeader, charge: number): void {
    const { flags, offset, length } = request;
    if (length > this.#work.limits.maxPayload) {
      // Reading all of it to stay in step would be a favour nobody asked for.
      this.#replies.refuse(request, charge, NBD_ERROR.einval, 'the payload is too long');
      this.#work.stop();
      return;
    }
    let error = 0;
    if (this.#work.draining) error = NBD_ERROR.eshutdown;
    else if ((flags & ~FUA) !== 0) error = NBD_ERROR.einval;
    else if (this.#work.agreed.readOnly) error = NBD_ERROR.eperm;
    else if (offset + length > this.#work.agreed.size) error = NBD_ERROR.enospc;
    if (length === 0) {
      if (error !== 0) this.#replies.refuse(request, charge, error, REFUSED_TEXT);
      else this.#replies.succeed(request.cookieHigh, request.cookieLow, charge);
      return;
    }
    if (error === 0) this.#work.bytesWritten += length;
    this.#write = new IncomingWrite(request, charge, error);
  }

  /** Payload of the WRITE begun last. False when the device is behind: `resume` will follow. */
  payload(bytes: Uint8Array, left: number): boolean {
    const write = this.#write as IncomingWrite;
    if (left === 0 && bytes.length === write.length && write.error === 0) {
      // The usual case: all of it in one chunk, which the device may read where it is.
      this.#write = undefined;
      this.#store(write, bytes, undefined);
      return true;
    }
    if (write.error === 0)
      write.take(bytes, this.#work.inbound, (piece, slab) => {
        this.#store(write, piece, slab);
      });
    if (left === 0) {
      this.#write = undefined;
      write.complete = true;
      if (write.pending === 0) this.#finishWrite(write);
    } else if (write.pending >= MAX_PIECES) {
      write.waiting = true;
      return false;
    }
    return true;
  }

  /** Hands a piece of a write (all of it, mostly) to the device. */
  #store(write: IncomingWrite, piece: Uint8Array, slab: Slab | undefined): void {
    const whole = piece.length === write.length;
    let completion: Completion;
    try {
      completion = this.#work.gate.write(piece, write.offset + write.stored);
    } catch (error) {
      write.fail(error);
    }
    write.stored += piece.length;
    if (completion === undefined) {
      if (slab !== undefined) this.#work.inbound.release(slab);
      if (whole && slab === undefined) this.#finishWrite(write);
      return;
    }
    if (whole && slab === undefined) write.complete = true;
    write.pending += 1;
    this.#work.jobBegun();
    completion.then(
      () => this.#stored(write, slab),
      (error: unknown) => {
        write.fail(error);
        this.#stored(write, slab);
      },
    );
  }

  /** The device has finished a piece, well or not. */
  #stored(write: IncomingWrite, slab: Slab | undefined): void {
    write.pending -= 1;
    if (slab !== undefined) this.#work.inbound.release(slab);
    if (write.complete && write.pending === 0) this.#finishWrite(write);
    if (write.waiting) {
      write.waiting = false;
      this.#work.resume();
    }
    this.#work.jobDone();
  }

  #finishWrite(write: IncomingWrite): void {
    write.abandon(this.#work.inbound);
    if (write.error !== 0) {
      this.#replies.refuse(write, write.charge, write.error, REFUSED_TEXT);
      return;
    }
    if (write.thrown !== undefined) {
      this.#replies.fail(write, write.charge, write.thrown);
      return;
    }
    if (isFua(write.flags)) flushThenSucceed(this.#work, write, write.charge);
    else this.#replies.succeed(write.cookieHigh, write.cookieLow, write.charge);
  }

  /** The rest of the payload will never come, and nobody waits for an answer. */
  abandon(): void {
    const write = this.#write;
    if (write === undefined) return;
    this.#write = undefined;
    write.abandon(this.#work.inbound);
  }
}
