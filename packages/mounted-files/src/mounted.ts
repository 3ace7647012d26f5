/**
 * Mounted: one file system of a store while it is open here, from the first user to the end of the quiet
 * time after the last one.
 *
 *   MD1  It ends once, by whoever comes first: the quiet time, somebody who wants the device, the end of
 *        all. Then the image is clean, unless it could not be written.
 *   MD2  `letGo` waits for no turn of the store: whoever asks has it.
 */
import type { BlockDevice } from '@palimpsest/block-device';
import type { OpenExport } from '@palimpsest/control';
import type { FileSystem, Timer } from '@palimpsest/toyfs';
import type { ImageChoice } from './open-image.js';

/** What one needs of the place where it is kept. */
export interface MountedMeans {
  readonly timer: Timer;
  /** Milliseconds that it stays open without users. */
  readonly idleMs: number;
  /** Milliseconds that a freeze may take, and may last. */
  readonly freezeMs: number;
  /** Told that it ends: from then on it is not to be found. */
  forget(mounted: Mounted): void;
  /** Told of a failure that nobody else hears of. */
  warn(message: string): void;
}

/** See the head of the file. */
export class Mounted {
  readonly reference: string;
  readonly choice: ImageChoice;
  /** Resolves when it is open. */
  readonly opened: Promise<FileSystem>;
  users = 0;
  readonly #means: MountedMeans;
  #fs: FileSystem | undefined;
  #share: OpenExport | undefined;
  #stopIdling: () => void = () => undefined;
  #ended: Promise<void> | undefined;

  constructor(
    reference: string,
    choice: ImageChoice,
    means: MountedMeans,
    open: (mounted: Mounted) => Promise<{ share: OpenExport; image: Promise<FileSystem> }>,
  ) {
    this.reference = reference;
    this.choice = choice;
    this.#means = means;
    this.opened = this.#open(open);
    this.opened.catch(() => undefined); // Every user hears of it, and there is one.
  }

  /** What it lies on, once it is open. */
  get device(): BlockDevice | undefined {
    return this.#share?.device;
  }

  /** One user more. */
  enter(): void {
    this.users += 1;
    this.#stopIdling();
  }

  /** One user less; resolves when nothing more is done for that. */
  async leave(): Promise<void> {
    this.users -= 1;
    if (this.users > 0 || this.#ended !== undefined) return;
    if (this.#fs === undefined) return this.end();
    const { idleMs, timer, warn } = this.#means;
    if (idleMs === 0) return this.end();
    this.#stopIdling = timer(() => {
      this.end().catch((error) => warn(`closing ${this.reference} failed: ${String(error)}`));
    }, idleMs);
  }

  /** MD1, MD2: see `OpenHow` of the store. */
  async letGo(force: boolean): Promise<boolean> {
    if (this.#ended === undefined && this.users > 0 && !force) return false;
    await this.#close().catch((error) => {
      // The bytes that are there are those that are used from now on; the journal brings them in order.
      this.#means.warn(`closing ${this.reference} failed: ${String(error)}`);
    });
    return true;
  }

  /** Closes it and gives the device back. */
  async end(): Promise<void> {
    try {
      await this.#close();
    } finally {
      await this.#share?.release();
    }
  }

  /**
   * Makes its image clean and keeps it so until the answered function is called, or the deadline is over.
   * Undefined when there is nothing to write.
   */
  async freeze(): Promise<(() => Promise<void>) | undefined> {
    if (this.#ended !== undefined) await this.#ended; // It is being made clean already.
    const fs = this.#fs;
    if (fs === undefined || fs.readOnly || this.#ended !== undefined) return undefined;
    const { freezeMs, timer } = this.#means;
    let stop = (): void => {};
    const late = new Promise<'late'>((resolve) => {
      stop = timer(() => resolve('late'), freezeMs);
    });
    const frozen = fs.freeze({ deadlineMs: freezeMs });
    try {
      // What is late is let go on whenever it comes to rest.
      if ((await Promise.race([frozen, late])) === 'late')
        frozen.then(
          () => fs.thaw(),
          () => {},
        );
    } finally {
      stop();
    }
    return () => fs.thaw();
  }

  async #open(
    open: (mounted: Mounted) => Promise<{ share: OpenExport; image: Promise<FileSystem> }>,
  ): Promise<FileSystem> {
    const { share, image } = await open(this);
    this.#share = share;
    this.#fs = await image;
    return this.#fs;
  }

  #close(): Promise<void> {
    this.#stopIdling();
    if (this.#ended === undefined) {
      this.#means.forget(this);
      this.#ended = this.opened.then(
        (fs) => fs.close(),
        () => undefined, // what did not open has nothing to close
      );
    }
    return this.#ended;
  }
}
