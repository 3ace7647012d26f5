/**
 * UndoLog: what the operation under way has done to blocks, so that it can be undone: how each block
 * was that it touched, which blocks it took, and which it freed. Those freed are let go only when the
 * operation was good.
 */
import type { Block } from './block-cache.js';

/** A touched block as it was. */
export interface Before {
  readonly block: Block;
  readonly bytes: Uint8Array;
  readonly transaction: number;
}

/** Copies kept for the next operations. */
const SPARE_MAX = 64;

/** See the head of the file. */
export class UndoLog {
  readonly before: Before[] = [];
  /** Numbers of blocks taken. */
  readonly fresh: number[] = [];
  /** Numbers of blocks freed that are in memory. */
  readonly dropped: number[] = [];
  /** Numbers of blocks freed that have images in the ring. */
  readonly revoked: number[] = [];
  readonly #spare: Uint8Array[] = [];

  /** Remembers how a block is. */
  keep(block: Block): void {
    const bytes = this.#spare.pop() ?? new Uint8Array(block.bytes.length);
    bytes.set(block.bytes);
    this.before.push({ block, bytes, transaction: block.transaction });
  }

  /** Begins anew. */
  clear(): void {
    for (const { bytes } of this.before) {
      if (this.#spare.length < SPARE_MAX) this.#spare.push(bytes);
    }
    this.before.length = 0;
    this.fresh.length = 0;
    this.dropped.length = 0;
    this.revoked.length = 0;
  }
}
