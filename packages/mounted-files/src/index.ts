/**
 * The file systems on the volumes, snapshots and branches of a store: mounted each once, at rest when a
 * snapshot is taken, and what people do with files as verbs.
 */
export { fileErrorStatus } from './explain.js';
export type { FileErrorCode } from './file-error.js';
export { FileError } from './file-error.js';
export type {
  CheckFinding,
  CheckInfo,
  CopyInfo,
  CopyTarget,
  FileChange,
  FileInfo,
  FilePlace,
  FileSpace,
  FileVerbs,
  FormatInfo,
  TreeData,
  TreeEntry,
  TreePart,
} from './file-types.js';
export { createFileVerbs } from './file-verbs.js';
export type { Mount, Mounts, MountsOptions } from './mounts.js';
export { createMounts } from './mounts.js';
export type { ImageChoice } from './open-image.js';
