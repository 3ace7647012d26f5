/**
 * RangeRequests: the commands without payload either way: FLUSH, TRIM, WRITE_ZEROES, CACHE,
 * BLOCK_STATUS. Ranges may be 4 GiB long, so they are gone through in slices, between which other
 * clients get their turn and a client that has left is noticed.
 */
import type { BlockDevice } from '@palimpsest/block-device';
import {
  COMMAND,
  COMMAND_FLAG,
  encodeBlockStatusChunk,
  NBD_ERROR,
  type RequestHeader,
} from '@palimpsest/nbd-codec';
import { extentsAllowed, rangeStatus } from './block-status.js';
import { type ClientWork, flushThenSucceed, isFua, REFUSED_TEXT } from './client-work.js';
import type { Replies } from './replies.js';
import { PIECE } from './slabs.js';
import { turn } from './stream.js';

const { fua: FUA, noHole: NO_HOLE, reqOne: REQ_ONE, fastZero: FAST_ZERO } = COMMAND_FLAG;
/** Bytes of one large change carried out at a time; between them the client may have left. */
const SLICE = 1 << 30;
/** Bytes a CACHE request reads ahead at most: more would only push out what it read first. */
const MAX_PREFETCH = 32 << 20;

/** The flags each command may carry; the protocol allows FUA on all. */
const KNOWN_FLAGS: Readonly<Record<number, number>> = {
  [COMMAND.flush]: FUA,
  [COMMAND.trim]: FUA,
  [COMMAND.cache]: FUA,
  [COMMAND.writeZeroes]: FUA | NO_HOLE | FAST_ZERO,
  [COMMAND.blockStatus]: FUA | REQ_ONE,
};

/** See the header of this file. */
export class RangeRequests {
  readonly #work: ClientWork;
  readonly #device: BlockDevice;
  readonly #replies: Replies;
  #oddFlushSeen = false;

  constructor(work: ClientWork) {
    this.#work = work;
    this.#device = work.agreed.device;
    this.#replies = work.replies;
  }

  /** Carries out a request without payload either way, or refuses it. */
  take(request: RequestHeader, charge: number): void {
    const { type } = request;
    const problem = this.#problem(request);
    if (problem !== 0) {
      this.#replies.refuse(request, charge, problem, REFUSED_TEXT);
      return;
    }
    if (type === COMMAND.flush) {
      if ((request.offset !== 0 || request.length !== 0) && !this.#oddFlushSeen) {
        this.#oddFlushSeen = true;
        this.#work.logger.info('a client sends FLUSH with an offset or a length');
      }
      flushThenSucceed(this.#work, request, charge);
      return;
    }
    const copy = { ...request };
    if (type === COMMAND.blockStatus) this.#work.job(this.#blockStatus(copy, charge));
    else if (request.length === 0) this.#replies.succeed(copy.cookieHigh, copy.cookieLow, charge);
    else if (type === COMMAND.cache) this.#work.job(this.#prefetch(copy, charge));
    else this.#work.job(this.#changeRange(copy, charge));
  }

  #problem(request: RequestHeader): number {
    const { type, flags, offset, length } = request;
    const known = KNOWN_FLAGS[type];
    if (known === undefined || (flags & ~known) !== 0) return NBD_ERROR.einval;
    if (type === COMMAND.flush) return 0;
    const changes = type === COMMAND.trim || type === COMMAND.writeZeroes;
    if (changes && this.#work.agreed.readOnly) return NBD_ERROR.eperm;
    if (offset + length > this.#work.agreed.size) {
      return type === COMMAND.writeZeroes ? NBD_ERROR.enospc : NBD_ERROR.einval;
    }
    if (type !== COMMAND.blockStatus) return 0;
    // An answer must have at least one extent, which an empty range cannot give.
    const answerable = this.#work.agreed.contexts.length > 0 && length > 0;
    return answerable ? 0 : NBD_ERROR.einval;
  }

  /** TRIM and WRITE_ZEROES, in slices. */
  async #changeRange(request: RequestHeader, charge: number): Promise<void> {
    const { type, flags, offset, length } = request;
    const options = { allocate: (flags & NO_HOLE) !== 0, fast: (flags & FAST_ZERO) !== 0 };
    try {
      for (let done = 0; done < length && !this.#work.closed; ) {
        const position = offset + done;
        // Slices end on multiples of SLICE, so only the ends of the request can be odd.
        const count = Math.min(length - done, SLICE - (position % SLICE));
        if (type === COMMAND.trim) await this.#work.gate.discard(position, count);
        else await this.#work.gate.zero(position, count, options);
        done += count;
        if (done < length) await turn();
      }
    } catch (error) {
      this.#replies.fail(request, charge, error);
      return;
    }
    if (isFua(flags)) flushThenSucceed(this.#work, request, charge);
    else this.#replies.succeed(request.cookieHigh, request.cookieLow, charge);
  }

  /** CACHE: reads the range for the sake of the caches beneath. */
  async #prefetch(request: RequestHeader, charge: number): Promise<void> {
    const { blockSize } = this.#device;
    const start = Math.floor(request.offset / blockSize) * blockSize;
    const end = request.offset + Math.min(request.length, MAX_PREFETCH);
    const stop = Math.ceil(end / blockSize) * blockSize;
    const slab = this.#replies.arena.reserve(PIECE);
    const at = slab.used - PIECE;
    try {
      for (let position = start; position < stop && !this.#work.closed; position += PIECE) {
        const count = Math.min(PIECE, stop - position);
        await this.#device.readInto(slab.bytes.subarray(at, at + count), position);
        await turn();
      }
    } catch (error) {
      this.#replies.arena.release(slab);
      this.#replies.fail(request, charge, error);
      return;
    }
    this.#replies.arena.release(slab);
    this.#replies.succeed(request.cookieHigh, request.cookieLow, charge);
  }

  async #blockStatus(request: RequestHeader, charge: number): Promise<void> {
    const { offset, length, flags } = request;
    const { contexts } = this.#work.agreed;
    const { blockSize } = this.#device;
    const maxExtents = extentsAllowed(contexts.length, (flags & REQ_ONE) !== 0);
    const range = { offset, length, blockSize, maxExtents };
    const chunks: Uint8Array[] = [];
    try {
      for (const { id, context } of contexts) {
        const extents = await rangeStatus(context, range, () => this.#work.closed);
        if (this.#work.closed) break;
        const last = chunks.length === contexts.length - 1;
        chunks.push(encodeBlockStatusChunk(request, last, id, extents));
      }
      // Nothing leaves before all is known: errors never follow half an answer.
      this.#replies.bytes(Buffer.concat(chunks), charge);
    } catch (error) {
      this.#replies.fail(request, charge, error);
    }
  }
}
