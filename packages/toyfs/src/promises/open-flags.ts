/**
 * Open flags: Node's words for them, and the bits of `open(2)`.
 */
import { constants } from './constants.js';
import { invalidValue } from './node-errors.js';
import { int32 } from './validate.js';

const { O_APPEND, O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_SYNC, O_TRUNC, O_WRONLY } = constants;

const WORDS = new Map<string, number>([
  ['r', O_RDONLY],
  ['rs', O_RDONLY | O_SYNC],
  ['sr', O_RDONLY | O_SYNC],
  ['r+', O_RDWR],
  ['rs+', O_RDWR | O_SYNC],
  ['sr+', O_RDWR | O_SYNC],
  ['w', O_TRUNC | O_CREAT | O_WRONLY],
  ['wx', O_TRUNC | O_CREAT | O_WRONLY | O_EXCL],
  ['xw', O_TRUNC | O_CREAT | O_WRONLY | O_EXCL],
  ['w+', O_TRUNC | O_CREAT | O_RDWR],
  ['wx+', O_TRUNC | O_CREAT | O_RDWR | O_EXCL],
  ['xw+', O_TRUNC | O_CREAT | O_RDWR | O_EXCL],
  ['a', O_APPEND | O_CREAT | O_WRONLY],
  ['ax', O_APPEND | O_CREAT | O_WRONLY | O_EXCL],
  ['xa', O_APPEND | O_CREAT | O_WRONLY | O_EXCL],
  ['as', O_APPEND | O_CREAT | O_WRONLY | O_SYNC],
  ['sa', O_APPEND | O_CREAT | O_WRONLY | O_SYNC],
  ['a+', O_APPEND | O_CREAT | O_RDWR],
  ['ax+', O_APPEND | O_CREAT | O_RDWR | O_EXCL],
  ['xa+', O_APPEND | O_CREAT | O_RDWR | O_EXCL],
  ['as+', O_APPEND | O_CREAT | O_RDWR | O_SYNC],
  ['sa+', O_APPEND | O_CREAT | O_RDWR | O_SYNC],
]);

/** The bits that flags stand for; reading, when there are none. */
export function openFlags(flags: unknown): number {
  if (typeof flags === 'number') return int32(flags, 'flags');
  if (flags === undefined || flags === null) return O_RDONLY;
  const bits = typeof flags === 'string' ? WORDS.get(flags) : undefined;
  if (bits === undefined) throw invalidValue('flags', flags);
  return bits;
}

/** Whether a file opened so may be read. */
export function mayRead(flags: number): boolean {
  return (flags & (O_WRONLY | O_RDWR)) !== O_WRONLY;
}

/** Whether a file opened so may be written. */
export function mayWrite(flags: number): boolean {
  return (flags & (O_WRONLY | O_RDWR)) !== O_RDONLY;
}
