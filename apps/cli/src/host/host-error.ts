/** Failures of this machine's own files, as those of a store's are told. */
import { FileError, type FileErrorCode } from '@palimpsest/mounted-files/wire';

/** Runs `work` on a path here; what the system refuses becomes a FileError that names it. */
export async function here<T>(path: string | Uint8Array, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code, syscall } = (error ?? {}) as { code?: unknown; syscall?: unknown };
    if (typeof code !== 'string' || typeof syscall !== 'string') throw error;
    const shown = typeof path === 'string' ? path : Buffer.from(path).toString();
    throw new FileError(code as FileErrorCode, `${shown} here: ${SENTENCES[code] ?? code}`, {
      cause: error,
    });
  }
}

const SENTENCES: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or directory',
  ENOTDIR: 'it is no directory, or leads through something that is none',
  EISDIR: 'it is a directory; with all that is in it: -r',
  EEXIST: 'it is there already',
  EACCES: 'you may not do that',
  EPERM: 'you may not do that',
  ENOSPC: 'no space is left',
  EROFS: 'it is in a file system that is only read',
};
