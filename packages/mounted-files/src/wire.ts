/** What crosses between a daemon and its clients about files, without loading a file system. */
export type { FileErrorCode } from './file-error.js';
export { FileError } from './file-error.js';
export { decodeTree, encodeTree } from './tree-codec.js';
export type { TreeMaker } from './tree-maker.js';
export { makeTree } from './tree-maker.js';
