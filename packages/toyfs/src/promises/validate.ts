/**
 * Checks of arguments, with Node's errors: ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE and
 * ERR_OUT_OF_RANGE.
 */
import { codedError, invalidType, invalidValue, outOfRange } from './node-errors.js';

const INT32_MAX = 2 ** 31 - 1;
const UINT32_MAX = 2 ** 32 - 1;

/** An integer in a range. */
export function integer(
  value: unknown,
  name: string,
  min: number = Number.MIN_SAFE_INTEGER,
  max: number = Number.MAX_SAFE_INTEGER,
): number {
  if (typeof value !== 'number') throw invalidType(name, 'of type number', value);
  if (!Number.isInteger(value)) throw outOfRange(name, 'an integer', value);
  if (value < min || value > max) throw outOfRange(name, `>= ${min} && <= ${max}`, value);
  return value;
}

export function int32(value: unknown, name: string, min: number = -INT32_MAX - 1): number {
  return integer(value, name, min, INT32_MAX);
}

export function uint32(value: unknown, name: string, min = 0): number {
  return integer(value, name, min, UINT32_MAX);
}

/** A user's or a group's number; -1 leaves it as it is. */
export function ownerId(value: unknown, name: string): number {
  return integer(value, name, -1, UINT32_MAX);
}

export function boolean(value: unknown, name: string): boolean {
  if (typeof value !== 'boolean') throw invalidType(name, 'of type boolean', value);
  return value;
}

export function functionOf(value: unknown, name: string): void {
  if (typeof value !== 'function') throw invalidType(name, 'of type function', value);
}

export function object(value: unknown, name: string): object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidType(name, 'of type object', value);
  }
  return value;
}

export function abortSignal(value: unknown, name: string): AbortSignal | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'object' || value === null || !('aborted' in value)) {
    throw invalidType(name, 'an instance of AbortSignal', value);
  }
  return value as AbortSignal;
}

/** A mode as a number or as octal digits. */
export function fileMode(value: unknown, name: string, otherwise?: number): number {
  const mode = value ?? otherwise;
  if (typeof mode !== 'string') return uint32(mode, name);
  if (!/^[0-7]+$/.test(mode)) {
    throw invalidValue(name, mode, 'must be a 32-bit unsigned integer or an octal string');
  }
  return uint32(Number.parseInt(mode, 8), name);
}

export function bufferArray(value: unknown): ArrayBufferView[] {
  if (!Array.isArray(value) || !value.every((each) => ArrayBuffer.isView(each))) {
    throw invalidType('buffers', 'an ArrayBufferView[]', value);
  }
  return value;
}

/** Bits from 0 to 7, as `access` and `copyFile` take them; 0 when there are none. */
export function smallMode(mode: unknown): number {
  if (mode === null || mode === undefined) return 0;
  if (typeof mode === 'number' && Number.isInteger(mode) && mode >= 0 && mode <= 7) return mode;
  throw codedError(new RangeError('mode is out of range: >= 0 && <= 7'), 'ERR_OUT_OF_RANGE');
}

/** A time as nanoseconds since 1970, from a Date or from seconds. `now` stands for negative ones. */
export function timestamp(value: unknown, now: () => number, name = 'time'): bigint {
  if (typeof value === 'string' && value.trim() !== '' && Number.isFinite(Number(value))) {
    return nanoseconds(Number(value));
  }
  if (typeof value === 'number' && Number.isFinite(value)) {
    return nanoseconds(value < 0 ? now() / 1000 : value);
  }
  if (value instanceof Date) return nanoseconds(value.getTime() / 1000);
  throw invalidType(name, 'an instance of Date or an Time in seconds', value);
}

/** Seconds have about 15 digits, so what is beyond microseconds is noise: libuv cuts it off too. */
function nanoseconds(seconds: number): bigint {
  return BigInt(Math.trunc(seconds * 1e6)) * 1000n;
}
