/**
 * StorageError: every failure a device or a store can report, with a `code` that is the contract
 * (messages are for people and may change). Bugs are not StorageErrors: they throw
 * InvariantViolation and are not meant to be caught.
 */

/** What can go wrong. Each protocol translates these in one table of its own. */
export type StorageErrorCode =
  /** The request reaches past the device's end, or starts before byte 0. */
  | 'ERR_OUT_OF_RANGE'
  /** The request is not a whole number of blocks, or is empty. */
  | 'ERR_MISALIGNED'
  /** A change was asked of a read-only device. */
  | 'ERR_READ_ONLY'
  /** The device is closed. */
  | 'ERR_CLOSED'
  /** A flush failed, or the state is unknown: changes are refused until the device is reopened. */
  | 'ERR_FAILED'
  /** The medium reported an error. `cause` has the system's own. */
  | 'ERR_IO'
  /** No space is left; nothing was changed by the refused request. */
  | 'ERR_NO_SPACE'
  /** Stored bytes do not pass their checks. */
  | 'ERR_CORRUPT'
  /** The device holds something else than what was to be opened, or an unknown format version. */
  | 'ERR_FORMAT'
  /** Another process has the store open. */
  | 'ERR_BUSY'
  /** Another process took the store over while it was open here. */
  | 'ERR_NOT_OWNER'
  /** A name or reference that is not known. */
  | 'ERR_NOT_FOUND'
  /** A name that is already taken. */
  | 'ERR_EXISTS'
  /** Something still depends on the object, so it cannot go. */
  | 'ERR_IN_USE'
  /** An argument is not valid: a name, a size, an option. */
  | 'ERR_INVALID'
  /** The device cannot do this at all. */
  | 'ERR_UNSUPPORTED';

/** A failure with a stable `code`; `cause` keeps the error underneath. */
export class StorageError extends Error {
  readonly code: StorageErrorCode;

  constructor(code: StorageErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'StorageError';
    this.code = code;
  }
}

/** Tells whether `error` is a StorageError, and of the given code when one is named. */
export function isStorageError(error: unknown, code?: StorageErrorCode): error is StorageError {
  return error instanceof StorageError && (code === undefined || error.code === code);
}

/** A fact that should hold does not: a bug of ours, never the fault of input or medium. */
export class InvariantViolation extends Error {
  constructor(fact: string) {
    super(`invariant violated: ${fact}`);
    this.name = 'InvariantViolation';
  }
}

/** Throws InvariantViolation unless `condition` holds. `fact` states what should be true. */
export function invariant(condition: unknown, fact: string): asserts condition {
  if (!condition) throw new InvariantViolation(fact);
}
