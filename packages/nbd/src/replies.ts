/**
 * Replies: how each outcome of a request looks on the wire, laid into the client's slabs.
 *   P1  An answer is appended whole: no header leaves before its data is there.
 *   P2  Each answer carries the charge of its request, which is given back when it has left.
 */
import type { Duplex } from 'node:stream';
import {
  COMMAND,
  type Cookie,
  encodeErrorChunk,
  encodeNoneChunk,
  LENGTH,
  putDataChunk,
  putSimpleReply,
  type RequestHeader,
} from '@palimpsest/nbd-codec';
import type { Logger } from './catalog.js';
import { refusalOf } from './error-table.js';
import { Outbox, type Sent } from './outbox.js';
import { Arena, type Slab, type SlabPool } from './slabs.js';

/** What a client agreed to and where its answers go. */
export interface RepliesOptions {
  readonly stream: Duplex;
  readonly pool: SlabPool;
  readonly structured: boolean;
  readonly logger: Logger;
  readonly sent: Sent;
}

/** See the header of this file. */
export class Replies {
  readonly arena: Arena;
  readonly outbox: Outbox;
  /** Bytes before the data of a READ. */
  readonly readHeader: number;
  readonly #structured: boolean;
  readonly #logger: Logger;

  constructor({ stream, pool, structured, logger, sent }: RepliesOptions) {
    this.arena = new Arena(pool);
    this.outbox = new Outbox(stream, this.arena, sent);
    this.readHeader = structured ? LENGTH.dataChunk : LENGTH.simpleReply;
    this.#structured = structured;
    this.#logger = logger;
  }

  /** The 16 bytes that say "done". With structured replies too: only READ must use those. */
  succeed(cookieHigh: number, cookieLow: number, charge: number): void {
    this.#simple(0, cookieHigh, cookieLow, charge);
  }

  /** The answer to an empty READ. */
  succeedEmpty(request: Cookie, charge: number): void {
    if (this.#structured) this.bytes(encodeNoneChunk(request), charge);
    else this.succeed(request.cookieHigh, request.cookieLow, charge);
  }

  /** Puts the header of a READ's answer at `position`; its data follows there. */
  putRead(view: DataView, position: number, request: RequestHeader): void {
    const { cookieHigh, cookieLow, offset, length } = request;
    if (this.#structured) putDataChunk(view, position, true, cookieHigh, cookieLow, offset, length);
    else putSimpleReply(view, position, 0, cookieHigh, cookieLow);
  }

  /** Appends the answer to a READ whose data is in `slab`, behind room for the header at `at`. */
  read(request: RequestHeader, charge: number, slab: Slab, at: number): void {
    this.putRead(slab.view, at, request);
    this.outbox.append(slab, at, at + this.readHeader + request.length, 1, charge);
  }

  /** Answers what the device threw. Reads say where, when the medium is at fault. */
  fail(
    request: Cookie & { readonly type?: number; readonly offset?: number },
    charge: number,
    thrown: unknown,
  ): void {
    const { error, text, medium } = refusalOf(thrown);
    if (medium) this.#logger.error('a request failed', { error: thrown });
    const where = medium && request.type === COMMAND.read ? request.offset : undefined;
    this.refuse(request, charge, error, text, where);
  }

  /** Answers an error of the protocol, with words where the client can take them. */
  refuse(request: Cookie, charge: number, error: number, text: string, offset?: number): void {
    const { cookieHigh, cookieLow } = request;
    if (!this.#structured) this.#simple(error, cookieHigh, cookieLow, charge);
    else this.bytes(encodeErrorChunk({ cookieHigh, cookieLow }, error, text, offset), charge);
  }

  /** Appends a whole answer that was made elsewhere. */
  bytes(bytes: Uint8Array, charge: number): void {
    this.outbox.appendBytes(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), 1, charge);
  }

  #simple(error: number, cookieHigh: number, cookieLow: number, charge: number): void {
    const slab = this.arena.reserve(LENGTH.simpleReply);
    const at = slab.used - LENGTH.simpleReply;
    putSimpleReply(slab.view, at, error, cookieHigh, cookieLow);
    this.outbox.append(slab, at, slab.used, 1, charge);
  }
}
