/**
 * The handshake, both directions: greeting, client flags, options, replies to options. Bytes in,
 * values out; no I/O, so every malformed handshake is a plain test.
 *   H1  An option's data is always consumed, whatever is thought of it: the stream stays in step.
 *   H2  At most `maxData` bytes of an option are ever held; longer ones are counted, not kept.
 */
import { ByteQueue } from './byte-queue.js';
import { LENGTH, MAGIC } from './constants.js';
import { ProtocolError } from './protocol-error.js';
import { concat, encodeText, getUint64, setUint64, viewOf } from './wire.js';

/** Encodes the server's first words. */
export function encodeGreeting(flags: number): Uint8Array {
  const bytes = new Uint8Array(LENGTH.greeting);
  const view = viewOf(bytes);
  view.setUint32(0, MAGIC.greetingHigh);
  view.setUint32(4, MAGIC.greetingLow);
  setOptionMagic(view, 8);
  view.setUint16(16, flags);
  return bytes;
}

/** Encodes the client's answer to the greeting. */
export function encodeClientFlags(flags: number): Uint8Array {
  const bytes = new Uint8Array(LENGTH.clientFlags);
  viewOf(bytes).setUint32(0, flags);
  return bytes;
}

/** Encodes an option with its data. */
export function encodeOption(option: number, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const head = new Uint8Array(LENGTH.optionHeader);
  const view = viewOf(head);
  setOptionMagic(view, 0);
  view.setUint32(8, option);
  view.setUint32(12, data.length);
  return concat(head, data);
}

/** Encodes a reply to `option`; `data` may be a text for people when `type` is an error. */
export function encodeOptionReply(
  option: number,
  type: number,
  data: Uint8Array | string = '',
): Uint8Array {
  const body = typeof data === 'string' ? encodeText(data, LENGTH.string) : data;
  const head = new Uint8Array(LENGTH.optionReplyHeader);
  const view = viewOf(head);
  view.setUint32(0, MAGIC.optionReplyHigh);
  view.setUint32(4, MAGIC.optionReplyLow);
  view.setUint32(8, option);
  view.setUint32(12, type);
  view.setUint32(16, body.length);
  return concat(head, body);
}

/** Encodes the answer to EXPORT_NAME, which has no header of its own. */
export function encodeExportNameReply(size: number, flags: number, noZeroes: boolean): Uint8Array {
  const padding = noZeroes ? 0 : LENGTH.exportNamePadding;
  const bytes = new Uint8Array(LENGTH.exportNameReply + padding);
  const view = viewOf(bytes);
  setUint64(view, 0, size);
  view.setUint16(8, flags);
  return bytes;
}

/** What a client says during the handshake. */
export type ClientMessage =
  | { readonly kind: 'flags'; readonly flags: number }
  | { readonly kind: 'option'; readonly option: number; readonly data: Uint8Array }
  /** An option longer than the limit: its data has been passed over (H1, H2). */
  | { readonly kind: 'oversize'; readonly option: number; readonly length: number };

/** Decodes the client's half of the handshake, as the server sees it. */
export class ClientMessageDecoder {
  readonly #queue = new ByteQueue();
  readonly #maxData: number;
  readonly #maxSkip: number;
  #haveFlags = false;
  #skipping: { option: number; length: number; left: number } | undefined;

  /**
   * @param limits.maxData bytes of an option's data that are kept; longer ones become `oversize`
   * @param limits.maxSkip bytes of an option's data that are passed over; longer ones are refused
   */
  constructor(limits: { maxData: number; maxSkip: number }) {
    this.#maxData = limits.maxData;
    this.#maxSkip = limits.maxSkip;
  }

  /** Adds bytes; the decoder keeps a copy of what it cannot use yet. */
  push(chunk: Uint8Array): void {
    this.#queue.push(chunk);
  }

  /**
   * The next message, or undefined when more bytes are needed.
   * @throws {ProtocolError} ERR_MAGIC when an option does not start with IHAVEOPT; ERR_LIMIT when
   * its data is longer than `maxSkip`.
   */
  next(): ClientMessage | undefined {
    if (!this.#haveFlags) {
      const flags = this.#queue.peek(LENGTH.clientFlags);
      if (flags === undefined) return undefined;
      this.#haveFlags = true;
      return { kind: 'flags', flags: viewOf(this.#queue.take(LENGTH.clientFlags)).getUint32(0) };
    }
    if (this.#skipping !== undefined) return this.#skip(this.#skipping);
    const head = this.#queue.peek(LENGTH.optionHeader);
    if (head === undefined) return undefined;
    const view = viewOf(head);
    if (view.getUint32(0) !== MAGIC.optionHigh || view.getUint32(4) !== MAGIC.optionLow) {
      throw new ProtocolError('ERR_MAGIC', 'an option does not start with IHAVEOPT');
    }
    const option = view.getUint32(8);
    const length = view.getUint32(12);
    if (length > this.#maxSkip) {
      throw new ProtocolError('ERR_LIMIT', `option ${option} with ${length} bytes of data`);
    }
    if (length > this.#maxData) {
      this.#queue.take(LENGTH.optionHeader);
      this.#skipping = { option, length, left: length };
      return this.#skip(this.#skipping);
    }
    if (this.#queue.length < LENGTH.optionHeader + length) return undefined;
    this.#queue.take(LENGTH.optionHeader);
    return { kind: 'option', option, data: this.#queue.take(length) };
  }

  /** Takes what has arrived and is not decoded: after GO these bytes are requests. */
  rest(): Uint8Array {
    return this.#queue.take(this.#queue.length);
  }

  #skip(skipping: { option: number; length: number; left: number }): ClientMessage | undefined {
    skipping.left -= this.#queue.take(skipping.left).length;
    if (skipping.left > 0) return undefined;
    this.#skipping = undefined;
    return { kind: 'oversize', option: skipping.option, length: skipping.length };
  }
}

/** What a server says during the handshake. */
export type ServerMessage =
  | { readonly kind: 'greeting'; readonly flags: number }
  | {
      readonly kind: 'reply';
      readonly option: number;
      readonly type: number;
      readonly data: Uint8Array;
    }
  | { readonly kind: 'exportName'; readonly size: number; readonly flags: number };

/** Decodes the server's half of the handshake, as a client sees it. */
export class ServerMessageDecoder {
  readonly #queue = new ByteQueue();
  readonly #maxData: number;
  #haveGreeting = false;
  #exportNameLength = 0;

  /** @param limits.maxData bytes of a reply's data that are accepted */
  constructor(limits: { maxData: number }) {
    this.#maxData = limits.maxData;
  }

  /** Adds bytes; the decoder keeps a copy of what it cannot use yet. */
  push(chunk: Uint8Array): void {
    this.#queue.push(chunk);
  }

  /** Says that EXPORT_NAME was sent: what comes next is its bare answer. */
  expectExportName(noZeroes: boolean): void {
    this.#exportNameLength = LENGTH.exportNameReply + (noZeroes ? 0 : LENGTH.exportNamePadding);
  }

  /**
   * The next message, or undefined when more bytes are needed.
   * @throws {ProtocolError} ERR_MAGIC when this is no fixed newstyle server, or the two sides have
   * lost each other; ERR_LIMIT when a reply is longer than `maxData`.
   */
  next(): ServerMessage | undefined {
    if (!this.#haveGreeting) return this.#greeting();
    if (this.#exportNameLength > 0) return this.#exportName();
    const head = this.#queue.peek(LENGTH.optionReplyHeader);
    if (head === undefined) return undefined;
    const view = viewOf(head);
    if (view.getUint32(0) !== MAGIC.optionReplyHigh || view.getUint32(4) !== MAGIC.optionReplyLow) {
      throw new ProtocolError('ERR_MAGIC', 'a reply to an option has the wrong magic');
    }
    const option = view.getUint32(8);
    const type = view.getUint32(12);
    const length = view.getUint32(16);
    if (length > this.#maxData) {
      throw new ProtocolError('ERR_LIMIT', `a reply with ${length} bytes of data`);
    }
    if (this.#queue.length < LENGTH.optionReplyHeader + length) return undefined;
    this.#queue.take(LENGTH.optionReplyHeader);
    return { kind: 'reply', option, type, data: this.#queue.take(length) };
  }

  /** Takes what has arrived and is not decoded: after GO these bytes are replies. */
  rest(): Uint8Array {
    return this.#queue.take(this.#queue.length);
  }

  #greeting(): ServerMessage | undefined {
    if (this.#queue.length < LENGTH.greeting) return undefined;
    this.#haveGreeting = true;
    const view = viewOf(this.#queue.take(LENGTH.greeting));
    if (view.getUint32(0) !== MAGIC.greetingHigh || view.getUint32(4) !== MAGIC.greetingLow) {
      throw new ProtocolError('ERR_MAGIC', 'this is no NBD server');
    }
    if (view.getUint32(8) !== MAGIC.optionHigh || view.getUint32(12) !== MAGIC.optionLow) {
      throw new ProtocolError('ERR_MAGIC', 'the server does not speak the newstyle handshake');
    }
    return { kind: 'greeting', flags: view.getUint16(16) };
  }

  #exportName(): ServerMessage | undefined {
    if (this.#queue.length < this.#exportNameLength) return undefined;
    const view = viewOf(this.#queue.take(this.#exportNameLength));
    this.#exportNameLength = 0;
    return { kind: 'exportName', size: getUint64(view, 0), flags: view.getUint16(8) };
  }
}

function setOptionMagic(view: DataView, position: number): void {
  view.setUint32(position, MAGIC.optionHigh);
  view.setUint32(position + 4, MAGIC.optionLow);
}
