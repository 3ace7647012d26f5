/**
 * The header of a change stream: which snapshot it makes, and of what. It is JSON in UTF-8, so that a
 * person can read it with `head`.
 */
import { StorageError } from '@palimpsest/block-device';
import { DESCRIPTION_MAX, STREAM_VERSION } from './frames.js';

/** The snapshot that a stream makes. */
export interface StreamSnapshot {
  /** 32 hexadecimal digits that no other snapshot of any store has. */
  readonly identity: string;
  readonly name: string;
  readonly message?: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}

/** See the file header. */
export interface StreamHeader {
  /** Bytes; every position and length is a multiple. */
  readonly blockSize: number;
  /** Bytes of the volume in the snapshot that the stream makes. */
  readonly size: number;
  /** Identity of the snapshot that the changes are to be made to; `null` for an empty volume of zeros. */
  readonly from: string | null;
  readonly to: StreamSnapshot;
  /** Changes before this byte of the volume are left out: the receiver has them. 0 for all. */
  readonly startsAt: number;
}

const IDENTITY = /^[0-9a-f]{32}$/;
const BLOCK_MAX = 65_536;

/** The header as the body of its frame. @throws {StorageError} ERR_INVALID when it is no header. */
export function encodeHeader(header: StreamHeader): Uint8Array {
  const problem = problemOf(header);
  if (problem !== undefined) throw new StorageError('ERR_INVALID', `no stream has ${problem}`);
  const { blockSize, size, from, to, startsAt } = header;
  const text = JSON.stringify({ version: STREAM_VERSION, blockSize, size, from, to, startsAt });
  const bytes = new TextEncoder().encode(text);
  if (bytes.length > DESCRIPTION_MAX) {
    throw new StorageError(
      'ERR_INVALID',
      `the description of the stream takes ${bytes.length} bytes: at most ${DESCRIPTION_MAX}`,
    );
  }
  return bytes;
}

/**
 * Reads the body of a header's frame, whose checksum has been found right.
 * @throws {StorageError} ERR_FORMAT for a version that this code does not know, ERR_CORRUPT.
 */
export function decodeHeader(body: Uint8Array): StreamHeader {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (cause) {
    throw new StorageError('ERR_CORRUPT', 'the header of the stream is not JSON', { cause });
  }
  const { version, ...header } = (value ?? {}) as StreamHeader & { readonly version?: unknown };
  if (version !== STREAM_VERSION) {
    throw new StorageError(
      'ERR_FORMAT',
      `the stream is of version ${JSON.stringify(version)}, and version ${STREAM_VERSION} is what ` +
        'can be read: use a newer palimpsest',
    );
  }
  const problem = problemOf(header);
  if (problem !== undefined) throw new StorageError('ERR_CORRUPT', `the stream has ${problem}`);
  return header;
}

/** What is wrong with a header, if anything. */
function problemOf({ blockSize, size, from, to, startsAt }: StreamHeader): string | undefined {
  if (!isNatural(blockSize) || blockSize < 1 || blockSize > BLOCK_MAX) {
    return `blocks of ${blockSize} bytes`;
  }
  if (!isNatural(size) || size % blockSize !== 0) return `a size of ${size} bytes`;
  if (!isNatural(startsAt) || startsAt > size || startsAt % blockSize !== 0) {
    return `a start at ${startsAt} of ${size} bytes`;
  }
  if (from !== null && !isIdentity(from)) return `the base ${JSON.stringify(from)}`;
  if (typeof to !== 'object' || to === null || !isIdentity(to.identity)) {
    return 'no identity of its snapshot';
  }
  if (typeof to.name !== 'string' || !isNatural(to.createdAt))
    return 'no name or time of its snapshot';
  if (to.message !== undefined && typeof to.message !== 'string')
    return 'a message that is no text';
  return undefined;
}

function isIdentity(value: unknown): boolean {
  return typeof value === 'string' && IDENTITY.test(value);
}

function isNatural(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
