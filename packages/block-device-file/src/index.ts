/**
 * A raw file or a block special file as a `BlockDevice`: sparse, in place, fast while its bytes
 * are in the page cache and patient when they are not, with exact errors, durable names, and a
 * lock for exclusive use.
 */
export { renameDurably, syncDirectoryOf } from './directory.js';
export type { FileDeviceOptions } from './file-device.js';
export { openFileDevice } from './file-device.js';
export type { FileLock } from './lock-file.js';
export { lockFile } from './lock-file.js';
export { translate as translateSystemError } from './system-errors.js';
