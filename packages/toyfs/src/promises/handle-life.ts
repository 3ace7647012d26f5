/**
 * HandleLife: from opening to letting go. `close` waits for what was begun, and for streams.
 *
 *   F1  What was called before `close` ends before the file is let go; what is called once it is gone
 *       rejects.
 */
import type { Answer } from '../vfs.js';

/** See the head of the file. */
export class HandleLife {
  /** Resolves when the file was let go, with what letting it go came to. */
  readonly ended: Promise<void>;
  readonly #letGo: () => Answer<void>;
  #settle: (answer: Answer<void>) => void = () => undefined;
  #uses = 1;
  #isClosing = false;

  constructor(letGo: () => Answer<void>) {
    this.#letGo = letGo;
    this.ended = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  get isClosing(): boolean {
    return this.#isClosing;
  }

  get isGone(): boolean {
    return this.#uses === 0;
  }

  /** One more who needs the file. */
  ref(): void {
    this.#uses++;
  }

  /** The counterpart of `ref`; the last one lets the file go. */
  unref(): void {
    this.#uses--;
    if (this.#uses > 0) return;
    try {
      this.#settle(this.#letGo());
    } catch (error) {
      this.#settle(Promise.reject(error));
    }
  }

  /** Begins to close; false when that was begun before. */
  close(): boolean {
    if (this.#isClosing) return false;
    this.#isClosing = true;
    this.unref();
    return true;
  }
}
