/** The one table from a device's errors to those of the protocol. */
import { isStorageError, type StorageErrorCode } from '@palimpsest/block-device';
import { NBD_ERROR } from '@palimpsest/nbd-codec';

const TABLE: Readonly<Record<StorageErrorCode, number>> = {
  ERR_OUT_OF_RANGE: NBD_ERROR.einval,
  ERR_MISALIGNED: NBD_ERROR.einval,
  ERR_READ_ONLY: NBD_ERROR.eperm,
  ERR_CLOSED: NBD_ERROR.eshutdown,
  ERR_FAILED: NBD_ERROR.eio,
  ERR_IO: NBD_ERROR.eio,
  ERR_NO_SPACE: NBD_ERROR.enospc,
  ERR_CORRUPT: NBD_ERROR.eio,
  ERR_FORMAT: NBD_ERROR.eio,
  ERR_BUSY: NBD_ERROR.eio,
  ERR_NOT_OWNER: NBD_ERROR.eshutdown,
  ERR_NOT_FOUND: NBD_ERROR.eio,
  ERR_EXISTS: NBD_ERROR.eio,
  ERR_IN_USE: NBD_ERROR.eio,
  ERR_INVALID: NBD_ERROR.einval,
  ERR_UNSUPPORTED: NBD_ERROR.enotsup,
};

const NO_SPACE = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** A refusal in the protocol's terms. */
export interface Refusal {
  readonly error: number;
  readonly text: string;
  /** True when the medium is at fault, and not the request: worth a line in the log. */
  readonly medium: boolean;
}

/** Translates what a device threw. Anything unknown is an I/O error, never a success. */
export function refusalOf(thrown: unknown): Refusal {
  if (!isStorageError(thrown)) {
    return { error: NBD_ERROR.eio, text: 'internal error', medium: true };
  }
  const system = (thrown.cause as { code?: unknown } | undefined)?.code;
  const full = typeof system === 'string' && NO_SPACE.has(system);
  const error = full ? NBD_ERROR.enospc : TABLE[thrown.code];
  return { error, text: thrown.message, medium: error === NBD_ERROR.eio };
}
