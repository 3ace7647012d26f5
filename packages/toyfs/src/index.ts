/**
 * toyfs: a file system on any BlockDevice, in a subset of the ext4 format, so that every Linux tool
 * can check it. `Vfs` is the level of inodes, for FUSE and NFS and for whatever speaks of paths.
 */
export type { Credentials } from './access.js';
export { mayAccess, WANT_EXECUTE, WANT_READ, WANT_WRITE } from './access.js';
export { type CheckOptions, check } from './check/check.js';
export {
  FINDING_MEANINGS,
  type Finding,
  type FindingCode,
  type Severity,
} from './check/finding.js';
export type { Difference } from './diff.js';
export { diff } from './diff.js';
export type { ErrorRow, FsErrorCode } from './errors.js';
export { ERROR_TABLE, FsError, isFsError } from './errors.js';
export { FileSystem } from './file-system.js';
export { format } from './format.js';
export type { FormatOptions } from './format-plan.js';
export type { OpenOptions } from './open.js';
export { openFileSystem } from './open.js';
export type { OpenReport, Timer } from './parts.js';
export type { ProbedImage } from './probe.js';
export { probe } from './probe.js';
export type { NodeFsOptions } from './promises/caller.js';
export { Dir } from './promises/dir.js';
export { Dirent } from './promises/dirent.js';
export { FileHandle } from './promises/file-handle.js';
export { type FsPromises, fsPromises } from './promises/fs-promises.js';
export type { NodeSystemError } from './promises/node-errors.js';
export { type NodeFs, nodeFs } from './promises/node-fs.js';
export { BigIntStats, StatFs, Stats } from './promises/stats.js';
export type { UsedRange } from './used-blocks.js';
export type {
  Answer,
  AttributeChanges,
  Attributes,
  DirectoryEntry,
  FileType,
  FreezeOptions,
  FsEvent,
  FsStatistics,
  NewInode,
  RenameOptions,
  Vfs,
} from './vfs.js';
export { NAME_MAX, ROOT_INO, SYMLINK_MAX } from './vfs.js';
