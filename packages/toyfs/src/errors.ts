/**
 * FsError: every failure of the file system, with a `code` that is the contract. One table says for
 * each code what Node, NFS, SFTP and HTTP call it, so that every protocol tells the same story.
 */

/** What the protocols call one failure. */
export interface ErrorRow {
  /** Linux's number, as Node's `err.errno` has it: negative. */
  readonly errno: number;
  /** The sentence that Node puts after the code. */
  readonly sentence: string;
  /** NFSv3's status (RFC 1813). */
  readonly nfs3: number;
  /** SFTP version 3's status. */
  readonly sftp: number;
  /** HTTP's status. */
  readonly http: number;
}

/** Every code that the file system throws. The comment of `FsErrorCode` says when. */
const ROWS: Readonly<Record<FsErrorCode, ErrorRow>> = {
  ENOENT: row(-2, 'no such file or directory', 2, 2, 404),
  ENOTDIR: row(-20, 'not a directory', 20, 4, 409),
  EISDIR: row(-21, 'illegal operation on a directory', 21, 4, 405),
  EEXIST: row(-17, 'file already exists', 17, 4, 405),
  ENOTEMPTY: row(-39, 'directory not empty', 66, 4, 409),
  EACCES: row(-13, 'permission denied', 13, 3, 403),
  EPERM: row(-1, 'operation not permitted', 1, 3, 403),
  EROFS: row(-30, 'read-only file system', 30, 3, 403),
  ENOSPC: row(-28, 'no space left on device', 28, 4, 507),
  EDQUOT: row(-122, 'disk quota exceeded', 69, 4, 507),
  EFBIG: row(-27, 'file too large', 27, 4, 413),
  ENAMETOOLONG: row(-36, 'name too long', 63, 4, 414),
  ELOOP: row(-40, 'too many symbolic links encountered', 62, 4, 508),
  EMLINK: row(-31, 'too many links', 31, 4, 409),
  EXDEV: row(-18, 'cross-device link not permitted', 18, 4, 502),
  EINVAL: row(-22, 'invalid argument', 22, 4, 409),
  ESTALE: row(-116, 'stale file handle', 70, 4, 410),
  EBADF: row(-9, 'bad file descriptor', 10001, 4, 410),
  EBUSY: row(-16, 'resource busy or locked', 10008, 4, 503),
  EIO: row(-5, 'i/o error', 5, 4, 500),
  ENODATA: row(-61, 'no data available', 10004, 4, 404),
  ENXIO: row(-6, 'no such device or address', 6, 4, 409),
  ERANGE: row(-34, 'result too large', 10004, 4, 413),
  EOPNOTSUPP: row(-95, 'operation not supported on socket', 10004, 8, 501),
};

/**
 * What can go wrong.
 *
 * | Code | When |
 * | --- | --- |
 * | ENOENT | a name that is not there; an inode number that is free |
 * | ENOTDIR, EISDIR | a directory's operation on something else, a file's on a directory |
 * | EEXIST | the name is taken; `setXattr` with `create` |
 * | ENOTEMPTY | `rmdir`, or `rename` over a directory, with names in it |
 * | EACCES | the mode bits refuse (path level; the inode level asks nobody) |
 * | EPERM | a hard link to a directory |
 * | EROFS | the device, the image or `readOnly` allows no change; a failed write made it so |
 * | ENOSPC | no block, or no inode, is left; xattrs that do not fit |
 * | EDQUOT | the device had no space for a block that the file system has |
 * | EFBIG | past 16 TiB, or past what the inode's block map can address |
 * | ENAMETOOLONG | a name of more than 255 bytes; a symbolic link of more than 4,095 |
 * | ELOOP | more than 40 symbolic links (path level) |
 * | EMLINK | more than 65,000 links |
 * | EINVAL | a directory moved into itself; a name with `/` or a zero byte; a negative length |
 * | ESTALE | the file system was closed, or the inode is another one now |
 * | EBUSY | frozen for longer than the deadline; the root directory removed or renamed |
 * | EIO | the device failed, or a structure on it does not make sense |
 * | ENODATA | no such xattr |
 * | ENXIO | `seek` past the end, or no data after the offset |
 * | ERANGE | an xattr of more than 64 KiB |
 * | EOPNOTSUPP | what the image's format cannot do, such as punching holes without extents |
 */
export type FsErrorCode =
  | 'ENOENT'
  | 'ENOTDIR'
  | 'EISDIR'
  | 'EEXIST'
  | 'ENOTEMPTY'
  | 'EACCES'
  | 'EPERM'
  | 'EROFS'
  | 'ENOSPC'
  | 'EDQUOT'
  | 'EFBIG'
  | 'ENAMETOOLONG'
  | 'ELOOP'
  | 'EMLINK'
  | 'EXDEV'
  | 'EINVAL'
  | 'ESTALE'
  | 'EBADF'
  | 'EBUSY'
  | 'EIO'
  | 'ENODATA'
  | 'ENXIO'
  | 'ERANGE'
  | 'EOPNOTSUPP';

/** One row a code, for the protocols. */
export const ERROR_TABLE: Readonly<Record<FsErrorCode, ErrorRow>> = ROWS;

function row(errno: number, sentence: string, nfs3: number, sftp: number, http: number): ErrorRow {
  return { errno, sentence, nfs3, sftp, http };
}

/** A failure of the file system. `message` names what and where; `cause` keeps what is underneath. */
export class FsError extends Error {
  readonly code: FsErrorCode;

  constructor(code: FsErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'FsError';
    this.code = code;
  }

  /** Linux's number, negative, as Node has it. */
  get errno(): number {
    return ROWS[this.code].errno;
  }
}

/** Tells whether `error` is an FsError, and of the given code when one is named. */
export function isFsError(error: unknown, code?: FsErrorCode): error is FsError {
  return error instanceof FsError && (code === undefined || error.code === code);
}
