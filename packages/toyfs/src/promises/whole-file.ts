/**
 * Whole files: reading to the end and writing all there is, in parts, so that a signal is heard
 * between them.
 */
import { Buffer } from 'node:buffer';
import type { Attributes } from '../vfs.js';
import { assertNotAborted, invalidType } from './node-errors.js';
import type { OpenFile } from './open-file.js';
import { decoded, type Encoding } from './options.js';
import { now, perform, type Steps } from './steps.js';

/** Bytes read or written at a time. */
const PART = 512 * 1024;
/** Bytes that are taken to read into because a file says it has them. */
const WHOLE = 1 << 30;
/** Bytes read at a time from what does not say its size. */
const UNKNOWN_PART = 64 * 1024;

/** What can be written: text, bytes, or pieces of either. */
export type FileData =
  | string
  | ArrayBufferView
  | Iterable<string | ArrayBufferView>
  | AsyncIterable<string | ArrayBufferView>;

/** From the position to the end. */
export function* readAll(
  file: OpenFile,
  encoding: Encoding | null | undefined,
  signal: AbortSignal | undefined,
): Steps<string | Buffer> {
  assertNotAborted(signal);
  const attributes = file.stat();
  const { size } = attributes instanceof Promise ? ((yield attributes) as Attributes) : attributes;
  if (size > 0 && size <= PART) {
    // What most files are: one read gives all there is.
    const small = Buffer.allocUnsafe(size);
    const answer = file.read(small);
    let count = answer instanceof Promise ? ((yield answer) as number) : answer;
    if (count === size) return encoded(small, encoding);
    if (count > 0) count += yield* fill(small.subarray(count), file, signal);
    return encoded(small.subarray(0, count), encoding);
  }
  const parts: Buffer[] = [];
  for (let total = 0; ; ) {
    const expected = Math.min(size - total, WHOLE);
    // Memory of its own, unless it is little.
    const part = expected > 0 ? Buffer.allocUnsafe(expected) : Buffer.allocUnsafe(UNKNOWN_PART);
    const count = yield* fill(part, file, signal);
    parts.push(count === part.length ? part : part.subarray(0, count));
    total += count;
    if (count < part.length || total === size) break;
  }
  const bytes = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  return encoded(bytes, encoding);
}

function encoded(bytes: Buffer, encoding: Encoding | null | undefined): string | Buffer {
  return encoding === undefined || encoding === null || encoding === 'buffer'
    ? bytes
    : decoded(bytes, encoding);
}

/** Reads into all of `target`; answers how many bytes there were. */
function* fill(target: Buffer, file: OpenFile, signal: AbortSignal | undefined): Steps<number> {
  for (let done = 0; ; ) {
    assertNotAborted(signal);
    const end = Math.min(done + PART, target.length);
    const count = yield* now(
      file.read(done === 0 && end === target.length ? target : target.subarray(done, end)),
    );
    done += count;
    if (count === 0 || done === target.length) return done;
  }
}

/** At the position, or at the end of what is open for appending. */
export function* writeAll(
  file: OpenFile,
  data: FileData,
  encoding: Encoding | null | undefined,
  signal: AbortSignal | undefined,
): Steps<void> {
  assertNotAborted(signal);
  if (typeof data === 'string' || ArrayBuffer.isView(data)) {
    const bytes = bytesOf(data, encoding);
    if (bytes.length > PART) return yield* writeParts(file, bytes, signal);
    if (bytes.length === 0) return;
    const answer = file.write(bytes);
    if (answer instanceof Promise) yield answer;
  } else {
    yield writePieces(file, data, encoding, signal);
  }
}

async function writePieces(
  file: OpenFile,
  pieces: Exclude<FileData, string | ArrayBufferView>,
  encoding: Encoding | null | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  for await (const piece of pieces) {
    assertNotAborted(signal);
    await perform(writeParts(file, bytesOf(piece, encoding), signal));
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

function* writeParts(
  file: OpenFile,
  bytes: Uint8Array,
  signal: AbortSignal | undefined,
): Steps<void> {
  for (let at = 0; at < bytes.length; at += PART) {
    assertNotAborted(signal);
    yield* now(file.write(bytes.length <= PART ? bytes : bytes.subarray(at, at + PART)));
  }
}

function bytesOf(
  data: string | ArrayBufferView,
  encoding: Encoding | null | undefined,
): Uint8Array {
  if (ArrayBuffer.isView(data)) return viewed(data);
  return Buffer.from(data, encoding === 'buffer' ? 'utf8' : (encoding ?? 'utf8'));
}
