/**
 * ProtocolError: the other side broke the protocol. `code` is the contract and says how; what to
 * do about it (answer an error, hang up) is the session's affair.
 */

/** How the bytes were wrong. */
export type ProtocolErrorCode =
  /** A magic number is not what it must be: both sides have lost each other. */
  | 'ERR_MAGIC'
  /** A length does not agree with the bytes that are there. */
  | 'ERR_LENGTH'
  /** A length is larger than the stated limit. */
  | 'ERR_LIMIT'
  /** A text is not UTF-8, or holds a NUL. */
  | 'ERR_TEXT'
  /** A value that must not occur here. */
  | 'ERR_VALUE';

/** A violation of the protocol, with a stable `code`. */
export class ProtocolError extends Error {
  readonly code: ProtocolErrorCode;

  constructor(code: ProtocolErrorCode, message: string) {
    super(message);
    this.name = 'ProtocolError';
    this.code = code;
  }
}
