/**
 * Freezer: stops changes for a while and leaves a clean image on the device.
 *
 *   Z1  A freeze lets what has begun in steps end, commits, brings everything home and only then says
 *       that the image is clean; until the thaw nothing changes.
 *   Z2  Whatever happens while freezing, and when the deadline has passed, changes go on.
 */
import { FsError } from './errors.js';
import type { FileSystemParts } from './parts.js';
import { markRecovery } from './super-state.js';
import type { FreezeOptions } from './vfs.js';

/** See the head of the file. */
export class Freezer {
  readonly #parts: FileSystemParts;
  #thaw: (() => void) | undefined;
  #stopDeadline: (() => void) | undefined;

  constructor(parts: FileSystemParts) {
    this.#parts = parts;
  }

  /** @throws {FsError} EBUSY when frozen already; EIO when the device fails */
  async freeze({ deadlineMs }: FreezeOptions): Promise<void> {
    if (this.#thaw !== undefined) throw new FsError('EBUSY', 'the file system is frozen already');
    this.#thaw = this.#parts.image.core.close();
    try {
      await this.#makeClean();
    } catch (error) {
      await this.thaw(); // Z2
      throw error;
    }
    if (deadlineMs !== undefined) {
      this.#stopDeadline = this.#parts.timer?.(() => void this.thaw(), deadlineMs);
    }
  }

  async thaw(): Promise<void> {
    this.#stopDeadline?.();
    this.#stopDeadline = undefined;
    const thaw = this.#thaw;
    this.#thaw = undefined;
    thaw?.();
  }

  /** Z1 */
  async #makeClean(): Promise<void> {
    const { image, inodes } = this.#parts;
    const { core } = image;
    const { journal, device } = core;
    if (journal === undefined) return;
    while (inodes.steps.size > 0) await Promise.allSettled([...inodes.steps]);
    while (!core.isIdle) await core.commit();
    await core.alone(async () => {
      try {
        await journal.checkpoint();
        await markRecovery(device, image.geometry.blockSize, false);
      } catch (error) {
        core.fail(error);
        throw new FsError('EIO', 'the image could not be made clean', { cause: error });
      }
    });
  }
}
