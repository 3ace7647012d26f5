/**
 * Errors of the control API: one JSON shape, `{"error":{"code","message"}}`, and one table from
 * codes to HTTP statuses.
 */
import { isStorageError, type StorageErrorCode } from '@palimpsest/block-device';
import { FileError, type FileErrorCode } from '@palimpsest/mounted-files/wire';

/** Failures of the transport itself, beside those of the store. */
export type TransportErrorCode =
  /** No token, or a wrong one. */
  | 'ERR_UNAUTHORIZED'
  /** The request came by way of a web page, or for another host. */
  | 'ERR_FORBIDDEN'
  /** No such route. */
  | 'ERR_NO_ROUTE'
  /** The body is not JSON, or not what the route takes. */
  | 'ERR_BAD_REQUEST'
  /** The body is larger than any valid one. */
  | 'ERR_TOO_LARGE'
  /** A bug of ours; the log has more. */
  | 'ERR_INTERNAL';

/** Every code a client may meet. */
export type ApiErrorCode = StorageErrorCode | TransportErrorCode | FileErrorCode;

/** The body of every failure. */
export interface ApiErrorBody {
  readonly error: { readonly code: ApiErrorCode; readonly message: string };
}

/** HTTP status of each code; those of files are in `fileErrorStatus`. */
export const HTTP_STATUS: Readonly<Record<Exclude<ApiErrorCode, FileErrorCode>, number>> = {
  ERR_INVALID: 400,
  ERR_MISALIGNED: 400,
  ERR_OUT_OF_RANGE: 400,
  ERR_UNSUPPORTED: 400,
  ERR_BAD_REQUEST: 400,
  ERR_UNAUTHORIZED: 401,
  ERR_FORBIDDEN: 403,
  ERR_READ_ONLY: 403,
  ERR_NOT_FOUND: 404,
  ERR_NO_ROUTE: 404,
  ERR_EXISTS: 409,
  ERR_IN_USE: 409,
  ERR_BUSY: 409,
  ERR_NOT_OWNER: 409,
  ERR_TOO_LARGE: 413,
  ERR_CORRUPT: 500,
  ERR_FAILED: 500,
  ERR_FORMAT: 500,
  ERR_INTERNAL: 500,
  ERR_IO: 500,
  ERR_CLOSED: 503,
  ERR_NO_SPACE: 507,
};

/** A failure of the transport. */
export class TransportError extends Error {
  readonly code: TransportErrorCode;

  constructor(code: TransportErrorCode, message: string) {
    super(message);
    this.name = 'TransportError';
    this.code = code;
  }
}

/** What a client is told of a failure. Bugs are told as such, without their inner words. */
export function errorBody(error: unknown): ApiErrorBody {
  if (isStorageError(error) || error instanceof TransportError || error instanceof FileError) {
    return { error: { code: error.code, message: error.message } };
  }
  return {
    error: { code: 'ERR_INTERNAL', message: 'the daemon failed; its log has the details' },
  };
}
