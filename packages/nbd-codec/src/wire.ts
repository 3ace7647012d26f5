/**
 * Big-endian numbers and UTF-8 texts. 64-bit numbers are plain ones, exact up to 2^53; larger ones
 * lose their low bits but stay larger, which is all that a range check needs.
 */
import { ProtocolError } from './protocol-error.js';

const TWO_32 = 2 ** 32;

/** A view of exactly the bytes of `bytes`. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Reads the unsigned 64-bit number at `position`; inexact above 2^53. */
export function getUint64(view: DataView, position: number): number {
  return view.getUint32(position) * TWO_32 + view.getUint32(position + 4);
}

/** Stores a safe integer as 64 bits at `position`. */
export function setUint64(view: DataView, position: number, value: number): void {
  view.setUint32(position, Math.floor(value / TWO_32));
  view.setUint32(position + 4, value % TWO_32);
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/**
 * Decodes a name or text of the protocol.
 * @throws {ProtocolError} ERR_TEXT when it is not UTF-8 or holds a NUL.
 */
export function decodeText(bytes: Uint8Array): string {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    throw new ProtocolError('ERR_TEXT', 'a text is not valid UTF-8');
  }
  if (text.includes('\0')) throw new ProtocolError('ERR_TEXT', 'a text holds a NUL');
  return text;
}

/** Encodes a text, cut at a character's border so that it is at most `limit` bytes long. */
export function encodeText(text: string, limit: number): Uint8Array {
  const bytes = encoder.encode(text);
  if (bytes.length <= limit) return bytes;
  let end = limit;
  // A byte 10xxxxxx continues a character: step back to the one that starts it.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.slice(0, end);
}

/** Joins `parts`, one after the other. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let position = 0;
  for (const part of parts) {
    joined.set(part, position);
    position += part.length;
  }
  return joined;
}
