/**
 * HeldBlocks: whole blocks that a participant has accepted and not committed yet.
 *
 *   current      accepted since the last cycle began; a rewrite replaces the bytes in place
 *   committing   what the running cycle saves; not touched any more, a rewrite goes to `current`
 *
 *   H1  Every held block that needs a block of the save volume when it is committed has one
 *       reserved, taken before it is held and given back when it is settled: a write that was
 *       accepted is never refused later for want of space to commit it.
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
  /** Buffers to use again: as many as were ever held at once, which the store's limit bounds. */
  readonly #spare: Uint8Array[] = [];

  /** Whether held zeros need a block too, as they do where old bytes must be saved. */
  readonly #zerosTakeSpace: boolean;

  constructor(save: SaveVolume, options: { readonly zerosTakeSpace: boolean }) {
    this.#save = save;
    this.#zerosTakeSpace = options.zerosTakeSpace;
  }

  /** Blocks held; one that is rewritten while it is committed counts twice. */
  get size(): number {
    return this.#current.size + this.#committing.size;
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
      if (known) this.#spare.push(known);
      this.#current.set(block, null);
      return;
    }
    const buffer = known ?? this.#spare.pop() ?? new Uint8Array(this.#save.blockSize);
    buffer.set(bytes);
    this.#current.set(block, buffer);
  }

  /** A cycle begins: what is current is committed by it. */
  begin(): void {
    this.#filled = [];
    if (this.#committing.size === 0) {
      [this.#committing, this.#current] = [this.#current, this.#committing];
      return;
    }
    for (const [block, bytes] of this.#current) {
      // Still there after a cycle that was refused: the newer bytes count.
      const older = this.#committing.get(block);
      if (older) this.#spare.push(older);
      this.#save.settled(this.#need(older));
      this.#committing.set(block, bytes);
    }
    this.#current.clear();
  }

  /** Blocks that the cycle has not put into a batch yet, in order. */
  unfilled(): number[] {
    const filled = new Set(this.#filled);
    return [...this.#committing.keys()].filter((block) => !filled.has(block)).sort((a, b) => a - b);
  }

  /** The bytes that the running cycle commits for the block. */
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
      if (bytes) this.#spare.push(bytes);
      space += this.#need(bytes);
      this.#committing.delete(block);
    }
    this.#save.settled(space);
    this.#filled = [];
  }

  /** The batch was refused: its blocks wait for the next cycle. */
  abandon(): void {
    this.#filled = [];
  }

  /** Drops everything, as when its owner is deleted. */
  drop(): void {
    for (const held of [this.#current, this.#committing]) {
      for (const bytes of held.values()) this.#save.settled(this.#need(bytes));
    }
    this.#current.clear();
    this.#committing.clear();
    this.#filled = [];
  }

  #need(bytes: HeldBlock | undefined): number {
    if (bytes === undefined) return 0;
    return bytes !== null || this.#zerosTakeSpace ? 1 : 0;
  }
}
