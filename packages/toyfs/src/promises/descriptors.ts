/**
 * Descriptors: numbers for open files, the lowest free one first, as a process has them.
 */

/** 0, 1 and 2 are the process's own. */
const FIRST = 3;

/** See the head of the file. */
export class Descriptors<T> {
  readonly #open: (T | undefined)[] = [];

  /** The lowest number that is free, now taken for `file`. */
  add(file: T): number {
    const free = this.#open.indexOf(undefined);
    const at = free === -1 ? this.#open.length : free;
    this.#open[at] = file;
    return at + FIRST;
  }

  get(fd: number): T | undefined {
    return this.#open[fd - FIRST];
  }

  remove(fd: number): void {
    this.#open[fd - FIRST] = undefined;
    while (this.#open.length > 0 && this.#open.at(-1) === undefined) this.#open.pop();
  }
}
