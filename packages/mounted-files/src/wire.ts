/** What crosses between a daemon and its clients about files, without loading a file system. */
export { FileError } from './file-error.js';
