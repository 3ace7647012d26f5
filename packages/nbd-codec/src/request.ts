/**
 * Requests of the transmission phase, both directions. The decoder is on the server's hot path: it
 * reads straight from the chunk that arrived, fills one header object again and again, and hands
 * payload on as views of the chunk. It allocates nothing for a request whose bytes are all there.
 *   R1  `payload` is called until exactly `length` bytes of a WRITE have been passed on.
 *   R2  A request that was not admitted is offered again, unchanged, by the next push.
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
   * Payload of the WRITE admitted last: a view of the pushed chunk. `left` bytes are still to
   * come. Answer false to stop behind these bytes.
   */
  payload(bytes: Uint8Array, left: number): boolean;
}

/** Splits a stream of bytes into requests. */
export class RequestDecoder {
  readonly #sink: RequestSink;
  readonly #header: RequestHeader = {
    flags: 0,
    type: 0,
    cookieHigh: 0,
    cookieLow: 0,
    offset: 0,
    length: 0,
  };
  /** A header that arrived in parts. */
  readonly #scratch = new Uint8Array(LENGTH.request);
  readonly #scratchView: DataView = viewOf(this.#scratch);
  #held = 0;
  #payloadLeft = 0;

  constructor(sink: RequestSink) {
    this.#sink = sink;
  }

  /** True between two requests: a peer that leaves now has left nothing unsaid. */
  get idle(): boolean {
    return this.#held === 0 && this.#payloadLeft === 0;
  }

  /** Bytes of payload that the present WRITE still lacks. */
  get payloadLeft(): number {
    return this.#payloadLeft;
  }

  /**
   * Decodes `chunk` until its end or until the sink says stop. Returns how many bytes were used;
   * the rest is to be pushed again. An empty chunk retries a header that was not admitted.
   * @throws {ProtocolError} ERR_MAGIC when a request does not start with its magic.
   */
  push(chunk: Uint8Array): number {
    const { length } = chunk;
    const view = viewOf(chunk);
    let position = 0;
    for (;;) {
      if (this.#payloadLeft > 0) {
        const count = Math.min(this.#payloadLeft, length - position);
        if (count === 0) return position;
        this.#payloadLeft -= count;
        const bytes = chunk.subarray(position, position + count);
        position += count;
        if (!this.#sink.payload(bytes, this.#payloadLeft)) return position;
      } else if (this.#held === 0 && length - position >= LENGTH.request) {
        this.#decode(view, position);
        if (!this.#sink.admit(this.#header)) return position;
        position += LENGTH.request;
        this.#startPayload();
      } else {
        const count = Math.min(LENGTH.request - this.#held, length - position);
        this.#scratch.set(chunk.subarray(position, position + count), this.#held);
        this.#held += count;
        position += count;
        if (this.#held < LENGTH.request) return position;
        this.#decode(this.#scratchView, 0);
        if (!this.#sink.admit(this.#header)) return position;
        this.#held = 0;
        this.#startPayload();
      }
    }
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

  #startPayload(): void {
    if (this.#header.type === COMMAND.write) this.#payloadLeft = this.#header.length;
  }
}
