/**
 * FileError: a failure at a path of a volume, snapshot or branch, with the code that Node's own fs has for
 * it. The message is a sentence for people, and says what to type next.
 */
import type { FsErrorCode } from '@palimpsest/toyfs';

/** What can go wrong at a path. */
export type FileErrorCode = FsErrorCode;

/** See the head of the file. */
export class FileError extends Error {
  readonly code: FileErrorCode;

  constructor(code: FileErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'FileError';
    this.code = code;
  }
}
