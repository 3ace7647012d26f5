/**
 * Failures of a file system as sentences for people, each with what to type next. The code stays Node's.
 */
import { ERROR_TABLE, isFsError } from '@palimpsest/toyfs';
import { FileError, type FileErrorCode } from './file-error.js';
import type { FilePlace } from './file-types.js';

/** HTTP's status for each code. */
export function fileErrorStatus(code: FileErrorCode): number {
  return ERROR_TABLE[code].http;
}

/** Runs `work`; what it fails with is told about `place`. `readOnly` says why nothing can be changed. */
export async function explained<T>(
  place: FilePlace,
  work: () => Promise<T>,
  readOnly?: () => string | undefined,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw explanation(error, place, readOnly?.());
  }
}

/** A failure, told about a place; what is no failure of a file system stays what it is. */
export function explanation(error: unknown, place: FilePlace, readOnly?: string): unknown {
  if (error instanceof FileError) return error;
  const code = codeOf(error);
  if (code === undefined) return error;
  const say = SENTENCES[code] ?? ((_place, message) => message);
  const cause = isFsError(error) ? error.message : String((error as Error).message);
  return new FileError(code, say(place, cause, readOnly), { cause: error });
}

/** The code of a file system's failure, or of a call of Node's API on one. */
function codeOf(error: unknown): FileErrorCode | undefined {
  if (isFsError(error)) return error.code;
  const { code, syscall } = (error ?? {}) as { code?: unknown; syscall?: unknown };
  if (typeof code !== 'string' || typeof syscall !== 'string') return undefined;
  if (code === 'ENOTSUP') return 'EOPNOTSUPP';
  const own = code.replace(/^ERR_FS_/, ''); // Node's refusals of its own making
  return Object.hasOwn(ERROR_TABLE, own) ? (own as FileErrorCode) : undefined;
}

type Say = (place: FilePlace, message: string, readOnly?: string) => string;

const SENTENCES: Partial<Record<FileErrorCode, Say>> = {
  ENOENT: (place) =>
    `there is no ${shown(place)}; see what there is: pal fs ls ${place.reference}:${above(place)}`,
  ENOTDIR: (place) =>
    `${shown(place)} is no directory, or leads through something that is none; look: ` +
    `pal fs ls -l ${place.reference}:${above(place)}`,
  EISDIR: (place) => `${shown(place)} is a directory; with all that is in it: -r`,
  EEXIST: (place) =>
    `${shown(place)} is there already; remove it first: pal fs rm ${place.reference}:${place.path}`,
  ENOTEMPTY: (place) =>
    `${shown(place)} is not empty; with all that is in it: pal fs rm -r ${place.reference}:${place.path}`,
  EROFS: ({ reference }, message, readOnly) =>
    reference.includes('@')
      ? `${reference} is a snapshot and never changes; write to a branch of it: ` +
        `pal branch create NAME --from ${reference}`
      : `${reference} can only be read here: ${readOnly ?? message}`,
  ENOSPC: ({ reference }) => `the file system on ${reference} is full; see: pal fs df ${reference}`,
  EDQUOT: ({ reference }) =>
    `the store has no space for what ${reference} is to hold; see whose it is: pal space`,
  ENAMETOOLONG: (place) => `a name in ${shown(place)} is too long; 255 bytes at most`,
  ELOOP: (place) => `${shown(place)} leads through more than 40 symbolic links; look: pal fs ls -l`,
  EINVAL: (place, message) => `${shown(place)}: ${message}`,
  EXDEV: (place) =>
    `${shown(place)} is in another file system; copy it, and remove the original: pal fs cp -r`,
  ESTALE: ({ reference }) => `${reference} was replaced by something else meanwhile; try again`,
  EBUSY: (place) => `${shown(place)} is in use, or is the root directory, which stays where it is`,
  EIO: ({ reference }, message) => `the file system on ${reference} is damaged: ${message}`,
};

function shown({ reference, path }: FilePlace): string {
  return `${path === '' ? '/' : path} on ${reference}`;
}

function above({ path }: FilePlace): string {
  const names = path.split('/').filter((name) => name !== '');
  return `/${names.slice(0, -1).join('/')}`;
}
