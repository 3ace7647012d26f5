/**
 * Whole files: reading to the end and writing all there is, in parts, so that a signal is heard
 * between them.
 */
import { Buffer } from 'node:buffer';
import { assertNotAborted, invalidType } from './node-errors.js';
import type { OpenFile } from './open-file.js';
import { decoded, type Encoding } from './options.js';

/** Bytes read or written at a time. */
const PART = 512 * 1024;
/** Bytes read at a time from what does not say its size. */
const UNKNOWN_PART = 64 * 1024;

/** What can be written: text, bytes, or pieces of either. */
export type FileData =
  | string
  | ArrayBufferView
  | Iterable<string | ArrayBufferView>
  | AsyncIterable<string | ArrayBufferView>;

/** From the position to the end. */
export async function readAll(
  file: OpenFile,
  encoding: Encoding | null | undefined,
  signal: AbortSignal | undefined,
): Promise<string | Buffer> {
  assertNotAborted(signal);
  const { size } = await file.stat();
  const parts: Buffer[] = [];
  let total = 0;
  for (;;) {
    assertNotAborted(signal);
    const room = size > total ? Math.min(size - total, PART) : UNKNOWN_PART;
    const part = Buffer.allocUnsafeSlow(room);
    const count = await file.read(part);
    if (count > 0) parts.push(count === room ? part : part.subarray(0, count));
    total += count;
    if (count === 0 || total === size) break;
  }
  const bytes = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts, total);
  return encoding === undefined || encoding === null || encoding === 'buffer'
    ? bytes
    : decoded(bytes, encoding);
}

/** At the position, or at the end of what is open for appending. */
export async function writeAll(
  file: OpenFile,
  data: FileData,
  encoding: Encoding | null | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  assertNotAborted(signal);
  if (typeof data === 'string' || ArrayBuffer.isView(data)) {
    await writeParts(file, bytesOf(data, encoding), signal);
    return;
  }
  for await (const piece of data) {
    assertNotAborted(signal);
    await writeParts(file, bytesOf(piece, encoding), signal);
  }
}

/** Data of a kind that can be written. @throws {TypeError} ERR_INVALID_ARG_TYPE */
export function checkedData(data: unknown): FileData {
  const isPieces =
    typeof data === 'object' &&
    data !== null &&
    (Symbol.iterator in data || Symbol.asyncIterator in data);
  if (typeof data === 'string' || ArrayBuffer.isView(data) || isPieces) return data as FileData;
  throw notData('data', data);
}

/** The error for what can neither be written nor be turned into bytes. */
export function notData(name: string, data: unknown): TypeError {
  const expected = 'of type string or an instance of Buffer, TypedArray, or DataView';
  return invalidType(name, expected, data);
}

/** The bytes that a view shows. */
export function viewed(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

async function writeParts(
  file: OpenFile,
  bytes: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (let at = 0; at < bytes.length; at += PART) {
    assertNotAborted(signal);
    await file.write(bytes.subarray(at, at + PART));
  }
}

function bytesOf(
  data: string | ArrayBufferView,
  encoding: Encoding | null | undefined,
): Uint8Array {
  if (ArrayBuffer.isView(data)) return viewed(data);
  return Buffer.from(data, encoding === 'buffer' ? 'utf8' : (encoding ?? 'utf8'));
}
