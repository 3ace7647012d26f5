/**
 * Names: what users may call volumes, snapshots and branches. One rule for all three, narrow enough
 * that a name is never mistaken for part of a reference, a path, an option or a log line.
 */
import { StorageError } from '@palimpsest/block-device';
import { parseAge } from './ages.js';

/** Letters and digits first, then also dots, underscores and dashes; 1 to 128 of them. */
export const NAME_PATTERN: RegExp = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const LONGEST_NAME = 128;

/** What a name is for; used in messages only. */
export type NameKind = 'volume' | 'snapshot' | 'branch';

/**
 * Refuses what is not a name.
 * @throws {StorageError} ERR_INVALID with the reason and what a name may be.
 */
export function assertName(kind: NameKind, name: string): void {
  const fault = faultOf(name);
  if (fault === undefined) return;
  throw new StorageError(
    'ERR_INVALID',
    `${quote(name)} cannot name a ${kind}: ${fault}; a name is 1 to ${LONGEST_NAME} letters, ` +
      'digits, dots, underscores and dashes and starts with a letter or digit: "before-0042"',
  );
}

/**
 * Shows text from outside in a message: quoted, control characters escaped, cut at 60 characters,
 * so that it cannot forge a line of a log or move a terminal's cursor.
 */
export function quote(text: string): string {
  const shown = text.length > 60 ? `${text.slice(0, 57)}...` : text;
  return JSON.stringify(shown).replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/**
 * Makes a snapshot's name from the time it is taken: "20261122-170512" (UTC), with "-2", "-3", ...
 * added while the name is taken.
 */
export function generatedName(
  nowMs: number,
  isTaken: (name: string) => boolean,
  start = '',
): string {
  const stamp = new Date(nowMs)
    .toISOString()
    .slice(0, 19)
    .replaceAll(/[-:]/g, '')
    .replace('T', '-');
  for (let number = 1; ; number += 1) {
    const name = `${start}${number === 1 ? stamp : `${stamp}-${number}`}`;
    if (!isTaken(name)) return name;
  }
}

/**
 * Makes the name under which a replaced state is kept: "dev-before-20261122-170512" of "dev", cut so
 * that it stays a name.
 */
export function keptName(name: string, nowMs: number, isTaken: (name: string) => boolean): string {
  const ending = '-before-20260101-000000-99'.length;
  const start = name.slice(0, LONGEST_NAME - ending);
  return generatedName(nowMs, isTaken, `${start}-before-`);
}

function faultOf(name: string): string | undefined {
  if (name === '') return 'it is empty';
  if (name.length > LONGEST_NAME) return `it has ${name.length} characters`;
  if (name.includes('/')) return 'it has a slash';
  if (name.includes('@')) return 'it has an "@"';
  if (/\p{Cc}/u.test(name)) return 'it has a control character';
  if (!NAME_PATTERN.test(name)) return 'it has a character that names do not have';
  if (name.toLowerCase() === 'latest') return '"latest" means the youngest snapshot';
  if (parseAge(name) !== undefined) return 'it reads as an age';
  return undefined;
}
