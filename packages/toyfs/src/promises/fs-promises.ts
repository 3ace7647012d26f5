/**
 * fsPromises: all 30 functions of Node 20's `fs.promises`, and the file system's own, on any Vfs.
 */
import type { Vfs } from '../vfs.js';
import { type AttributeFunctions, attributeFunctions } from './attribute-functions.js';
import { Caller, type NodeFsOptions } from './caller.js';
import { constants } from './constants.js';
import { type CpOptions, copyTree } from './copy-tree.js';
import { type DirectoryFunctions, directoryFunctions } from './directory-functions.js';
import { type FileFunctions, fileFunctions } from './file-functions.js';
import { type NameFunctions, nameFunctions } from './name-functions.js';
import { type OwnFunctions, ownFunctions } from './own-functions.js';
import type { PathLike } from './path-like.js';
import { type RemoveFunctions, removeFunctions } from './remove-functions.js';
import { SystemCalls } from './system-calls.js';
import { type WatchFunction, watchFunction } from './watch-function.js';

/** See the head of the file. The functions need no `this`. */
export interface FsPromises
  extends AttributeFunctions,
    DirectoryFunctions,
    FileFunctions,
    NameFunctions,
    OwnFunctions,
    RemoveFunctions,
    WatchFunction {
  cp(from: PathLike, to: PathLike, options?: CpOptions): Promise<void>;
  readonly constants: typeof constants;
}

/** The API on a Vfs, on behalf of one user. */
export function fsPromises(vfs: Vfs, options?: NodeFsOptions): FsPromises {
  return promisesOf(new Caller(vfs, options));
}

/** The API for one caller. */
export function promisesOf(caller: Caller): FsPromises {
  const calls = new SystemCalls(caller);
  const most = {
    ...attributeFunctions(caller, calls),
    ...directoryFunctions(caller, calls),
    ...fileFunctions(caller, calls),
    ...nameFunctions(caller, calls),
    ...removeFunctions(caller, calls),
  };
  return {
    ...most,
    cp: copyTree(most, caller.cwd),
    ...watchFunction(caller),
    ...ownFunctions(caller, calls),
    constants,
  };
}
