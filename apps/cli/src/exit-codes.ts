/** Exit codes: what a script can tell failures apart by. docs/CLI.md shows this table. */

/** Every exit code, with its meaning. */
export const EXIT_CODES = {
  ok: { code: 0, meaning: 'done' },
  failure: { code: 1, meaning: 'failed: an I/O error, a daemon that does not answer, a bug' },
  usage: {
    code: 2,
    meaning: 'not understood: an argument, a name, a size, or a question that nobody could answer',
  },
  notFound: { code: 3, meaning: 'no such store, volume, snapshot, branch or file' },
  conflict: { code: 4, meaning: 'the name is taken, or something depends on the thing or uses it' },
  busy: { code: 5, meaning: 'the store, an image or a port is held by another process' },
  noSpace: { code: 6, meaning: 'no space is left' },
  damaged: { code: 7, meaning: 'the save volume, or a file system, is damaged or is not one' },
  denied: { code: 8, meaning: 'not allowed' },
  forced: { code: 130, meaning: 'stopped at once by a second Ctrl-C' },
} as const satisfies Readonly<Record<string, { readonly code: number; readonly meaning: string }>>;

const BY_ERROR: Readonly<Record<string, keyof typeof EXIT_CODES>> = {
  ERR_INVALID: 'usage',
  ERR_UNSUPPORTED: 'usage',
  ERR_MISALIGNED: 'usage',
  ERR_OUT_OF_RANGE: 'usage',
  ERR_BAD_REQUEST: 'usage',
  ERR_NOT_FOUND: 'notFound',
  ERR_EXISTS: 'conflict',
  ERR_IN_USE: 'conflict',
  ERR_BUSY: 'busy',
  ERR_NOT_OWNER: 'busy',
  ERR_NO_SPACE: 'noSpace',
  ERR_CORRUPT: 'damaged',
  ERR_FORMAT: 'damaged',
  ERR_READ_ONLY: 'denied',
  ERR_UNAUTHORIZED: 'denied',
  ERR_FORBIDDEN: 'denied',
  // Of files, as Node names them.
  ENOENT: 'notFound',
  EEXIST: 'conflict',
  ENOTEMPTY: 'conflict',
  EBUSY: 'conflict',
  ESTALE: 'conflict',
  ENOSPC: 'noSpace',
  EDQUOT: 'noSpace',
  EROFS: 'denied',
  EACCES: 'denied',
  EPERM: 'denied',
  EINVAL: 'usage',
  EISDIR: 'usage',
  ENOTDIR: 'usage',
  EXDEV: 'usage',
  ENAMETOOLONG: 'usage',
  ELOOP: 'usage',
};

/** The exit code of a failure, by its `code`. */
export function exitCodeOf(error: unknown): number {
  const { code } = (error ?? {}) as { code?: unknown };
  const kind = typeof code === 'string' ? BY_ERROR[code] : undefined;
  return EXIT_CODES[kind ?? 'failure'].code;
}
