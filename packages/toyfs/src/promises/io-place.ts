/**
 * The many ways to say which part of which buffer goes to, or comes from, which position.
 */
import { Buffer } from 'node:buffer';
import { invalidType, invalidValue, outOfRange } from './node-errors.js';
import { integer, object } from './validate.js';
import { viewed } from './whole-file.js';

/** A part of a buffer, and where in the file; undefined is the file's own position. */
export interface IoPlace {
  readonly buffer: ArrayBufferView;
  readonly offset: number;
  readonly length: number;
  readonly position: number | undefined;
}

/** The same as options. */
export interface IoPlaceOptions {
  readonly offset?: number | null;
  readonly length?: number | null;
  readonly position?: number | bigint | null;
}

/** What a read of buffers answers. */
export interface ReadResult<B> {
  readonly bytesRead: number;
  readonly buffer: B;
}

/** What a write of buffers answers. */
export interface WriteResult<B> {
  readonly bytesWritten: number;
  readonly buffer: B;
}

/** Bytes of a read that does not say how many. */
const DEFAULT_LENGTH = 16_384;
const INT32_MAX = 2 ** 31 - 1;

/** `read(buffer, offset, length, position)`, `read(buffer, options)` or `read(options)`. */
export function readPlace(
  bufferOrOptions: unknown,
  offsetOrOptions: unknown,
  length: unknown,
  position: unknown,
): IoPlace {
  let buffer = bufferOrOptions;
  let given: Record<string, unknown> = { offset: offsetOrOptions, length, position };
  if (!ArrayBuffer.isView(buffer)) {
    if (buffer !== undefined && buffer !== null) object(buffer, 'options');
    given = (buffer ?? {}) as Record<string, unknown>;
    buffer = given.buffer ?? Buffer.alloc(DEFAULT_LENGTH);
    if (!ArrayBuffer.isView(buffer)) {
      throw invalidType('buffer', 'an instance of Buffer, TypedArray, or DataView', buffer);
    }
  } else if (typeof offsetOrOptions === 'object' && offsetOrOptions !== null) {
    given = offsetOrOptions as Record<string, unknown>;
  }
  const view = buffer as ArrayBufferView;
  const offset = given.offset ?? 0;
  integer(offset, 'offset', 0);
  const start = offset as number;
  const count = (given.length ?? view.byteLength - start) as number;
  const place = { buffer: view, offset: start, length: count };
  if (count !== 0 && view.byteLength !== 0) {
    if (count < 0) throw outOfRange('length', '>= 0', count);
    if (start + count > view.byteLength) {
      throw outOfRange('length', `<= ${view.byteLength - start}`, count);
    }
  }
  return { ...place, position: positionOf(given.position) };
}

/** `write(buffer, offset, length, position)`, `write(buffer, options)`, `write(text, position, encoding)`. */
export function writePlace(
  data: ArrayBufferView | string,
  offsetOrOptions: unknown,
  lengthOrEncoding: unknown,
  position: unknown,
): IoPlace {
  if (typeof data === 'string') {
    const buffer = encoded(data, lengthOrEncoding);
    const at = positionOf(offsetOrOptions);
    return { buffer, offset: 0, length: buffer.length, position: at };
  }
  const isOptions = typeof offsetOrOptions === 'object' && offsetOrOptions !== null;
  const given = (
    isOptions ? offsetOrOptions : { offset: offsetOrOptions, length: lengthOrEncoding, position }
  ) as Record<string, unknown>;
  const offset = given.offset ?? 0;
  integer(offset, 'offset', 0);
  const start = offset as number;
  const size = data.byteLength;
  const length = typeof given.length === 'number' ? given.length : size - start;
  if (size > 0) {
    if (start > size) throw outOfRange('offset', `<= ${size}`, start);
    if (length > size - start) throw outOfRange('length', `<= ${size - start}`, length);
    if (length < 0) throw outOfRange('length', '>= 0', length);
    integer(length, 'length', 0, INT32_MAX);
  }
  return {
    buffer: data,
    offset: start,
    length: size === 0 ? 0 : length,
    position: positionOf(given.position),
  };
}

/** The bytes of a place. */
export function placed({ buffer, offset, length }: IoPlace): Uint8Array {
  return viewed(buffer).subarray(offset, offset + length);
}

function encoded(text: string, encoding: unknown): Buffer {
  if (encoding === undefined || encoding === null) return Buffer.from(text);
  const name = String(encoding);
  if (name.toLowerCase() === 'hex' && text.length % 2 !== 0) {
    throw invalidValue('encoding', encoding, `is invalid for data of length ${text.length}`);
  }
  return Buffer.from(text, Buffer.isEncoding(name) ? name : 'utf8');
}

/** Negative numbers and what is no whole number stand for the file's own position. */
function positionOf(position: unknown): number | undefined {
  if (typeof position === 'bigint') {
    return position < 0n ? undefined : Number(position);
  }
  return Number.isSafeInteger(position) && (position as number) >= 0
    ? (position as number)
    : undefined;
}
