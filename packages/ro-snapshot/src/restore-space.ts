/**
 * RestoreSpace: the space of the save volume that restores of a volume have set aside, and what of it
 * is used by blocks that are held.
 *
 *   RS4  The space to save every block that may differ is set aside when a restore starts, or it does
 *        not start; when the store is reopened it is set aside again before anything is served. A block
 *        that is not done may take several blocks of space, one a layer and one for the snapshots
 *        taken since, and the space for all of them is secured before it is held. What it turns out
 *        not to need, because a crash came after it was saved, or because it is zeros, is set aside
 *        for the others again: so what they need is there until the last is done.
 */
import type { EarmarkedSpace, SaveVolume } from '@palimpsest/save-volume';

/** See the file header. */
export class RestoreSpace {
  readonly #save: SaveVolume;
  /** What was set aside, at once or as more was needed. */
  #earmarks: EarmarkedSpace[] = [];
  /** Blocks of space beyond the first that a held block has taken. */
  readonly #extra = new Map<number, number>();

  constructor(save: SaveVolume) {
    this.#save = save;
  }

  /** Blocks still set aside. */
  get blocks(): number {
    return this.#earmarks.reduce((sum, { blocks }) => sum + blocks, 0);
  }

  /** Entries without bytes for which there is room. */
  get marks(): number {
    return this.#earmarks.reduce((sum, { marks }) => sum + marks, 0);
  }

  /** Uses `earmark` too. What there was stays: given up first, it might not be had again. */
  add(earmark: EarmarkedSpace | undefined): void {
    if (earmark !== undefined) this.#earmarks.push(earmark);
  }

  /** Gives back what is more than `blocks`; everything, with the room for marks, for none. */
  shrinkTo(blocks: number): void {
    let surplus = Math.max(0, this.blocks - blocks);
    for (const earmark of this.#earmarks) {
      const part = Math.min(surplus, earmark.blocks);
      earmark.release(part);
      surplus -= part;
    }
    if (blocks > 0) return;
    for (const earmark of this.#earmarks) earmark.release();
    this.#earmarks = [];
  }

  /**
   * Secures space for `count` blocks of a request, of which `costly` need `each` blocks, and the
   * `undone` ones among those may use what is set aside, each once. What is not used of `count` is the
   * caller's to give back.
   */
  secure(
    count: number,
    costly: readonly number[],
    each: number,
    undone: readonly number[],
  ): boolean {
    const more = Math.max(0, each - 1);
    const fresh = costly.filter((block) => !this.#extra.has(block));
    const extra = fresh.length * more;
    const entitled = undone.filter((block) => !this.#extra.has(block)).length * each;
    const taken = Math.min(this.blocks, entitled, count + extra);
    const rest = count + extra - taken;
    if (rest > 0 && !this.#save.reserve(rest)) return false;
    this.#take(taken);
    for (const block of fresh) this.#extra.set(block, more);
    return true;
  }

  #take(blocks: number): void {
    let left = blocks;
    for (const earmark of this.#earmarks) {
      const part = Math.min(left, earmark.blocks);
      if (part > 0) earmark.take(part);
      left -= part;
    }
  }

  /** What `secure` would have to find in the store at most. */
  needed(count: number, costly: number, each: number): number {
    return count + costly * Math.max(0, each - 1);
  }

  /** The block is settled: what it took beyond its own block is committed, or was not needed. */
  settled(block: number): number {
    const extra = this.#extra.get(block);
    if (extra === undefined) return 0;
    this.#extra.delete(block);
    this.#save.settled(extra);
    return extra;
  }

  /** Sets aside again what was settled in this turn and not used, so that there are `most` at most. */
  regain(blocks: number, most: number): void {
    const back = Math.min(blocks, most - this.blocks);
    if (back > 0) this.#earmarks.at(-1)?.regain(back);
  }

  /** Gives everything back, for an owner that will never commit again. */
  forfeit(): void {
    for (const block of [...this.#extra.keys()]) this.settled(block);
    this.shrinkTo(0);
  }
}
