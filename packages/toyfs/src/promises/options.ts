/**
 * Options as Node takes them: an object, or the name of an encoding.
 */
import { Buffer } from 'node:buffer';
import { invalidType, invalidValue } from './node-errors.js';
import { abortSignal } from './validate.js';

/** What text is to be given as; `buffer` stands for bytes. */
export type Encoding = BufferEncoding | 'buffer';

/** Options that are an encoding, or have one. */
export type EncodingOption = Encoding | null | undefined | { encoding?: Encoding | null };

/** Options as an object, with an encoding that is one and a signal that is one. */
export function optionsOf<T extends object>(options: unknown, defaults: T): T & CommonOptions {
  if (options === undefined || options === null || typeof options === 'function') return defaults;
  if (typeof options === 'string') {
    assertEncoding(options);
    return { ...defaults, encoding: options as Encoding };
  }
  if (typeof options !== 'object') {
    throw invalidType('options', 'one of type string or object', options);
  }
  const given = options as T & CommonOptions;
  assertEncoding(given.encoding);
  abortSignal(given.signal, 'options.signal');
  return given;
}

/** What many options have. */
export interface CommonOptions {
  readonly encoding?: Encoding | null;
  readonly signal?: AbortSignal;
}

/** Bytes as the encoding wants them; UTF-8 text when there is none. */
export function decoded(bytes: Uint8Array, encoding: Encoding | null | undefined): string | Buffer {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (encoding === 'buffer') return Buffer.from(buffer);
  return buffer.toString(encoding ?? 'utf8');
}

function assertEncoding(encoding: unknown): void {
  if (!encoding || encoding === 'buffer' || Buffer.isEncoding(encoding as string)) return;
  throw invalidValue('encoding', encoding, 'is invalid encoding');
}
