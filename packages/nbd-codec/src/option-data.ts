/**
 * What is inside options and their replies: names, descriptions, information, metadata contexts.
 *   O1  Inner lengths are checked against the bytes that are there before anything is taken, in
 *       plain numbers, so a length of 2^32 - 1 is just too long.
 */
import { INFO, LENGTH } from './constants.js';
import { ProtocolError } from './protocol-error.js';
import { concat, decodeText, encodeText, getUint64, setUint64, viewOf } from './wire.js';

/** The data of INFO and GO. */
export interface InfoRequest {
  /** Which export; empty for the default one. */
  readonly name: string;
  /** Kinds of information asked for; unknown ones are to be ignored. */
  readonly kinds: readonly number[];
}

/** The data of LIST_META_CONTEXT and SET_META_CONTEXT. */
export interface MetaContextRequest {
  readonly name: string;
  readonly queries: readonly string[];
}

/** One piece of information about an export. */
export type ExportInfo =
  | { readonly kind: 'export'; readonly size: number; readonly flags: number }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'description'; readonly description: string }
  | {
      readonly kind: 'blockSize';
      readonly minimum: number;
      readonly preferred: number;
      readonly maximum: number;
    }
  | { readonly kind: 'other'; readonly type: number };

/** Encodes the data of INFO and GO. */
export function encodeInfoRequest(request: InfoRequest): Uint8Array {
  const kinds = new Uint8Array(2 + 2 * request.kinds.length);
  const view = viewOf(kinds);
  view.setUint16(0, request.kinds.length);
  request.kinds.forEach((kind, index) => {
    view.setUint16(2 + 2 * index, kind);
  });
  return concat(lengthAndText(request.name), kinds);
}

/**
 * Decodes the data of INFO and GO.
 * @throws {ProtocolError} ERR_LENGTH, ERR_LIMIT or ERR_TEXT when it is not well formed.
 */
export function decodeInfoRequest(data: Uint8Array): InfoRequest {
  const cursor = new Cursor(data);
  const name = cursor.text();
  const count = cursor.uint16();
  const kinds: number[] = [];
  for (let index = 0; index < count; index += 1) kinds.push(cursor.uint16());
  cursor.end();
  return { name, kinds };
}

/** Encodes the data of LIST_META_CONTEXT and SET_META_CONTEXT. */
export function encodeMetaContextRequest(request: MetaContextRequest): Uint8Array {
  const count = new Uint8Array(4);
  viewOf(count).setUint32(0, request.queries.length);
  return concat(lengthAndText(request.name), count, ...request.queries.map(lengthAndText));
}

/**
 * Decodes the data of LIST_META_CONTEXT and SET_META_CONTEXT.
 * @throws {ProtocolError} ERR_LENGTH or ERR_TEXT when it is not well formed; ERR_LIMIT when there
 * are more than `maxQueries`, or a text is longer than the protocol allows.
 */
export function decodeMetaContextRequest(data: Uint8Array, maxQueries: number): MetaContextRequest {
  const cursor = new Cursor(data);
  const name = cursor.text();
  const count = cursor.uint32();
  if (count * 4 > data.length) throw new ProtocolError('ERR_LENGTH', `${count} queries cannot fit`);
  if (count > maxQueries) throw new ProtocolError('ERR_LIMIT', `more than ${maxQueries} queries`);
  const queries: string[] = [];
  for (let index = 0; index < count; index += 1) queries.push(cursor.text());
  cursor.end();
  return { name, queries };
}

/** Encodes the data of a SERVER reply. */
export function encodeServer(name: string, description: string): Uint8Array {
  return concat(lengthAndText(name), encodeText(description, LENGTH.string));
}

/**
 * Decodes the data of a SERVER reply.
 * @throws {ProtocolError} ERR_LENGTH, ERR_LIMIT or ERR_TEXT when it is not well formed.
 */
export function decodeServer(data: Uint8Array): { name: string; description: string } {
  const cursor = new Cursor(data);
  return { name: cursor.text(), description: decodeText(cursor.rest()) };
}

/** Encodes the data of an INFO reply. */
export function encodeInfo(info: ExportInfo): Uint8Array {
  if (info.kind === 'name') return typeAndText(INFO.name, info.name);
  if (info.kind === 'description') return typeAndText(INFO.description, info.description);
  if (info.kind === 'other') return typeAndText(info.type, '');
  if (info.kind === 'export') {
    const bytes = new Uint8Array(12);
    const view = viewOf(bytes);
    view.setUint16(0, INFO.export);
    setUint64(view, 2, info.size);
    view.setUint16(10, info.flags);
    return bytes;
  }
  const bytes = new Uint8Array(14);
  const view = viewOf(bytes);
  view.setUint16(0, INFO.blockSize);
  view.setUint32(2, info.minimum);
  view.setUint32(6, info.preferred);
  view.setUint32(10, info.maximum);
  return bytes;
}

/**
 * Decodes the data of an INFO reply. Kinds that are not known come as `other`.
 * @throws {ProtocolError} ERR_LENGTH or ERR_TEXT when it is not well formed.
 */
export function decodeInfo(data: Uint8Array): ExportInfo {
  const cursor = new Cursor(data);
  const type = cursor.uint16();
  if (type === INFO.export) {
    const info = { kind: 'export', size: cursor.uint64(), flags: cursor.uint16() } as const;
    cursor.end();
    return info;
  }
  if (type === INFO.blockSize) {
    const [minimum, preferred, maximum] = [cursor.uint32(), cursor.uint32(), cursor.uint32()];
    cursor.end();
    return { kind: 'blockSize', minimum, preferred, maximum };
  }
  if (type === INFO.name) return { kind: 'name', name: decodeText(cursor.rest()) };
  if (type === INFO.description) {
    return { kind: 'description', description: decodeText(cursor.rest()) };
  }
  return { kind: 'other', type };
}

/** Encodes the data of a META_CONTEXT reply. */
export function encodeMetaContext(id: number, name: string): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, id);
  return concat(bytes, encodeText(name, LENGTH.string));
}

/**
 * Decodes the data of a META_CONTEXT reply.
 * @throws {ProtocolError} ERR_LENGTH or ERR_TEXT when it is not well formed.
 */
export function decodeMetaContext(data: Uint8Array): { id: number; name: string } {
  const cursor = new Cursor(data);
  return { id: cursor.uint32(), name: decodeText(cursor.rest()) };
}

function lengthAndText(text: string): Uint8Array {
  const bytes = encodeText(text, LENGTH.string);
  const length = new Uint8Array(4);
  viewOf(length).setUint32(0, bytes.length);
  return concat(length, bytes);
}

function typeAndText(type: number, text: string): Uint8Array {
  const head = new Uint8Array(2);
  viewOf(head).setUint16(0, type);
  return concat(head, encodeText(text, LENGTH.string));
}

/** Takes values from the front of an option's data; O1. */
class Cursor {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
  }

  uint16(): number {
    return this.#view.getUint16(this.#take(2));
  }

  uint32(): number {
    return this.#view.getUint32(this.#take(4));
  }

  uint64(): number {
    return getUint64(this.#view, this.#take(8));
  }

  /** A 32-bit length and as many bytes of text. */
  text(): string {
    const length = this.uint32();
    const start = this.#take(length);
    if (length > LENGTH.string) {
      throw new ProtocolError('ERR_LIMIT', `a text of ${length} bytes; ${LENGTH.string} are legal`);
    }
    return decodeText(this.#bytes.subarray(start, start + length));
  }

  rest(): Uint8Array {
    return this.#bytes.subarray(this.#position);
  }

  end(): void {
    const left = this.#bytes.length - this.#position;
    if (left !== 0) throw new ProtocolError('ERR_LENGTH', `${left} bytes too many`);
  }

  #take(length: number): number {
    const start = this.#position;
    if (length > this.#bytes.length - start) {
      throw new ProtocolError('ERR_LENGTH', `${length} bytes at ${start} of ${this.#bytes.length}`);
    }
    this.#position = start + length;
    return start;
  }
}
