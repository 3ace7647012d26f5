/**
 * EarmarkedSpace: space of the save volume that is set aside for work that must be able to end, such
 * as a restore, however full the store gets meanwhile. It is not held data: nobody waits for it to be
 * committed, and it starts no commit.
 *
 *   E3  What is set aside counts as reserved, with the pages that its entries will take, from the
 *        instant it is granted: `take` turns a part of it into the space of held blocks and cannot fail.
 *   E4  It lives in memory only. A restart has to set aside again before anything else is written.
 *        Whoever knows exactly what it had before a crash gets that even where it comes to some of what
 *        is kept for metadata (`evenReserved`): it was granted beside it once.
 */
import { invariant } from '@palimpsest/block-device';

/** What the save volume counts for its earmarks. */
export interface EarmarkAccount {
  /** The space is held data now: `SaveVolume.settled` gives it back. */
  held(blocks: number): void;
  /** Space that was held, and has just become free, is set aside again. */
  regained(blocks: number): void;
  /** The space is free again. */
  freed(blocks: number, marks: number): void;
}

/** See the file header. Made by `SaveVolume.setAside`. */
export class EarmarkedSpace {
  readonly #account: EarmarkAccount;
  #blocks: number;
  #marks: number;

  /** @internal */
  constructor(account: EarmarkAccount, blocks: number, marks: number) {
    this.#account = account;
    this.#blocks = blocks;
    this.#marks = marks;
  }

  /** Blocks still set aside. */
  get blocks(): number {
    return this.#blocks;
  }

  /** Entries without bytes for which room is still set aside in the map. */
  get marks(): number {
    return this.#marks;
  }

  /**
   * Moves `blocks` blocks to the space of data that is held for a commit, as a `reserve` that cannot
   * fail. Whoever takes them gives them back with `SaveVolume.settled`, as after `reserve`.
   */
  take(blocks: number): void {
    invariant(blocks <= this.#blocks, `${blocks} of ${this.#blocks} blocks set aside are taken`);
    this.#blocks -= blocks;
    this.#account.held(blocks);
  }

  /**
   * Takes `blocks` blocks back that were taken, turned out not to be needed, and were given back with
   * `SaveVolume.settled` in this same turn, so that nobody else can have them.
   */
  regain(blocks: number): void {
    this.#blocks += blocks;
    this.#account.regained(blocks);
  }

  /** `marks` entries without bytes are in the map now, and need no room any more. */
  marked(marks: number): void {
    const done = Math.min(marks, this.#marks);
    this.#marks -= done;
    this.#account.freed(0, done);
  }

  /** Gives `blocks` blocks back: all, and the room for marks too, when no number is given. */
  release(blocks?: number): void {
    const back = Math.min(blocks ?? this.#blocks, this.#blocks);
    const marks = blocks === undefined ? this.#marks : 0;
    this.#blocks -= back;
    this.#marks -= marks;
    this.#account.freed(back, marks);
  }
}
