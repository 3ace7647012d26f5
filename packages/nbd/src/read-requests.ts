/**
 * ReadRequests: READ, from one sector to 64 MiB. Small reads go straight into the slab that leaves;
 * large ones are carried out in pieces, each a chunk of its own where the client can take chunks.
 *   R1  A reply's header is written only when its data is there: an error is never half a reply.
 *   R2  Bytes around an odd range are read, being whole blocks, but never sent.
 */
import type { BlockDevice, Completion } from '@palimpsest/block-device';
import {
  COMMAND_FLAG,
  LENGTH,
  NBD_ERROR,
  putDataChunk,
  type RequestHeader,
} from '@palimpsest/nbd-codec';
import { SHARE } from './budget.js';
import { type ClientWork, RANGE_TEXT } from './client-work.js';
import type { Replies } from './replies.js';
import { PIECE, type Slab } from './slabs.js';
import { turn } from './stream.js';

const { fua: FUA, df: DF } = COMMAND_FLAG;

/** See the header of this file. */
export class ReadRequests {
  readonly #work: ClientWork;
  readonly #device: BlockDevice;
  readonly #replies: Replies;

  constructor(work: ClientWork) {
    this.#work = work;
    this.#device = work.agreed.device;
    this.#replies = work.replies;
  }

  /** Carries out a READ, or refuses it. */
  read(request: RequestHeader, charge: number): void {
    const { offset, length } = request;
    const problem = this.#readProblem(request);
    if (problem !== 0) {
      this.#replies.refuse(request, charge, problem, RANGE_TEXT);
      return;
    }
    this.#work.bytesRead += length;
    if (length === 0) {
      this.#replies.succeedEmpty(request, charge);
      return;
    }
    const { blockSize } = this.#device;
    if (length > PIECE || !this.#work.gate.aligned(offset, length)) {
      const end = Math.ceil((offset + length) / blockSize) * blockSize;
      const start = Math.floor(offset / blockSize) * blockSize;
      if (end - start > PIECE) this.#work.job(this.#readLarge({ ...request }, charge));
      else this.#readRegion(request, charge, start, end - start);
      return;
    }
    this.#readRegion(request, charge, offset, length);
  }

  #readProblem(request: RequestHeader): number {
    const { flags, offset, length } = request;
    const known = this.#work.agreed.structured ? FUA | DF : FUA;
    if ((flags & ~known) !== 0) return NBD_ERROR.einval;
    if (offset + length > this.#work.agreed.size) return NBD_ERROR.einval;
    if (length > this.#work.limits.maxPayload) return NBD_ERROR.eoverflow;
    return 0;
  }

  /** Reads whole blocks, at most a piece, into a slab with room for the header before the data. */
  #readRegion(request: RequestHeader, charge: number, start: number, length: number): void {
    const total = this.#replies.readHeader + length;
    const slab = this.#replies.arena.reserve(total);
    const at = slab.used - total;
    const data = at + this.#replies.readHeader;
    let completion: Completion;
    try {
      completion = this.#device.readInto(slab.bytes.subarray(data, data + length), start);
    } catch (error) {
      this.#replies.arena.release(slab);
      this.#replies.fail(request, charge, error);
      return;
    }
    const skew = request.offset - start;
    if (completion === undefined) {
      this.#replies.read(request, charge, slab, at + skew);
      return;
    }
    this.#readLater(completion, { ...request }, charge, slab, at + skew);
  }

  #readLater(
    completion: Promise<void>,
    request: RequestHeader,
    charge: number,
    slab: Slab,
    at: number,
  ): void {
    this.#work.jobBegun();
    completion.then(
      () => {
        this.#replies.read(request, charge, slab, at);
        this.#work.jobDone();
      },
      (error: unknown) => {
        this.#replies.arena.release(slab);
        this.#replies.fail(request, charge, error);
        this.#work.jobDone();
      },
    );
  }

  async #readLarge(request: RequestHeader, charge: number): Promise<void> {
    const inPieces = this.#work.agreed.structured && (request.flags & DF) === 0;
    if (inPieces) await this.#readInPieces(request, charge);
    else await this.#readWhole(request, charge);
  }

  /** A chunk for every piece: memory stays small however long the read is. */
  async #readInPieces(request: RequestHeader, charge: number): Promise<void> {
    const { blockSize } = this.#device;
    const end = request.offset + request.length;
    for (let offset = request.offset; offset < end; ) {
      const next = Math.min(end, (Math.floor(offset / PIECE) + 1) * PIECE);
      const start = Math.floor(offset / blockSize) * blockSize;
      const stop = Math.ceil(next / blockSize) * blockSize;
      await this.#replies.outbox.below(SHARE);
      if (this.#work.closed) return;
      const total = LENGTH.dataChunk + stop - start;
      const slab = this.#replies.arena.reserve(total);
      const at = slab.used - total;
      const data = at + LENGTH.dataChunk;
      try {
        await this.#device.readInto(slab.bytes.subarray(data, data + stop - start), start);
      } catch (error) {
        this.#replies.arena.release(slab);
        this.#replies.fail({ ...request, offset }, charge, error);
        return;
      }
      const done = next === end;
      const head = at + offset - start;
      const { cookieHigh, cookieLow } = request;
      putDataChunk(slab.view, head, done, cookieHigh, cookieLow, offset, next - offset);
      const last = head + LENGTH.dataChunk + next - offset;
      this.#replies.outbox.append(slab, head, last, done ? 1 : 0, done ? charge : 0);
      offset = next;
      await turn();
    }
  }

  /** One reply for all of it: the header says that no error occurred, so all is read first. */
  async #readWhole(request: RequestHeader, charge: number): Promise<void> {
    const { blockSize } = this.#device;
    const { offset, length } = request;
    const start = Math.floor(offset / blockSize) * blockSize;
    const stop = Math.ceil((offset + length) / blockSize) * blockSize;
    const header = this.#replies.readHeader;
    const bytes = Buffer.alloc(header + stop - start);
    try {
      for (let position = start; position < stop && !this.#work.closed; position += PIECE) {
        const at = header + position - start;
        const count = Math.min(PIECE, stop - position);
        await this.#device.readInto(bytes.subarray(at, at + count), position);
        await turn();
      }
    } catch (error) {
      this.#replies.fail(request, charge, error);
      return;
    }
    const at = offset - start;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#replies.putRead(view, at, request);
    this.#replies.bytes(bytes.subarray(at, at + header + length), charge);
  }
}
