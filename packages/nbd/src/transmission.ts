/**
 * Transmission: the phase in which one client's requests are carried out. This is the hot path: what
 * comes from the stream at once holds many requests, each is parsed in place, read straight into the
 * slab that is sent, and all replies to them leave in one write. A request whose device answers at
 * once costs no promise and next to no allocation. Here requests are admitted, counted and ended;
 * ReadRequests, WriteRequests and RangeRequests carry them out, Replies answers them.
 *
 *       stream ─bytes→ Inbox → RequestDecoder ─admit→ device ─done→ Outbox ─one write→ stream
 *                                   ↑ stops when the limits are reached: not reading is the back-pressure
 *
 *   T1  Every admitted request is answered exactly once, with its own cookie, unless the stream
 *       is gone; its charge is given back when the answer has left.
 *   T2  After `onEnded` is called no request of this client touches the device any more.
 *   T3  What was answered before a FLUSH was asked for is durable before that FLUSH is answered;
 *       under FUA the change itself is.
 */
import type { Duplex } from 'node:stream';
import {
  COMMAND,
  COMMAND_FLAG,
  NBD_ERROR,
  ProtocolError,
  RequestDecoder,
  type RequestHeader,
} from '@palimpsest/nbd-codec';
import { MAX_STATUS_BYTES } from './block-status.js';
import { type Budget, SHARE } from './budget.js';
import type { Logger } from './catalog.js';
import type { Agreement, ClientWork } from './client-work.js';
import { type DeviceGate, gateOf } from './device-gate.js';
import type { Inbox } from './inbox.js';
import type { NbdLimits } from './limits.js';
import type { Outbox } from './outbox.js';
import { RangeRequests } from './range-requests.js';
import { ReadRequests } from './read-requests.js';
import { Replies } from './replies.js';
import { PIECE, type Slab, type SlabPool } from './slabs.js';
import { WriteRequests } from './write-requests.js';

/** What all sessions of a server share. */
export interface Shared {
  readonly limits: NbdLimits;
  readonly budget: Budget;
  readonly pool: SlabPool;
  readonly logger: Logger;
}

/** See the header of this file. */
export class Transmission implements ClientWork {
  readonly agreed: Agreement;
  readonly gate: DeviceGate;
  readonly limits: NbdLimits;
  readonly logger: Logger;
  readonly replies: Replies;
  bytesRead = 0;
  bytesWritten = 0;
  /** Requests admitted so far. */
  requests = 0;
  readonly #stream: Duplex;
  readonly #budget: Budget;
  readonly #outbox: Outbox;
  readonly #decoder: RequestDecoder;
  readonly #reads: ReadRequests;
  readonly #writes: WriteRequests;
  readonly #ranges: RangeRequests;
  readonly #onEnded: () => void;
  readonly #retry: () => void = () => this.#pump();
  readonly #inbox: Inbox;
  /** Chunks of a stream that does not read into the inbox. */
  #late: Buffer[] = [];
  /** What is being decoded lies in the inbox. */
  #inInbox = false;
  /** The limits are reached: nothing is read until something was given back. */
  #blocked = false;
  #pumping = false;
  #flushScheduled = false;
  /** Requests admitted and not yet answered, and the bytes they are charged with. */
  #open = 0;
  #held = 0;
  /** Requests the device is at work on. */
  #jobs = 0;
  /** No more requests are taken: disconnect, end of stream, or a violation. */
  #stopped = false;
  /** New requests are answered ESHUTDOWN. */
  #draining = false;
  #reason = '';
  #finishing = false;
  /** The peer is still sending; to hang up now would lose it its last replies. */
  #lingering = false;
  /** The stream is gone. */
  #closed = false;
  #ended = false;
  #received = 0;

  constructor(
    stream: Duplex,
    shared: Shared,
    agreed: Agreement,
    inbox: Inbox,
    onEnded: () => void,
  ) {
    const { limits, logger, pool, budget } = shared;
    this.#stream = stream;
    this.#onEnded = onEnded;
    this.agreed = agreed;
    this.gate = gateOf(agreed.device);
    this.limits = limits;
    this.logger = logger;
    this.#budget = budget;
    this.#inbox = inbox;
    const { structured } = agreed;
    const sent = (requests: number, charge: number) => this.#giveBack(requests, charge);
    this.replies = new Replies({ stream, pool, structured, logger, sent });
    this.#outbox = this.replies.outbox;
    this.#reads = new ReadRequests(this);
    this.#writes = new WriteRequests(this);
    this.#ranges = new RangeRequests(this);
    this.#decoder = new RequestDecoder(
      {
        admit: (request) => this.#admit(request),
        payload: (bytes, left) => this.#payload(bytes, left),
      },
      { piece: PIECE },
    );
  }

  get closed(): boolean {
    return this.#closed;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** The limits are reached: the stream is paused. */
  get blocked(): boolean {
    return this.#blocked;
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

  /** Takes a chunk from a stream that does not read into the inbox. It is not changed afterwards. */
  receive(chunk: Buffer): void {
    if (this.#stopped || this.#closed) return;
    this.#received += 1;
    this.#late.push(chunk);
    if (this.#blocked) this.#stream.pause();
    else this.#pump();
  }

  /** Bytes have come into the inbox. */
  arrived(): void {
    this.#received += 1;
    if (this.#stopped || this.#closed) {
      this.#discardInput();
      return;
    }
    const left = this.#late.shift();
    if (left !== undefined) this.#inbox.prepend(left);
    this.#pump();
  }

  /** Bytes that must lie side by side in the inbox for the next step. */
  get needed(): number {
    return this.#decoder.needed;
  }

  holdInput(): Slab | undefined {
    return this.#inInbox ? this.#inbox.hold() : undefined;
  }

  releaseInput(slab: Slab): void {
    this.#inbox.release(slab);
  }

  /** The peer will send nothing more; what it asked for is still answered. */
  endOfInput(): void {
    this.#stopped = true;
    this.#writes.abandon();
    this.#settle();
  }

  /** The stream is gone: no answer can leave any more. */
  streamClosed(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopped = true;
    this.#late = [];
    this.#outbox.dispose();
    this.#budget.forget(this.#retry);
    this.#writes.abandon();
    this.#settle();
  }

  /**
   * Answers ESHUTDOWN from now on, finishes what is under way, flushes, and ends the stream.
   * @param reason what clients that take words are told
   */
  drain(reason: string): void {
    this.#draining = true;
    this.#reason = reason;
    this.#settle();
  }

  // ---- taking requests

  #pump(): void {
    if (this.#pumping || this.#closed) return;
    this.#pumping = true;
    this.#blocked = false;
    try {
      this.#decodeAll();
    } catch (error) {
      this.#violation(error);
    }
    this.#pumping = false;
    if (this.#stopped) this.#discardInput();
    if (this.#inbox.crowded) this.#blocked = true;
    this.#inbox.tidy();
    this.#outbox.flush();
    if (this.#blocked) this.#stream.pause();
    else if (this.#stream.isPaused()) this.#stream.resume();
    if (this.#stopped || this.#draining) this.#settle();
  }

  /** Until nothing more can be decoded, or the limits are reached. */
  #decodeAll(): void {
    const inbox = this.#inbox;
    for (;;) {
      const late = this.#late[0];
      this.#inInbox = inbox.length > 0 || late === undefined;
      if (this.#inInbox) {
        if (late !== undefined) this.#moveLate(late);
        inbox.use(this.#decoder.push(inbox.bytes));
      } else if (late !== undefined) {
        const used = this.#decoder.push(late);
        const left = late.subarray(used);
        if (left.length > 0) this.#late[0] = left;
        else this.#late.shift();
        if (left.length > 0 && !this.#blocked && !this.#stopped) {
          if (inbox.isGiven) return; // until more has come
          this.#moveLate(left);
        }
      }
      if (this.#blocked || this.#stopped || this.#late.length === 0) return;
    }
  }

  /** Copies into the inbox what the next step needs of a chunk: it takes bytes side by side. */
  #moveLate(late: Buffer): void {
    const { needed } = this.#decoder;
    const count = Math.min(late.length, Math.max(0, needed - this.#inbox.length));
    if (count > 0) this.#inbox.append(late.subarray(0, count), needed);
    if (count < late.length) this.#late[0] = late.subarray(count);
    else this.#late.shift();
  }

  #discardInput(): void {
    this.#late = [];
    this.#inbox.use(this.#inbox.length);
  }

  #violation(error: unknown): void {
    this.#stopped = true;
    if (!(error instanceof ProtocolError)) {
      this.logger.error('a session failed', { error });
    } else {
      this.logger.warn('a client broke the protocol', { code: error.code });
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
    if (request.type === COMMAND.write) this.#writes.start(request, charge);
    else if (this.#draining) {
      this.replies.refuse(request, charge, NBD_ERROR.eshutdown, this.#reason);
    } else if (request.type === COMMAND.read) this.#reads.read(request, charge);
    else this.#ranges.take(request, charge);
    return !this.#stopped;
  }

  #payload(bytes: Uint8Array, left: number): boolean {
    if (this.#writes.payload(bytes, left)) return !this.#stopped;
    this.#blocked = true;
    return false;
  }

  /** Bytes of memory the request will hold; what is refused anyway is carried out for nothing. */
  #chargeOf(request: RequestHeader): number {
    const { type, length, flags } = request;
    if (type === COMMAND.write) return Math.min(length, SHARE);
    if (type === COMMAND.cache) return PIECE;
    if (type === COMMAND.blockStatus) return MAX_STATUS_BYTES;
    if (type !== COMMAND.read || length > this.limits.maxPayload) return 0;
    const inPieces = this.agreed.structured && (flags & COMMAND_FLAG.df) === 0;
    return inPieces ? Math.min(length, SHARE) : length;
  }

  #mayTake(charge: number): boolean {
    if (this.#open >= this.limits.maxRequests) return false;
    if (this.#held > 0 && this.#held + charge > this.limits.maxClientBytes) return false;
    if (this.#budget.take(charge, this.#held)) return true;
    this.#budget.wait(this.#retry);
    return false;
  }

  #giveBack(requests: number, charge: number): void {
    if (this.#closed) return;
    this.#open -= requests;
    this.#held -= charge;
    this.#budget.give(charge);
    if (this.#blocked) this.#pump();
    if (this.#stopped || this.#draining) this.#settle();
  }

  // ---- jobs and the end

  jobBegun(): void {
    this.#jobs += 1;
  }

  job(work: Promise<void>): void {
    this.#jobs += 1;
    work.catch((error: unknown) => this.#violation(error)).then(() => this.jobDone());
  }

  resume(): void {
    this.#pump();
  }

  stop(): void {
    this.#stopped = true;
    this.#lingering = true;
  }

  jobDone(): void {
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
      this.#budget.give(this.#held);
      this.#held = 0;
      this.#onEnded();
      return;
    }
    if (this.#finishing || this.#writes.receiving || this.#pumping) return;
    this.#outbox.flush();
    if (!this.#outbox.empty) return;
    this.#finishing = true;
    this.#stopped = true;
    this.job(this.#finish());
  }

  async #finish(): Promise<void> {
    if (this.#draining && !this.agreed.readOnly) {
      try {
        await this.gate.flush();
      } catch (error) {
        this.logger.error('the last flush of a session failed', { error });
      }
    }
    this.#stream.end(() => {
      if (!this.#lingering) this.#stream.destroy();
    });
    this.#stream.resume();
  }
}
