/**
 * Dirent: a name in a directory and the type of what has it.
 */
import type { Buffer } from 'node:buffer';
import type { FileType } from '../vfs.js';

/** See the head of the file. */
export class Dirent<Name extends string | Buffer = string> {
  readonly name: Name;
  /** The path of the directory, as it was given. */
  readonly parentPath: string;
  /** The same, under its former name. */
  readonly path: string;
  readonly #type: FileType;

  constructor(name: Name, parentPath: string, type: FileType) {
    this.name = name;
    this.parentPath = parentPath;
    this.path = parentPath;
    this.#type = type;
  }

  isDirectory(): boolean {
    return this.#type === 'directory';
  }

  isFile(): boolean {
    return this.#type === 'file';
  }

  isBlockDevice(): boolean {
    return this.#type === 'block-device';
  }

  isCharacterDevice(): boolean {
    return this.#type === 'character-device';
  }

  isSymbolicLink(): boolean {
    return this.#type === 'symlink';
  }

  isFIFO(): boolean {
    return this.#type === 'fifo';
  }

  isSocket(): boolean {
    return this.#type === 'socket';
  }
}
