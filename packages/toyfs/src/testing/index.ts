/**
 * For tests of what stands on a Vfs: a file system in memory that is obviously right.
 */
export { MemoryVfs, type MemoryVfsOptions } from './memory-vfs.js';
