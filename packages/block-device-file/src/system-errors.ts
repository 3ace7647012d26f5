/**
 * The one table from the operating system's errors to StorageError codes. The system's own error
 * is kept as the cause.
 */
import { StorageError, type StorageErrorCode } from '@palimpsest/block-device';

const CODES: Readonly<Record<string, StorageErrorCode>> = {
  ENOSPC: 'ERR_NO_SPACE',
  EDQUOT: 'ERR_NO_SPACE',
  // The file would exceed what the file system or `ulimit -f` lets it have.
  EFBIG: 'ERR_NO_SPACE',
  ENOENT: 'ERR_NOT_FOUND',
  ENOTDIR: 'ERR_NOT_FOUND',
  EEXIST: 'ERR_EXISTS',
  EBUSY: 'ERR_BUSY',
  ETXTBSY: 'ERR_BUSY',
  EROFS: 'ERR_READ_ONLY',
  EACCES: 'ERR_INVALID',
  EPERM: 'ERR_INVALID',
  EISDIR: 'ERR_INVALID',
  ELOOP: 'ERR_INVALID',
  ENAMETOOLONG: 'ERR_INVALID',
};

/** Translates a failure of `what` (as in "cannot open disk.img"). Unknown errors are ERR_IO. */
export function translate(error: unknown, what: string): StorageError {
  if (error instanceof StorageError) return error;
  const code = CODES[systemCode(error) ?? ''] ?? 'ERR_IO';
  return new StorageError(code, `cannot ${what}: ${reason(error)}`, { cause: error });
}

/** The `E...` code of a system error. */
export function systemCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** What went wrong, for people. */
export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
