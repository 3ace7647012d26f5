/**
 * Transmission: the phase in which one client's requests are carried out. This is the hot path: a
 * chunk from the stream holds many requests, each is parsed in place, read straight into the slab
 * that is sent, and all replies of the chunk leave in one write. A request whose device answers at
 * once costs no promise and no object of its own but the views the device is handed.
 *
 *       stream ─chunk→ RequestDecoder ─admit→ device ─done→ Outbox ─one write→ stream
 *                            ↑ stops when the limits are reached: not reading is the back-pressure
 *
 *   T1  Every admitted request is answered exactly once, with its own cookie, unless the stream
 *       is gone; its charge is given back when the answer has left.
 *   T2  A reply's header is written only when its data is there: an error is never half a reply.
 *   T3  After `ended` resolves, no request of this client touches the device any more.
 *   T4  What was answered before a FLUSH was asked for is durable before that FLUSH is answered;
 *       under FUA the change itself is.
 */
import type { Duplex } from 'node:stream';
import type { BlockDevice, Completion } from '@palimpsest/block-device';
import {
  COMMAND,
  COMMAND_FLAG,
  type Cookie,
  encodeBlockStatusChunk,
  encodeErrorChunk,
  encodeNoneChunk,
  LENGTH,
  NBD_ERROR,
  ProtocolError,
  putDataChunk,
  putSimpleReply,
  RequestDecoder,
  type RequestHeader,
} from '@palimpsest/nbd-codec';
import { allocationStatus, MAX_STATUS_BYTES } from './block-status.js';
import { type Budget, SHARE } from './budget.js';
import type { Logger } from './catalog.js';
import { type DeviceGate, gateOf } from './device-gate.js';
import { refusalOf } from './error-table.js';
import { IncomingWrite } from './incoming-write.js';
import type { NbdLimits } from './limits.js';
import { Outbox } from './outbox.js';
import { Arena, PIECE, type Slab, type SlabPool } from './slabs.js';
import { turn } from './stream.js';

const { fua: FUA, noHole: NO_HOLE, df: DF, reqOne: REQ_ONE, fastZero: FAST_ZERO } = COMMAND_FLAG;
/** Bytes of one large change carried out at a time; between them the client may have left. */
const SLICE = 64 << 20;
/** Bytes a CACHE request reads ahead at most: more would only push out what it read first. */
const MAX_PREFETCH = 32 << 20;
const NOTHING = Buffer.alloc(0);

/** What a client agreed on in its handshake. */
export interface Agreement {
  readonly device: BlockDevice;
  readonly readOnly: boolean;
  /** Bytes, as told to the client. */
  readonly size: number;
  readonly structured: boolean;
  /** The id of `base:allocation` when it was chosen. */
  readonly allocationContext: number | undefined;
}

/** What all sessions of a server share. */
export interface Shared {
  readonly limits: NbdLimits;
  readonly budget: Budget;
  readonly pool: SlabPool;
  readonly logger: Logger;
}

/** See the header of this file. */
export class Transmission {
  readonly #stream: Duplex;
  readonly #shared: Shared;
  readonly #agreed: Agreement;
  readonly #device: BlockDevice;
  readonly #gate: DeviceGate;
  readonly #inbound: Arena;
  readonly #outbound: Arena;
  readonly #outbox: Outbox;
  readonly #decoder: RequestDecoder;
  readonly #onEnded: () => void;
  readonly #retry: () => void = () => this.#pump();
  readonly #readHeader: number;
  #backlog: Buffer[] = [];
  /** The limits are reached: nothing is read until something was given back. */
  #blocked = false;
  #pumping = false;
  #flushScheduled = false;
  /** Requests admitted and not yet answered, and the bytes they are charged with. */
  #open = 0;
  #held = 0;
  /** Requests the device is at work on. */
  #jobs = 0;
  #write: IncomingWrite | undefined;
  /** No more requests are taken: disconnect, end of stream, or a violation. */
  #stopped = false;
  /** New requests are answered ESHUTDOWN. */
  #draining = false;
  #finishing = false;
  /** The peer is still sending; to hang up now would lose it its last replies. */
  #lingering = false;
  /** The stream is gone. */
  #closed = false;
  #ended = false;
  #oddFlushSeen = false;
  #received = 0;
  requests = 0;
  bytesRead = 0;
  bytesWritten = 0;

  constructor(stream: Duplex, shared: Shared, agreed: Agreement, onEnded: () => void) {
    this.#stream = stream;
    this.#shared = shared;
    this.#agreed = agreed;
    this.#device = agreed.device;
    this.#gate = gateOf(agreed.device);
    this.#onEnded = onEnded;
    this.#inbound = new Arena(shared.pool);
    this.#outbound = new Arena(shared.pool);
    this.#outbox = new Outbox(stream, this.#outbound, (requests, charge) => {
      this.#giveBack(requests, charge);
    });
    this.#decoder = new RequestDecoder({
      admit: (request) => this.#admit(request),
      payload: (bytes, left) => this.#payload(bytes, left),
    });
    this.#readHeader = agreed.structured ? LENGTH.dataChunk : LENGTH.simpleReply;
  }

  /** Grows with every byte the peer sends as payload or takes as reply. */
  get progress(): number {
    return this.#outbox.progress + this.#received;
  }

  /** True when it is the peer's turn: to take replies, or to send the payload it promised. */
  get waitsForPeer(): boolean {
    if (this.#closed) return false;
    return (
      this.#finishing || this.#outbox.writing || (this.#decoder.payloadLeft > 0 && !this.#blocked)
    );
  }

  /** Takes bytes from the stream. */
  receive(chunk: Buffer): void {
    if (this.#stopped || this.#closed) return;
    this.#backlog.push(chunk);
    if (this.#blocked) this.#stream.pause();
    else this.#pump();
  }

  /** The peer will send nothing more; what it asked for is still answered. */
  endOfInput(): void {
    this.#stopped = true;
    this.#abandonWrite();
    this.#settle();
  }

  /** The stream is gone: no answer can leave any more. */
  closed(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopped = true;
    this.#backlog = [];
    this.#outbox.dispose();
    this.#shared.budget.forget(this.#retry);
    this.#abandonWrite();
    this.#settle();
  }

  /** Answers ESHUTDOWN from now on, finishes what is under way, flushes, and ends the stream. */
  drain(): void {
    this.#draining = true;
    this.#settle();
  }

  // ---- taking requests

  #pump(): void {
    if (this.#pumping || this.#closed) return;
    this.#pumping = true;
    this.#blocked = false;
    try {
      do {
        const chunk = this.#backlog[0] ?? NOTHING;
        const used = this.#decoder.push(chunk);
        if (this.#stopped) this.#backlog = [];
        else if (used < chunk.length) this.#backlog[0] = chunk.subarray(used);
        else this.#backlog.shift();
      } while (!this.#blocked && this.#backlog.length > 0);
    } catch (error) {
      this.#violation(error);
    }
    this.#pumping = false;
    this.#outbox.flush();
    if (this.#blocked) this.#stream.pause();
    else if (this.#stream.isPaused()) this.#stream.resume();
    if (this.#stopped || this.#draining) this.#settle();
  }

  #violation(error: unknown): void {
    this.#stopped = true;
    this.#backlog = [];
    if (!(error instanceof ProtocolError)) {
      this.#shared.logger.error('a session failed', { error });
    } else {
      this.#shared.logger.warn('a client broke the protocol', { code: error.code });
    }
    this.#stream.destroy();
  }

  /** Decides on a request whose header is complete; false leaves it for later. */
  #admit(request: RequestHeader): boolean {
    if (this.#stopped) return false;
    if (request.type === COMMAND.disconnect) {
      this.#stopped = true;
      return false;
    }
    const charge = this.#chargeOf(request);
    if (!this.#mayTake(charge)) {
      this.#blocked = true;
      return false;
    }
    this.#open += 1;
    this.#held += charge;
    this.requests += 1;
    if (request.type === COMMAND.write) this.#startWrite(request, charge);
    else if (this.#draining) this.#refuse(request, charge, NBD_ERROR.eshutdown, CLOSING_TEXT);
    else if (request.type === COMMAND.read) this.#read(request, charge);
    else this.#other(request, charge);
    return !this.#stopped;
  }

  /** Bytes of memory the request will hold; what is refused anyway is carried out for nothing. */
  #chargeOf(request: RequestHeader): number {
    const { type, length, flags } = request;
    if (type === COMMAND.write) return Math.min(length, SHARE);
    if (type === COMMAND.cache) return PIECE;
    if (type === COMMAND.blockStatus) return MAX_STATUS_BYTES;
    if (type !== COMMAND.read || length > this.#shared.limits.maxPayload) return 0;
    const inPieces = this.#agreed.structured && (flags & DF) === 0;
    return inPieces ? Math.min(length, SHARE) : length;
  }

  #mayTake(charge: number): boolean {
    const { limits, budget } = this.#shared;
    if (this.#open >= limits.maxRequests) return false;
    if (this.#held > 0 && this.#held + charge > limits.maxClientBytes) return false;
    if (budget.take(charge, this.#held)) return true;
    budget.wait(this.#retry);
    return false;
  }

  #giveBack(requests: number, charge: number): void {
    if (this.#closed) return;
    this.#open -= requests;
    this.#held -= charge;
    this.#shared.budget.give(charge);
    if (this.#blocked) this.#pump();
    if (this.#stopped || this.#draining) this.#settle();
  }

  // ---- READ

  #read(request: RequestHeader, charge: number): void {
    const { offset, length } = request;
    const problem = this.#readProblem(request);
    if (problem !== 0) {
      this.#refuse(request, charge, problem, RANGE_TEXT);
      return;
    }
    this.bytesRead += length;
    if (length === 0) {
      if (this.#agreed.structured) this.#sendBytes(encodeNoneChunk(request), charge);
      else this.#succeed(request.cookieHigh, request.cookieLow, charge);
      return;
    }
    const { blockSize } = this.#device;
    if (length > PIECE || !this.#gate.aligned(offset, length)) {
      const end = Math.ceil((offset + length) / blockSize) * blockSize;
      const start = Math.floor(offset / blockSize) * blockSize;
      if (end - start > PIECE) this.#job(this.#readLarge({ ...request }, charge));
      else this.#readRegion(request, charge, start, end - start);
      return;
    }
    this.#readRegion(request, charge, offset, length);
  }

  #readProblem(request: RequestHeader): number {
    const { flags, offset, length } = request;
    const known = this.#agreed.structured ? FUA | DF : FUA;
    if ((flags & ~known) !== 0) return NBD_ERROR.einval;
    if (offset + length > this.#agreed.size) return NBD_ERROR.einval;
    if (length > this.#shared.limits.maxPayload) return NBD_ERROR.eoverflow;
    return 0;
  }

  /** Reads whole blocks, at most a piece, into a slab with room for the header before the data. */
  #readRegion(request: RequestHeader, charge: number, start: number, length: number): void {
    const total = this.#readHeader + length;
    const slab = this.#outbound.reserve(total);
    const at = slab.used - total;
    const data = at + this.#readHeader;
    let completion: Completion;
    try {
      completion = this.#device.readInto(slab.bytes.subarray(data, data + length), start);
    } catch (error) {
      this.#outbound.release(slab);
      this.#fail(request, charge, error);
      return;
    }
    const skew = request.offset - start;
    if (completion === undefined) {
      this.#sendRead(request, charge, slab, at + skew);
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
    this.#jobs += 1;
    completion.then(
      () => {
        this.#sendRead(request, charge, slab, at);
        this.#jobDone();
      },
      (error: unknown) => {
        this.#outbound.release(slab);
        this.#fail(request, charge, error);
        this.#jobDone();
      },
    );
  }

  #sendRead(request: RequestHeader, charge: number, slab: Slab, at: number): void {
    const { cookieHigh, cookieLow, offset, length } = request;
    if (this.#agreed.structured) {
      putDataChunk(slab.view, at, true, cookieHigh, cookieLow, offset, length);
    } else {
      putSimpleReply(slab.view, at, 0, cookieHigh, cookieLow);
    }
    this.#outbox.append(slab, at, at + this.#readHeader + length, 1, charge);
  }

  async #readLarge(request: RequestHeader, charge: number): Promise<void> {
    const inPieces = this.#agreed.structured && (request.flags & DF) === 0;
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
      await this.#outbox.below(SHARE);
      if (this.#closed) return;
      const total = LENGTH.dataChunk + stop - start;
      const slab = this.#outbound.reserve(total);
      const at = slab.used - total;
      const data = at + LENGTH.dataChunk;
      try {
        await this.#device.readInto(slab.bytes.subarray(data, data + stop - start), start);
      } catch (error) {
        this.#outbound.release(slab);
        this.#fail({ ...request, offset }, charge, error);
        return;
      }
      const done = next === end;
      const head = at + offset - start;
      const { cookieHigh, cookieLow } = request;
      putDataChunk(slab.view, head, done, cookieHigh, cookieLow, offset, next - offset);
      const last = head + LENGTH.dataChunk + next - offset;
      this.#outbox.append(slab, head, last, done ? 1 : 0, done ? charge : 0);
      offset = next;
      await turn();
    }
  }

  /** One reply for all of it: the header says that no error occurred, so all is read first. */
  async #readWhole(request: RequestHeader, charge: number): Promise<void> {
    const { blockSize } = this.#device;
    const { cookieHigh, cookieLow, offset, length } = request;
    const start = Math.floor(offset / blockSize) * blockSize;
    const stop = Math.ceil((offset + length) / blockSize) * blockSize;
    const header = this.#readHeader;
    const bytes = Buffer.alloc(header + stop - start);
    try {
      for (let position = start; position < stop && !this.#closed; position += PIECE) {
        const at = header + position - start;
        const count = Math.min(PIECE, stop - position);
        await this.#device.readInto(bytes.subarray(at, at + count), position);
        await turn();
      }
    } catch (error) {
      this.#fail(request, charge, error);
      return;
    }
    const at = offset - start;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    if (this.#agreed.structured) {
      putDataChunk(view, at, true, cookieHigh, cookieLow, offset, length);
    } else {
      putSimpleReply(view, at, 0, cookieHigh, cookieLow);
    }
    this.#sendBytes(bytes.subarray(at, at + header + length), charge);
  }

  // ---- WRITE

  #startWrite(request: RequestHeader, charge: number): void {
    const { flags, offset, length } = request;
    const { limits } = this.#shared;
    if (length > limits.maxPayload) {
      // Reading all of it to stay in step would be a favour nobody asked for.
      this.#refuse(request, charge, NBD_ERROR.einval, 'the payload is too long');
      this.#stopped = true;
      this.#lingering = true;
      return;
    }
    let error = 0;
    if (this.#draining) error = NBD_ERROR.eshutdown;
    else if ((flags & ~FUA) !== 0) error = NBD_ERROR.einval;
    else if (this.#agreed.readOnly) error = NBD_ERROR.eperm;
    else if (offset + length > this.#agreed.size) error = NBD_ERROR.enospc;
    if (length === 0) {
      if (error !== 0) this.#refuse(request, charge, error, REFUSED_TEXT);
      else this.#succeed(request.cookieHigh, request.cookieLow, charge);
      return;
    }
    if (error === 0) this.bytesWritten += length;
    this.#write = new IncomingWrite(request, charge, error);
  }

  /** Payload of the write that is coming in. False when the device is behind. */
  #payload(bytes: Uint8Array, left: number): boolean {
    const write = this.#write as IncomingWrite;
    this.#received += 1;
    if (left === 0 && bytes.length === write.length && write.error === 0) {
      // The usual case: all of it in one chunk, which the device may read where it is.
      this.#write = undefined;
      this.#store(write, bytes, undefined);
      return !this.#stopped;
    }
    if (write.error === 0)
      write.take(bytes, this.#inbound, (piece, slab) => {
        this.#store(write, piece, slab);
      });
    if (left === 0) {
      this.#write = undefined;
      write.complete = true;
      if (write.pending === 0) this.#finishWrite(write);
    } else if (write.pending >= MAX_PIECES) {
      write.waiting = true;
      this.#blocked = true;
      return false;
    }
    return !this.#stopped;
  }

  /** Hands a piece of a write (all of it, mostly) to the device. */
  #store(write: IncomingWrite, piece: Uint8Array, slab: Slab | undefined): void {
    const whole = piece.length === write.length;
    let completion: Completion;
    try {
      completion = this.#gate.write(piece, write.offset + write.stored);
    } catch (error) {
      write.fail(error);
    }
    write.stored += piece.length;
    if (completion === undefined) {
      if (slab !== undefined) this.#inbound.release(slab);
      if (whole && slab === undefined) this.#finishWrite(write);
      return;
    }
    if (whole && slab === undefined) write.complete = true;
    write.pending += 1;
    this.#jobs += 1;
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
    if (slab !== undefined) this.#inbound.release(slab);
    if (write.complete && write.pending === 0) this.#finishWrite(write);
    if (write.waiting) {
      write.waiting = false;
      this.#pump();
    }
    this.#jobDone();
  }

  #finishWrite(write: IncomingWrite): void {
    write.abandon(this.#inbound);
    if (write.error !== 0) {
      this.#refuse(write, write.charge, write.error, REFUSED_TEXT);
      return;
    }
    if (write.thrown !== undefined) {
      this.#fail(write, write.charge, write.thrown);
      return;
    }
    if ((write.flags & FUA) !== 0) this.#flushThenSucceed(write, write.charge);
    else this.#succeed(write.cookieHigh, write.cookieLow, write.charge);
  }

  /** The rest of a payload will never come. */
  #abandonWrite(): void {
    const write = this.#write;
    if (write === undefined) return;
    this.#write = undefined;
    write.abandon(this.#inbound);
    // T1 ends here: there is nobody to answer. The charge goes back with the session.
  }

  // ---- everything else

  #other(request: RequestHeader, charge: number): void {
    const { type } = request;
    const problem = this.#otherProblem(request);
    if (problem !== 0) {
      this.#refuse(request, charge, problem, REFUSED_TEXT);
      return;
    }
    if (type === COMMAND.flush) {
      if ((request.offset !== 0 || request.length !== 0) && !this.#oddFlushSeen) {
        this.#oddFlushSeen = true;
        this.#shared.logger.info('a client sends FLUSH with an offset or a length');
      }
      this.#flushThenSucceed(request, charge);
      return;
    }
    const copy = { ...request };
    if (type === COMMAND.blockStatus) this.#job(this.#blockStatus(copy, charge));
    else if (request.length === 0) this.#succeed(copy.cookieHigh, copy.cookieLow, charge);
    else if (type === COMMAND.cache) this.#job(this.#prefetch(copy, charge));
    else this.#job(this.#changeRange(copy, charge));
  }

  #otherProblem(request: RequestHeader): number {
    const { type, flags, offset, length } = request;
    const known = KNOWN_FLAGS[type];
    if (known === undefined || (flags & ~known) !== 0) return NBD_ERROR.einval;
    if (type === COMMAND.flush) return 0;
    const changes = type === COMMAND.trim || type === COMMAND.writeZeroes;
    if (changes && this.#agreed.readOnly) return NBD_ERROR.eperm;
    if (offset + length > this.#agreed.size) {
      return type === COMMAND.writeZeroes ? NBD_ERROR.enospc : NBD_ERROR.einval;
    }
    if (type !== COMMAND.blockStatus) return 0;
    // An answer must have at least one extent, which an empty range cannot give.
    const answerable = this.#agreed.allocationContext !== undefined && length > 0;
    return answerable ? 0 : NBD_ERROR.einval;
  }

  /** TRIM and WRITE_ZEROES, in slices. */
  async #changeRange(request: RequestHeader, charge: number): Promise<void> {
    const { type, flags, offset, length } = request;
    const options = { allocate: (flags & NO_HOLE) !== 0, fast: (flags & FAST_ZERO) !== 0 };
    try {
      for (let done = 0; done < length && !this.#closed; ) {
        const position = offset + done;
        // Slices end on multiples of SLICE, so only the ends of the request can be odd.
        const count = Math.min(length - done, SLICE - (position % SLICE));
        if (type === COMMAND.trim) await this.#gate.discard(position, count);
        else await this.#gate.zero(position, count, options);
        done += count;
        if (done < length) await turn();
      }
    } catch (error) {
      this.#fail(request, charge, error);
      return;
    }
    if ((flags & FUA) !== 0) this.#flushThenSucceed(request, charge);
    else this.#succeed(request.cookieHigh, request.cookieLow, charge);
  }

  /** CACHE: reads the range for the sake of the caches beneath. */
  async #prefetch(request: RequestHeader, charge: number): Promise<void> {
    const { blockSize } = this.#device;
    const start = Math.floor(request.offset / blockSize) * blockSize;
    const end = request.offset + Math.min(request.length, MAX_PREFETCH);
    const stop = Math.ceil(end / blockSize) * blockSize;
    const slab = this.#inbound.reserve(PIECE);
    const at = slab.used - PIECE;
    try {
      for (let position = start; position < stop && !this.#closed; position += PIECE) {
        const count = Math.min(PIECE, stop - position);
        await this.#device.readInto(slab.bytes.subarray(at, at + count), position);
        await turn();
      }
    } catch (error) {
      this.#inbound.release(slab);
      this.#fail(request, charge, error);
      return;
    }
    this.#inbound.release(slab);
    this.#succeed(request.cookieHigh, request.cookieLow, charge);
  }

  async #blockStatus(request: RequestHeader, charge: number): Promise<void> {
    const { offset, length, flags } = request;
    const range = { offset, length, one: (flags & REQ_ONE) !== 0 };
    try {
      const extents = await allocationStatus(this.#device, range, () => this.#closed);
      const context = this.#agreed.allocationContext ?? 0;
      this.#sendBytes(encodeBlockStatusChunk(request, true, context, extents), charge);
    } catch (error) {
      this.#fail(request, charge, error);
    }
  }

  #flushThenSucceed(request: Cookie, charge: number): void {
    const { cookieHigh, cookieLow } = request;
    let completion: Completion;
    try {
      completion = this.#gate.flush();
    } catch (error) {
      this.#fail({ cookieHigh, cookieLow }, charge, error);
      return;
    }
    if (completion === undefined) {
      this.#succeed(cookieHigh, cookieLow, charge);
      return;
    }
    this.#job(
      completion.then(
        () => this.#succeed(cookieHigh, cookieLow, charge),
        (error: unknown) => this.#fail({ cookieHigh, cookieLow }, charge, error),
      ),
    );
  }

  // ---- answers

  /** The 16 bytes that say "done". With structured replies too: only READ must use those. */
  #succeed(cookieHigh: number, cookieLow: number, charge: number): void {
    const slab = this.#outbound.reserve(LENGTH.simpleReply);
    const at = slab.used - LENGTH.simpleReply;
    putSimpleReply(slab.view, at, 0, cookieHigh, cookieLow);
    this.#outbox.append(slab, at, slab.used, 1, charge);
  }

  /** Answers what the device threw. Reads say where, when the medium is at fault. */
  #fail(
    request: Cookie & { type?: number; offset?: number },
    charge: number,
    thrown: unknown,
  ): void {
    const { error, text, medium } = refusalOf(thrown);
    if (medium) this.#shared.logger.error('a request failed', { error: thrown });
    const where = medium && request.type === COMMAND.read ? request.offset : undefined;
    this.#refuse(request, charge, error, text, where);
  }

  #refuse(request: Cookie, charge: number, error: number, text: string, offset?: number): void {
    const { cookieHigh, cookieLow } = request;
    if (this.#agreed.structured) {
      this.#sendBytes(encodeErrorChunk({ cookieHigh, cookieLow }, error, text, offset), charge);
      return;
    }
    const slab = this.#outbound.reserve(LENGTH.simpleReply);
    const at = slab.used - LENGTH.simpleReply;
    putSimpleReply(slab.view, at, error, cookieHigh, cookieLow);
    this.#outbox.append(slab, at, slab.used, 1, charge);
  }

  #sendBytes(bytes: Uint8Array, charge: number): void {
    this.#outbox.appendBytes(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), 1, charge);
  }

  // ---- jobs and the end

  /** Keeps count of work that goes on after the call; `work` settles everything itself. */
  #job(work: Promise<void>): void {
    this.#jobs += 1;
    work.catch((error: unknown) => this.#violation(error)).then(() => this.#jobDone());
  }

  #jobDone(): void {
    this.#jobs -= 1;
    // Many answers often become ready in one turn of the event loop: they leave together.
    if (this.#jobs === 0) this.#outbox.flush();
    else this.#scheduleFlush();
    if (this.#stopped || this.#draining) this.#settle();
  }

  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    setImmediate(() => {
      this.#flushScheduled = false;
      this.#outbox.flush();
    });
  }

  /** Ends what can be ended: the session when nothing is under way, the stream before that. */
  #settle(): void {
    if (this.#ended || this.#jobs > 0) return;
    if (this.#closed) {
      this.#ended = true;
      this.#shared.budget.give(this.#held);
      this.#held = 0;
      this.#onEnded();
      return;
    }
    if (this.#finishing || this.#write !== undefined || this.#pumping) return;
    this.#outbox.flush();
    if (!this.#outbox.empty) return;
    this.#finishing = true;
    this.#stopped = true;
    this.#job(this.#finish());
  }

  async #finish(): Promise<void> {
    if (this.#draining && !this.#agreed.readOnly) {
      try {
        await this.#gate.flush();
      } catch (error) {
        this.#shared.logger.error('the last flush of a session failed', { error });
      }
    }
    this.#stream.end(() => {
      if (!this.#lingering) this.#stream.destroy();
    });
    this.#stream.resume();
  }
}

/** Pieces of one large write that the device may be behind. */
const MAX_PIECES = SHARE / PIECE;
const RANGE_TEXT = 'the range or a flag is not valid';
const CLOSING_TEXT = 'the export is being closed';
const REFUSED_TEXT = 'the request is not valid here';

/** The flags each command may carry; the protocol allows FUA on all. */
const KNOWN_FLAGS: Readonly<Record<number, number>> = {
  [COMMAND.flush]: FUA,
  [COMMAND.trim]: FUA,
  [COMMAND.cache]: FUA,
  [COMMAND.writeZeroes]: FUA | NO_HOLE | FAST_ZERO,
  [COMMAND.blockStatus]: FUA | REQ_ONE,
};
