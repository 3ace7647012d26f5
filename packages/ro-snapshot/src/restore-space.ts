/**
 * RestoreSpace: the space of the save volume that restores of a volume have set aside, and what of it
 * is used by blocks that are held.
 *
 *   RS4  The space to save every block that may differ is set aside when a restore starts, or it does
 *        not start; when the store is reopened it is set aside again as far as there is any. A block
 *        that is not done may take several blocks of space, one a layer and one for the snapshots
 *        taken since, and the space for all of them is secured before it is held.
 */
import type { EarmarkedSpace, SaveVolume } from '@palimpsest/save-volume';

/** See the file header. */
export class RestoreSpace {
  readonly #save: SaveVolume;
  #earmark: EarmarkedSpace | undefined;
  /** Blocks of space beyond the first that a block which is held and not done has taken. */
  readonly #extra = new Map<number, number>();

  constructor(save: SaveVolume) {
    this.#save = save;
  }

  /** Blocks still set aside. */
  get blocks(): number {
    return this.#earmark?.blocks ?? 0;
  }

  /** Uses `earmark` from now on, beside or (undefined) instead of what there was. */
  use(earmark: EarmarkedSpace | undefined): void {
    this.#earmark?.release();
    this.#earmark = earmark;
  }

  /**
   * Secures space for `count` blocks of a request, of which `undone` are not done and need `each`
   * blocks. What is not used of the first `count` is the caller's to give back.
   */
  secure(count: number, undone: readonly number[], each: number): boolean {
    const fresh = undone.filter((block) => !this.#extra.has(block));
    const extra = fresh.length * Math.max(0, each - 1);
    const taken = Math.min(this.#earmark?.blocks ?? 0, undone.length + extra);
    const rest = count + extra - taken;
    if (rest > 0 && !this.#save.reserve(rest)) return false;
    if (taken > 0) this.#earmark?.take(taken);
    for (const block of fresh) this.#extra.set(block, Math.max(0, each - 1));
    return true;
  }

  /** What `secure` would have to find in the store at most. */
  needed(count: number, undone: number, each: number): number {
    return count + undone * Math.max(0, each - 1);
  }

  /** The block is done: what it took beyond its own block is committed, or was not needed. */
  settled(block: number): void {
    const extra = this.#extra.get(block);
    if (extra === undefined) return;
    this.#extra.delete(block);
    this.#save.settled(extra);
  }

  /** Gives everything back, for an owner that will never commit again. */
  forfeit(): void {
    for (const block of [...this.#extra.keys()]) this.settled(block);
    this.use(undefined);
  }
}
