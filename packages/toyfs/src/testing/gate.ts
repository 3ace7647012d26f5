/**
 * Gate: lets work pass, or has it wait until it is opened again.
 */
import { failure } from './memory-tree.js';

/** See the head of the file. */
export class Gate {
  #closed: { readonly opened: Promise<void>; readonly open: () => void } | undefined;

  /** @throws {FsError} EBUSY when it is closed already */
  close(): void {
    if (this.#closed !== undefined) throw failure('EBUSY');
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    this.#closed = { opened, open };
  }

  open(): void {
    this.#closed?.open();
    this.#closed = undefined;
  }

  /** Work, at once or later. */
  pass<T>(work: () => T | Promise<T>): T | Promise<T> {
    return this.#closed === undefined ? work() : this.#closed.opened.then(() => this.pass(work));
  }
}
