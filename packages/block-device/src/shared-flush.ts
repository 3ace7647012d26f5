/**
 * Flushes of one device that many ask for at once: whoever comes while a flush runs shares the next
 * one, since only a flush that begins after a write covers it (D2).
 */
import type { BlockDevice, Completion } from './block-device.js';

/** See the file header. */
export class SharedFlush {
  readonly #device: BlockDevice;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(device: BlockDevice) {
    this.#device = device;
  }

  /** Resolves when a flush that began after this call has ended. */
  flush(): Completion {
    if (this.#running === undefined) return this.#start();
    this.#next ??= this.#running.then(
      () => this.#startNext(),
      () => this.#startNext(),
    );
    return this.#next;
  }

  async #startNext(): Promise<void> {
    this.#next = undefined;
    await this.#start();
  }

  #start(): Completion {
    const completion = this.#device.flush();
    if (completion === undefined) return undefined;
    const running = completion.finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }
}
