/**
 * WriteRequests: WRITE, of which one at a time is coming in. Its payload comes in pieces, mostly one,
 * and goes to the device from where it lies.
 *   W1  A write that is refused still takes its payload, to stay in step, and holds none of it. So does
 *       what is left of one that the device failed.
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

  /** A piece of the WRITE begun last. False when the device is behind: `resume` will follow. */
  payload(bytes: Uint8Array, left: number): boolean {
    const write = this.#write as IncomingWrite;
    if (left === 0) {
      this.#write = undefined;
      write.complete = true;
    }
    if (write.error === 0 && write.thrown === undefined) this.#store(write, bytes);
    if (left === 0) {
      if (write.pending === 0) this.#finishWrite(write);
    } else if (write.pending >= MAX_PIECES) {
      write.waiting = true;
      return false;
    }
    return true;
  }

  /** Hands a piece of a write (all of it, mostly) to the device. */
  #store(write: IncomingWrite, piece: Uint8Array): void {
    let completion: Completion;
    try {
      completion = this.#work.gate.write(piece, write.offset + write.stored);
    } catch (error) {
      write.thrown = error;
      return;
    }
    write.stored += piece.length;
    if (completion !== undefined) this.#storeLater(write, completion);
  }

  #storeLater(write: IncomingWrite, completion: Promise<void>): void {
    const held = this.#work.holdInput();
    write.pending += 1;
    this.#work.jobBegun();
    completion.then(
      () => this.#stored(write, held),
      (error: unknown) => {
        write.thrown ??= error;
        this.#stored(write, held);
      },
    );
  }

  /** The device has finished a piece, well or not. */
  #stored(write: IncomingWrite, held: Slab | undefined): void {
    write.pending -= 1;
    if (held !== undefined) this.#work.releaseInput(held);
    if (write.complete && write.pending === 0) this.#finishWrite(write);
    if (write.waiting) {
      write.waiting = false;
      this.#work.resume();
    }
    this.#work.jobDone();
  }

  #finishWrite(write: IncomingWrite): void {
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
    this.#write = undefined;
  }
}
