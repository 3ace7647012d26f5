/**
 * Requests of the transmission phase, both directions. The decoder is on the server's hot path: it
 * reads straight from the bytes that arrived, fills one header object again and again, and hands
 * payload on as views of them. It keeps no bytes: who calls it keeps those that were not used.
 *   R1  `payload` is called until exactly `length` bytes of a WRITE have been passed on: all of them
 *       at once when they are at most a piece, else in pieces that end on multiples of a piece on the
 *       device, so that only the ends of the request can be odd.
 *   R2  A request that was not admitted is offered again, unchanged, by the next push.
 *   R3  What was not used is the start of a header or of a piece, or waits for the sink.
 */
import { COMMAND, LENGTH, MAGIC } from './constants.js';
import { ProtocolError } from './protocol-error.js';
import { getUint64, setUint64, viewOf } from './wire.js';

/** The header of a request. */
export interface RequestHeader {
  flags: number;
  type: number;
  /** The cookie, opaque, as two halves of 32 bits. */
  cookieHigh: number;
  cookieLow: number;
  /** Bytes; inexact above 2^53, where no export reaches. */
  offset: number;
  /** Bytes. */
  length: number;
}

/** Encodes the header of a request; the payload of a WRITE follows it. */
export function encodeRequest(request: RequestHeader): Uint8Array {
  const bytes = new Uint8Array(LENGTH.request);
  const view = viewOf(bytes);
  view.setUint32(0, MAGIC.request);
  view.setUint16(4, request.flags);
  view.setUint16(6, request.type);
  view.setUint32(8, request.cookieHigh);
  view.setUint32(12, request.cookieLow);
  setUint64(view, 16, request.offset);
  view.setUint32(24, request.length);
  return bytes;
}

/** Who receives what the decoder finds. */
export interface RequestSink {
  /**
   * A header is complete. The object is reused: copy what must outlive the call. Answer false to
   * stop here and be offered the same header by the next push (R2).
   */
  admit(request: RequestHeader): boolean;
  /**
   * A piece of the payload of the WRITE admitted last: a view of the pushed bytes. `left` bytes are
   * still to come. Answer false to stop behind these bytes.
   */
  payload(bytes: Uint8Array, left: number): boolean;
}

/** Splits a stream of bytes into requests. */
export class RequestDecoder {
  readonly #sink: RequestSink;
  readonly #piece: number;
  readonly #header: RequestHeader = {
    flags: 0,
    type: 0,
    cookieHigh: 0,
    cookieLow: 0,
    offset: 0,
    length: 0,
  };
  #payloadLeft = 0;

  /** @param options.piece bytes of payload that are passed on at once, at most */
  constructor(sink: RequestSink, { piece }: { readonly piece: number }) {
    this.#sink = sink;
    this.#piece = piece;
  }

  /** Bytes of payload that the present WRITE still lacks. 0 between two requests. */
  get payloadLeft(): number {
    return this.#payloadLeft;
  }

  /** Bytes that must lie side by side for the next step: a header, or a piece of payload. */
  get needed(): number {
    return this.#payloadLeft > 0 ? this.#pieceLength() : LENGTH.request;
  }

  /**
   * Decodes `bytes` as far as they go, or until the sink says stop. Returns how many were used; the
   * rest is to be pushed again, with what came after it (R3).
   * @throws {ProtocolError} ERR_MAGIC when a request does not start with its magic.
   */
  push(bytes: Uint8Array): number {
    const { length } = bytes;
    const view = viewOf(bytes);
    let position = 0;
    for (;;) {
      if (this.#payloadLeft > 0) {
        const count = this.#pieceLength();
        if (length - position < count) return position;
        this.#payloadLeft -= count;
        const piece = bytes.subarray(position, position + count);
        position += count;
        if (!this.#sink.payload(piece, this.#payloadLeft)) return position;
      } else {
        if (length - position < LENGTH.request) return position;
        this.#decode(view, position);
        if (!this.#sink.admit(this.#header)) return position;
        position += LENGTH.request;
        if (this.#header.type === COMMAND.write) this.#payloadLeft = this.#header.length;
      }
    }
  }

  /** R1. */
  #pieceLength(): number {
    const { offset, length } = this.#header;
    if (length <= this.#piece) return length;
    const toBorder = this.#piece - ((offset + (length - this.#payloadLeft)) % this.#piece);
    return Math.min(toBorder, this.#payloadLeft);
  }

  #decode(view: DataView, position: number): void {
    const magic = view.getUint32(position);
    if (magic !== MAGIC.request) {
      throw new ProtocolError('ERR_MAGIC', `a request starts with 0x${magic.toString(16)}`);
    }
    const header = this.#header;
    header.flags = view.getUint16(position + 4);
    header.type = view.getUint16(position + 6);
    header.cookieHigh = view.getUint32(position + 8);
    header.cookieLow = view.getUint32(position + 12);
    header.offset = getUint64(view, position + 16);
    header.length = view.getUint32(position + 24);
  }
}
