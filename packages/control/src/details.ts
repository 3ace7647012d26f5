/** What users may say about a snapshot when it is taken, or later: message, labels, holds, expiry. */
import { StorageError } from '@palimpsest/block-device';
import { quote } from './names.js';
import type { Labels } from './records.js';

/** Characters of a snapshot's message: a paragraph. It is kept in the metadata, in memory. */
const LONGEST_MESSAGE = 1000;
/** Labels of one thing, and characters of each name and value, for the same reason. */
const LABELS_MAX = 32;
const LONGEST_LABEL = 128;

/** See `Store.createSnapshot`. */
export interface Details {
  readonly message?: string;
  readonly labels?: Labels;
  /** A hold from the beginning, by its tag. */
  readonly hold?: string;
  /** Milliseconds from now after which it is deleted by itself. */
  readonly expiresInMs?: number;
}

/** @throws {StorageError} ERR_INVALID with the numbers. */
export function assertDetails({ message, labels, hold, expiresInMs }: Details): void {
  if (message !== undefined) assertText('message', message, LONGEST_MESSAGE, true);
  if (labels !== undefined) assertLabels(labels);
  if (hold !== undefined) assertTag(hold);
  if (expiresInMs !== undefined && !(Number.isSafeInteger(expiresInMs) && expiresInMs > 0)) {
    throw new StorageError(
      'ERR_INVALID',
      `it cannot expire in ${expiresInMs} ms; say an age such as 2h or 30d`,
    );
  }
}

/** @throws {StorageError} ERR_INVALID. */
export function assertLabels(labels: Labels): void {
  const entries = Object.entries(labels);
  if (entries.length > LABELS_MAX) {
    throw new StorageError('ERR_INVALID', `${entries.length} labels; there can be ${LABELS_MAX}`);
  }
  for (const [name, value] of entries) {
    assertText('label name', name, LONGEST_LABEL, false);
    if (name === '') throw new StorageError('ERR_INVALID', 'a label has no name; write NAME=VALUE');
    assertText(`label ${quote(name)}`, value, LONGEST_LABEL, false);
  }
}

/** @throws {StorageError} ERR_INVALID. */
export function assertTag(tag: string): void {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(tag)) return;
  throw new StorageError(
    'ERR_INVALID',
    `${quote(tag)} cannot tag a hold: 1 to 64 letters, digits, dots, underscores and dashes`,
  );
}

/** @throws {StorageError} ERR_INVALID. */
export function assertMessage(message: string): void {
  assertText('message', message, LONGEST_MESSAGE, true);
}

/** The attributes that keep them. */
export function detailAttributes(
  { message, labels, hold, expiresInMs }: Details,
  now: number,
  by: string,
): Readonly<Record<string, unknown>> {
  return {
    ...(message === undefined ? {} : { message }),
    ...(labels === undefined ? {} : { labels }),
    ...(hold === undefined ? {} : { holds: { [hold]: { since: now, by } } }),
    ...(expiresInMs === undefined ? {} : { expiresAt: now + expiresInMs }),
  };
}

function assertText(what: string, text: string, longest: number, lines: boolean): void {
  if (text.length > longest) {
    throw new StorageError(
      'ERR_INVALID',
      `the ${what} has ${text.length} characters; write at most ${longest}`,
    );
  }
  if (/\p{Cc}/u.test(lines ? text.replaceAll('\n', '') : text)) {
    throw new StorageError('ERR_INVALID', `the ${what} has a control character; write plain text`);
  }
}
