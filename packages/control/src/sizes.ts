/**
 * Sizes as people write them: "64M", "1.5GiB", "16T", "4096". Units are powers of 1024, as every
 * disk tool beside us has them.
 */
import { StorageError } from '@palimpsest/block-device';
import { quote } from './names.js';

const UNITS = ['', 'K', 'M', 'G', 'T', 'P'] as const;

/**
 * Reads a size in bytes.
 * @throws {StorageError} ERR_INVALID when `text` is not a size, or not a whole number of bytes.
 */
export function parseSize(text: string): number {
  const match = /^([0-9]+(?:\.[0-9]+)?)\s*(?:([KMGTP])(?:i?B)?|B)?$/i.exec(text.trim());
  const power = UNITS.findIndex((unit) => unit === (match?.[2] ?? '').toUpperCase());
  const bytes = Number(match?.[1] ?? Number.NaN) * 1024 ** power;
  if (!Number.isSafeInteger(bytes)) {
    throw new StorageError(
      'ERR_INVALID',
      `${quote(text)} is not a size; write bytes, or a number with K, M, G, T or P: 64M, 16T`,
    );
  }
  return bytes;
}

/** Shows bytes for people: "64 MiB", "1.5 GiB", "512 bytes". Exact sizes stay exact. */
export function formatSize(bytes: number): string {
  let power = 0;
  while (power < UNITS.length - 1 && bytes >= 1024 ** (power + 1)) power += 1;
  if (power === 0) return `${bytes} bytes`;
  const value = bytes / 1024 ** power;
  const shown = Number.isInteger(value) ? String(value) : value.toFixed(value < 10 ? 2 : 1);
  return `${shown} ${UNITS[power]}iB`;
}
