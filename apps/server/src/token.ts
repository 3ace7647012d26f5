/**
 * The token of the control API: 256 random bits in a file that only its owner can read. It is never
 * put in a URL, an argument or a log.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { StorageError } from '@palimpsest/block-device';
import { translateSystemError } from '@palimpsest/block-device-file';
import { tokenPath } from './layout.js';

/** The store's token, made when there is none. */
export async function ensureToken(directory: string): Promise<string> {
  const name = tokenPath(directory);
  try {
    const token = randomBytes(32).toString('hex');
    // "wx": never through a link or over a file that someone else put there.
    await writeFile(name, `${token}\n`, { flag: 'wx', mode: 0o600, flush: true });
    return token;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST')
      throw translateSystemError(error, `write ${name}`);
    return readToken(directory);
  }
}

/**
 * The store's token.
 * @throws {StorageError} ERR_NOT_FOUND when there is none; ERR_INVALID when it is not one.
 */
export async function readToken(directory: string): Promise<string> {
  const name = tokenPath(directory);
  const token = await readFile(name, 'utf8').catch((error) => {
    throw translateSystemError(error, `read ${name}`);
  });
  if (!/^[0-9a-f]{64}\n?$/.test(token)) {
    throw new StorageError(
      'ERR_INVALID',
      `${name} does not hold a token; remove it and restart the daemon, which makes a new one`,
    );
  }
  return token.trim();
}

/** Compares in a time that tells nothing of where they differ. */
export function sameToken(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
