/**
 * Replies of the transmission phase, both directions. The writers put bytes where they are told,
 * because a server composes many replies in one buffer; the decoder is a client's.
 *   P1  A chunk's inner lengths are checked against its length before anything is taken.
 */
import { CHUNK, CHUNK_FLAG, LENGTH, MAGIC } from './constants.js';
import { ProtocolError } from './protocol-error.js';
import { concat, decodeText, encodeText, getUint64, setUint64, viewOf } from './wire.js';

/** Writes the 16 bytes of a simple reply at `position`. Data of a READ follows it. */
export function putSimpleReply(
  view: DataView,
  position: number,
  error: number,
  cookieHigh: number,
  cookieLow: number,
): void {
  view.setUint32(position, MAGIC.simpleReply);
  view.setUint32(position + 4, error);
  view.setUint32(position + 8, cookieHigh);
  view.setUint32(position + 12, cookieLow);
}

/** Writes the 20 bytes of a chunk's header at `position`; `length` counts what follows it. */
export function putChunk(
  view: DataView,
  position: number,
  flags: number,
  type: number,
  cookieHigh: number,
  cookieLow: number,
  length: number,
): void {
  view.setUint32(position, MAGIC.chunk);
  view.setUint16(position + 4, flags);
  view.setUint16(position + 6, type);
  view.setUint32(position + 8, cookieHigh);
  view.setUint32(position + 12, cookieLow);
  view.setUint32(position + 16, length);
}

/** Writes the 28 bytes that precede `length` bytes of data of `offset` in an OFFSET_DATA chunk. */
export function putDataChunk(
  view: DataView,
  position: number,
  done: boolean,
  cookieHigh: number,
  cookieLow: number,
  offset: number,
  length: number,
): void {
  const flags = done ? CHUNK_FLAG.done : 0;
  putChunk(view, position, flags, CHUNK.offsetData, cookieHigh, cookieLow, 8 + length);
  setUint64(view, position + LENGTH.chunk, offset);
}

/** The cookie of the request that is answered, as two halves of 32 bits. */
export interface Cookie {
  readonly cookieHigh: number;
  readonly cookieLow: number;
}

/** Encodes an OFFSET_HOLE chunk. */
export function encodeHoleChunk(
  cookie: Cookie,
  done: boolean,
  offset: number,
  length: number,
): Uint8Array {
  const body = new Uint8Array(12);
  setUint64(viewOf(body), 0, offset);
  viewOf(body).setUint32(8, length);
  return chunk(cookie, done, CHUNK.offsetHole, body);
}

/** Encodes a NONE chunk, which only ends a reply. */
export function encodeNoneChunk(cookie: Cookie): Uint8Array {
  return chunk(cookie, true, CHUNK.none, new Uint8Array(0));
}

/** Encodes the error chunk that ends a reply; with `offset` it says where the error is. */
export function encodeErrorChunk(
  cookie: Cookie,
  error: number,
  text: string,
  offset?: number,
): Uint8Array {
  const words = encodeText(text, LENGTH.string);
  const head = new Uint8Array(6);
  viewOf(head).setUint32(0, error);
  viewOf(head).setUint16(4, words.length);
  if (offset === undefined) return chunk(cookie, true, CHUNK.error, concat(head, words));
  const tail = new Uint8Array(8);
  setUint64(viewOf(tail), 0, offset);
  return chunk(cookie, true, CHUNK.errorOffset, concat(head, words, tail));
}

/** A run of bytes with one status, in a BLOCK_STATUS chunk. */
export interface StatusExtent {
  readonly length: number;
  readonly flags: number;
}

/** Encodes a BLOCK_STATUS chunk for one metadata context. */
export function encodeBlockStatusChunk(
  cookie: Cookie,
  done: boolean,
  contextId: number,
  extents: readonly StatusExtent[],
): Uint8Array {
  const body = new Uint8Array(4 + 8 * extents.length);
  const view = viewOf(body);
  view.setUint32(0, contextId);
  extents.forEach((extent, index) => {
    view.setUint32(4 + 8 * index, extent.length);
    view.setUint32(8 + 8 * index, extent.flags);
  });
  return chunk(cookie, done, CHUNK.blockStatus, body);
}

function chunk(cookie: Cookie, done: boolean, type: number, body: Uint8Array): Uint8Array {
  const head = new Uint8Array(LENGTH.chunk);
  const { cookieHigh, cookieLow } = cookie;
  const flags = done ? CHUNK_FLAG.done : 0;
  putChunk(viewOf(head), 0, flags, type, cookieHigh, cookieLow, body.length);
  return concat(head, body);
}

/** What a client learns from a reply. The payload of reads goes to the sink's own buffers. */
export type Reply = Cookie &
  (
    | { readonly kind: 'simple'; readonly error: number }
    | { readonly kind: 'none'; readonly done: boolean }
    | {
        readonly kind: 'data';
        readonly done: boolean;
        readonly offset: number;
        readonly length: number;
      }
    | {
        readonly kind: 'hole';
        readonly done: boolean;
        readonly offset: number;
        readonly length: number;
      }
    | {
        readonly kind: 'status';
        readonly done: boolean;
        readonly contextId: number;
        readonly extents: readonly StatusExtent[];
      }
    | {
        readonly kind: 'error';
        readonly done: boolean;
        readonly error: number;
        readonly text: string;
        readonly offset: number | undefined;
      }
  );

/** Who receives replies, and knows which requests are open. */
export interface ReplySink {
  /**
   * Where the payload of a reply goes: a buffer of exactly `length` bytes for a chunk of data at
   * `offset`; for a simple reply without error `offset` and `length` are undefined, and the buffer
   * has the length that the request of this cookie asked for (empty when it was no READ).
   * @throws {ProtocolError} ERR_VALUE when the cookie or the range was never asked for.
   */
  target(cookie: Cookie, offset: number | undefined, length: number | undefined): Uint8Array;
  /** A reply, or a chunk of one, is complete; its payload is in the buffer. */
  reply(reply: Reply): void;
}

/** Splits a stream of bytes into replies. */
export class ReplyDecoder {
  readonly #sink: ReplySink;
  readonly #maxBody: number;
  #need: number = LENGTH.simpleReply;
  #head = new Uint8Array(64);
  #held = 0;
  #target: Uint8Array | undefined;
  #filled = 0;
  #current: Reply | undefined;

  /** @param limits.maxBody bytes of a chunk other than data that are accepted @default 8 MiB + 4 */
  constructor(sink: ReplySink, limits: { maxBody?: number } = {}) {
    this.#sink = sink;
    this.#maxBody = limits.maxBody ?? (8 << 20) + 4;
  }

  /**
   * Decodes all of `bytes`.
   * @throws {ProtocolError} ERR_MAGIC, ERR_LENGTH, ERR_LIMIT, ERR_TEXT or ERR_VALUE when the server
   * broke the protocol; nothing that follows can be trusted then.
   */
  push(bytes: Uint8Array): void {
    let position = 0;
    while (position < bytes.length) {
      position += this.#target === undefined ? this.#takeHead(bytes, position) : 0;
      if (this.#target !== undefined) position += this.#takePayload(bytes, position);
    }
  }

  #takeHead(bytes: Uint8Array, position: number): number {
    if (this.#head.length < this.#need) {
      const larger = new Uint8Array(this.#need);
      larger.set(this.#head.subarray(0, this.#held));
      this.#head = larger;
    }
    const count = Math.min(this.#need - this.#held, bytes.length - position);
    this.#head.set(bytes.subarray(position, position + count), this.#held);
    this.#held += count;
    if (this.#held === this.#need) this.#understand(this.#head.subarray(0, this.#held));
    return count;
  }

  #takePayload(bytes: Uint8Array, position: number): number {
    const target = this.#target as Uint8Array;
    const count = Math.min(target.length - this.#filled, bytes.length - position);
    target.set(bytes.subarray(position, position + count), this.#filled);
    this.#filled += count;
    if (this.#filled === target.length) this.#finish(this.#current as Reply);
    return count;
  }

  #finish(reply: Reply): void {
    this.#target = undefined;
    this.#current = undefined;
    this.#filled = 0;
    this.#held = 0;
    this.#need = LENGTH.simpleReply;
    this.#sink.reply(reply);
  }

  #expectPayload(reply: Reply, target: Uint8Array): void {
    this.#current = reply;
    this.#target = target;
    this.#filled = 0;
    if (target.length === 0) this.#finish(reply);
  }

  /** Decides what the bytes so far are, and how many more they need. */
  #understand(head: Uint8Array): void {
    const view = viewOf(head);
    const magic = view.getUint32(0);
    const cookie = { cookieHigh: view.getUint32(8), cookieLow: view.getUint32(12) };
    if (magic === MAGIC.simpleReply) {
      const error = view.getUint32(4);
      const reply = { kind: 'simple', error, ...cookie } as const;
      const none = new Uint8Array(0);
      const target = error === 0 ? this.#sink.target(cookie, undefined, undefined) : none;
      this.#expectPayload(reply, target);
      return;
    }
    if (magic !== MAGIC.chunk) throw new ProtocolError('ERR_MAGIC', 'a reply has the wrong magic');
    if (head.length < LENGTH.chunk) {
      this.#need = LENGTH.chunk;
      return;
    }
    this.#chunk(head, view, cookie);
  }

  #chunk(head: Uint8Array, view: DataView, cookie: Cookie): void {
    const done = (view.getUint16(4) & CHUNK_FLAG.done) !== 0;
    const type = view.getUint16(6);
    const length = view.getUint32(16);
    if (type === CHUNK.offsetData) {
      if (length <= 8) throw new ProtocolError('ERR_LENGTH', `a data chunk of ${length} bytes`);
      if (head.length < LENGTH.dataChunk) {
        this.#need = LENGTH.dataChunk;
        return;
      }
      const offset = getUint64(view, LENGTH.chunk);
      const reply = { kind: 'data', done, offset, length: length - 8, ...cookie } as const;
      this.#expectPayload(reply, this.#sink.target(cookie, offset, length - 8));
      return;
    }
    if (length > this.#maxBody) throw new ProtocolError('ERR_LIMIT', `a chunk of ${length} bytes`);
    if (head.length < LENGTH.chunk + length) {
      this.#need = LENGTH.chunk + length;
      return;
    }
    this.#finish(decodeChunk(type, done, cookie, head.slice(LENGTH.chunk)));
  }
}

function decodeChunk(type: number, done: boolean, cookie: Cookie, body: Uint8Array): Reply {
  const view = viewOf(body);
  if (type === CHUNK.none) {
    expectLength(type, body, body.length === 0 && done);
    return { kind: 'none', done, ...cookie };
  }
  if (type === CHUNK.offsetHole) {
    expectLength(type, body, body.length === 12);
    const length = view.getUint32(8);
    return { kind: 'hole', done, offset: getUint64(view, 0), length, ...cookie };
  }
  if (type === CHUNK.blockStatus) {
    expectLength(type, body, body.length >= 12 && body.length % 8 === 4);
    const extents: StatusExtent[] = [];
    for (let position = 4; position < body.length; position += 8) {
      extents.push({ length: view.getUint32(position), flags: view.getUint32(position + 4) });
    }
    return { kind: 'status', done, contextId: view.getUint32(0), extents, ...cookie };
  }
  if (type < 0x8000) throw new ProtocolError('ERR_VALUE', `an unknown chunk of type ${type}`);
  expectLength(type, body, body.length >= 6);
  const end = 6 + view.getUint16(4);
  const tail = type === CHUNK.errorOffset ? 8 : 0;
  // Errors of unknown types carry what they like behind the text.
  const known = type === CHUNK.error || type === CHUNK.errorOffset;
  expectLength(type, body, known ? body.length === end + tail : body.length >= end);
  const error = view.getUint32(0);
  if (error === 0) throw new ProtocolError('ERR_VALUE', 'an error chunk without an error');
  const text = decodeText(body.subarray(6, end));
  const offset = tail === 0 ? undefined : getUint64(view, end);
  return { kind: 'error', done, error, text, offset, ...cookie };
}

function expectLength(type: number, body: Uint8Array, condition: boolean): void {
  if (!condition) {
    throw new ProtocolError('ERR_LENGTH', `a chunk of type ${type} with ${body.length} bytes`);
  }
}
