/**
 * Errors with exactly the shape that Node's own fs gives them: fields, their order, and the sentence.
 * Programs branch on `code`, some on `errno` and `syscall`, and many print the message.
 */
import { inspect } from 'node:util';
import { ERROR_TABLE, type FsErrorCode, isFsError } from '../errors.js';

/** A failed call as Node reports it. */
export interface NodeSystemError extends Error {
  code: string;
  /** Linux's number, negative. */
  errno: number;
  syscall: string;
  path?: string;
  dest?: string;
}

/** The failure of `syscall`, as libuv tells it. `cause` is kept, out of sight of those who compare. */
export function systemError(
  code: FsErrorCode,
  syscall: string,
  path?: string,
  dest?: string,
  cause?: unknown,
): NodeSystemError {
  const { errno, sentence } = ERROR_TABLE[code];
  // libuv has no name of its own for EOPNOTSUPP, which on Linux is the same number.
  const name = code === 'EOPNOTSUPP' ? 'ENOTSUP' : code;
  const from = path === undefined ? '' : ` '${path}'`;
  const to = dest === undefined ? '' : ` -> '${dest}'`;
  const options = cause === undefined ? undefined : { cause };
  const error = new Error(`${name}: ${sentence}, ${syscall}${from}${to}`, options);
  return Object.assign(error, {
    errno,
    code: name,
    syscall,
    ...(path === undefined ? {} : { path }),
    ...(dest === undefined ? {} : { dest }),
  });
}

/** A file system's failure as that of a call; what is no such failure stays what it is. */
export function asSystemError(
  error: unknown,
  syscall: string,
  path?: string,
  dest?: string,
): unknown {
  return isFsError(error) ? systemError(error.code, syscall, path, dest, error) : error;
}

/** What a call on a closed FileHandle rejects with. */
export function closedHandle(syscall: string): Error {
  return Object.assign(new Error('file closed'), { code: 'EBADF', syscall });
}

/** What an aborted call rejects with. */
export function abortError(signal: AbortSignal): Error {
  const error = new Error('The operation was aborted', { cause: signal.reason });
  return Object.assign(error, { code: 'ABORT_ERR', name: 'AbortError' });
}

/** @throws {Error} AbortError when the signal says so */
export function assertNotAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortError(signal);
}

/** An error that only has a code. */
export function codedError<E extends Error>(error: E, code: string): E {
  // Node shows the code in the stack's first line, and keeps it out of `name`.
  const { name } = error;
  error.name = `${name} [${code}]`;
  error.stack; // made now, with that name
  error.name = name;
  Object.defineProperty(error, 'toString', {
    value: () => `${name} [${code}]: ${error.message}`,
    configurable: true,
    writable: true,
  });
  return Object.assign(error, { code });
}

/** `expected` continues "must be": `of type string`, `an instance of Buffer`. */
export function invalidType(name: string, expected: string, value: unknown): TypeError {
  const what = name.endsWith(' argument')
    ? `The ${name}`
    : `The "${name}" ${name.includes('.') ? 'property' : 'argument'}`;
  const message = `${what} must be ${expected}. Received ${kindOf(value)}`;
  return codedError(new TypeError(message), 'ERR_INVALID_ARG_TYPE');
}

/** `reason` continues the argument's name: `is invalid`. */
export function invalidValue(name: string, value: unknown, reason = 'is invalid'): TypeError {
  const shown = inspect(value);
  const what = name.includes('.') ? 'property' : 'argument';
  const cut = shown.length > 128 ? `${shown.slice(0, 128)}...` : shown;
  const message = `The ${what} '${name}' ${reason}. Received ${cut}`;
  return codedError(new TypeError(message), 'ERR_INVALID_ARG_VALUE');
}

/** `range` continues "It must be": `>= 0 && <= 7`. */
export function outOfRange(name: string, range: string, value: unknown): RangeError {
  const refused = `The value of "${name}" is out of range.`;
  const message = `${refused} It must be ${range}. Received ${shownNumber(value)}`;
  return codedError(new RangeError(message), 'ERR_OUT_OF_RANGE');
}

/** Node's SystemError: a refusal of its own making that looks like one of the system. */
export function nodeRefusal(
  code: string,
  prefix: string,
  info: { code: FsErrorCode; message: string; path: string; syscall: string },
): Error {
  const { syscall, path } = info;
  const errno = -ERROR_TABLE[info.code].errno;
  const message = `${prefix}: ${syscall} returned ${info.code} (${info.message}) ${path}`;
  const error = Object.assign(new Error(message), { name: 'SystemError' });
  return Object.assign(error, { code, info: { ...info, errno }, errno, syscall, path });
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === 'function') return `function ${value.name}`;
  if (typeof value === 'object') {
    const name = value.constructor?.name;
    return name === undefined || name === ''
      ? inspect(value, { depth: -1 })
      : `an instance of ${name}`;
  }
  const shown = inspect(value);
  return `type ${typeof value} (${shown.length > 28 ? `${shown.slice(0, 25)}...` : shown})`;
}

function shownNumber(value: unknown): string {
  if (typeof value === 'bigint') {
    const shown = String(value);
    const isLong = value > 2n ** 32n || value < -(2n ** 32n);
    return `${isLong ? grouped(shown) : shown}n`;
  }
  if (Number.isInteger(value) && Math.abs(value as number) > 2 ** 32) return grouped(String(value));
  return inspect(value);
}

function grouped(digits: string): string {
  return digits.replaceAll(/(?<=\d)(?=(?:\d{3})+$)/g, '_');
}
