/**
 * For tests of what stands on a Vfs: a file system in memory that is obviously right, and one that is late.
 */
export { lateVfs } from './late-vfs.js';
export { MemoryVfs, type MemoryVfsOptions } from './memory-vfs.js';
