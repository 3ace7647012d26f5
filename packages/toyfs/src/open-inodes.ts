/**
 * OpenInodes: who has which inode open, and the orphans: inodes that are to go, or to be shortened,
 * as soon as that can be. The list of orphans is on the device too, so that a crash forgets none:
 * the superblock names the first, and each names the next where it has no time of deletion.
 *
 *   P1  An inode without names is an orphan until it is free; one being shortened, until it is.
 *   P2  The list in memory is the one on the device, in the same order.
 */
import { FsError } from './errors.js';
import type { Image } from './image.js';
import type { Inode } from './inode.js';
import type { SuperState } from './super-state.js';

/** See the head of the file. */
export class OpenInodes {
  readonly #image: Image;
  readonly #super: SuperState;
  readonly #counts = new Map<number, number>();
  #orphans: readonly number[] = [];
  #settled: readonly number[] = [];

  constructor(image: Image, superState: SuperState) {
    this.#image = image;
    this.#super = superState;
  }

  isOpen(ino: number): boolean {
    return this.#counts.has(ino);
  }

  open(ino: number): void {
    this.#counts.set(ino, (this.#counts.get(ino) ?? 0) + 1);
  }

  /** Answers true when nobody has it open any more. @throws {FsError} EBADF when nobody had */
  release(ino: number): boolean {
    const count = this.#counts.get(ino);
    if (count === undefined) throw new FsError('EBADF', `inode ${ino} is not open`);
    if (count > 1) this.#counts.set(ino, count - 1);
    else this.#counts.delete(ino);
    return count === 1;
  }

  get orphans(): readonly number[] {
    return this.#orphans;
  }

  /** Reads the list. Runs as an operation. @throws {FsError} EIO when it goes in a circle */
  load(): void {
    const orphans: number[] = [];
    const seen = new Set<number>();
    for (let ino = this.#super.lastOrphan; ino !== 0; ino = this.#image.record(ino).dtime) {
      if (seen.has(ino)) throw new FsError('EIO', `the orphan list goes in a circle at ${ino}`);
      seen.add(ino);
      orphans.push(ino);
    }
    this.#orphans = orphans;
    this.#settled = orphans;
  }

  add(inode: Inode): void {
    if (this.#orphans.includes(inode.ino)) return;
    inode.edit().dtime = this.#super.lastOrphan;
    this.#super.lastOrphan = inode.ino;
    this.#orphans = [inode.ino, ...this.#orphans];
  }

  remove(inode: Inode): void {
    const index = this.#orphans.indexOf(inode.ino);
    if (index < 0) return;
    const next = this.#orphans[index + 1] ?? 0;
    if (index === 0) this.#super.lastOrphan = next;
    else this.#image.record(this.#orphans[index - 1] as number).edit().dtime = next;
    inode.edit().dtime = 0;
    this.#orphans = this.#orphans.filter((ino) => ino !== inode.ino);
  }

  /** The operation under way was good. */
  settle(): void {
    this.#settled = this.#orphans;
  }

  /** The operation under way is undone. */
  undo(): void {
    this.#orphans = this.#settled;
  }
}
