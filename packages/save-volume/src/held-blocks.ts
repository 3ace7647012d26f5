/**
 * HeldBlocks: whole blocks that a participant has accepted and not committed yet.
 *
 *   current      accepted since the last round began; a rewrite replaces the bytes in place
 *   committing   what the running round saves; not touched any more, a rewrite goes to `current`
 *
 *   H1  Every held block has a block of the save volume reserved, taken before it is held and given
 *       back when it is settled: a write that was accepted is never refused later for want of space
 *       to commit it. Zeros too: where old bytes must be saved they need it, and everywhere else they
 *       add to what a checkpoint must have room for.
 */
import { invariant } from '@palimpsest/block-device';
import type { SaveVolume } from './save-volume.js';

/** The bytes of a held block; `null` stands for zeros. */
export type HeldBlock = Uint8Array | null;

/** See the file header. */
export class HeldBlocks {
  readonly #save: SaveVolume;
  #current = new Map<number, HeldBlock>();
  #committing = new Map<number, HeldBlock>();
  #filled: number[] = [];
  #forfeited = false;
  #gone = 0;

  constructor(save: SaveVolume) {
    this.#save = save;
  }

  /** Blocks held; one that is rewritten while it is committed counts twice. */
  get size(): number {
    return this.#current.size + this.#committing.size;
  }

  /** Blocks that were held and are not any more, or nobody waits for any more, ever. */
  get gone(): number {
    return this.#gone;
  }

  /** The newest bytes held of a block; `undefined` when none are. They are not the caller's to keep. */
  get(block: number): HeldBlock | undefined {
    const current = this.#current.get(block);
    return current !== undefined ? current : this.#committing.get(block);
  }

  /** Every block held, in no order. */
  blocks(): Set<number> {
    return new Set([...this.#current.keys(), ...this.#committing.keys()]);
  }

  /** Blocks of space to reserve before bytes (or zeros) of this block may be held. */
  costOf(block: number, bytes: HeldBlock): number {
    return Math.max(0, this.#need(bytes) - this.#need(this.#current.get(block)));
  }

  /** Holds a copy of `bytes`. The caller has reserved what `costOf` says. */
  hold(block: number, bytes: HeldBlock): void {
    const known = this.#current.get(block);
    if (this.#need(known) > this.#need(bytes)) this.#save.settled(1);
    if (bytes === null) {
      if (known) this.#save.buffers.give(known);
      this.#current.set(block, null);
      return;
    }
    const buffer = known ?? this.#save.buffers.take();
    buffer.set(bytes);
    this.#current.set(block, buffer);
  }

  /** A round begins: what is current is committed by it. */
  begin(): void {
    this.#filled = [];
    if (this.#committing.size === 0) {
      [this.#committing, this.#current] = [this.#current, this.#committing];
      return;
    }
    for (const [block, bytes] of this.#current) {
      // Still there after a round that was refused: the newer bytes count.
      const older = this.#committing.get(block);
      if (older) this.#save.buffers.give(older);
      this.#save.settled(this.#need(older));
      this.#committing.set(block, bytes);
    }
    this.#current.clear();
  }

  /** Blocks that the round has not put into a batch yet, in order. */
  unfilled(): number[] {
    const filled = new Set(this.#filled);
    return [...this.#committing.keys()].filter((block) => !filled.has(block)).sort((a, b) => a - b);
  }

  /** The bytes that the running round commits for the block. */
  committing(block: number): HeldBlock {
    const bytes = this.#committing.get(block);
    invariant(bytes !== undefined, `block ${block} is being committed`);
    return bytes;
  }

  /** Notes that the block is in the batch. */
  fill(block: number): void {
    this.#filled.push(block);
  }

  /** Blocks in the batch, in order. */
  get filled(): readonly number[] {
    return this.#filled;
  }

  /** The batch's blocks are where they belong: they are held no more. */
  settle(): void {
    let space = 0;
    for (const block of this.#filled) {
      const bytes = this.#committing.get(block);
      if (bytes) this.#save.buffers.give(bytes);
      space += this.#need(bytes);
      this.#committing.delete(block);
    }
    this.#save.settled(space);
    this.#gone += this.#filled.length;
    this.#filled = [];
  }

  /** The batch was refused: its blocks wait for the next round. */
  abandon(): void {
    this.#filled = [];
  }

  /**
   * Gives the space back that is reserved for what is held, which stays readable: for an owner that
   * will never commit again, so that others need not wait for it.
   */
  forfeit(): void {
    if (!this.#forfeited) this.#save.settled(this.size);
    this.#gone += this.size;
    this.#forfeited = true;
  }

  /** Drops everything, as when its owner is left. */
  drop(): void {
    this.forfeit();
    this.#current.clear();
    this.#committing.clear();
    this.#filled = [];
  }

  #need(bytes: HeldBlock | undefined): number {
    return bytes === undefined ? 0 : 1;
  }
}
