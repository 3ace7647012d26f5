/** Participant: who holds data that a commit must save, as the save volume and its rounds see it. */
import type { Completion } from '@palimpsest/block-device';
import type { Batch } from './batch.js';
import type { HeldBlocks } from './held-blocks.js';

/** See the file header. The methods are called in this order, in rounds (rounds.ts). */
export interface Participant {
  /** What it holds. */
  readonly held: HeldBlocks;
  /** Whether a round would save anything of it. */
  readonly hasWork: boolean;
  /** A round begins: what is held now is what it must save. */
  begin(): void;
  /**
   * Makes ready what `fill` needs, as far as memory goes. Outside of the commit cycle: here, and in
   * `settle`, it may wait for devices of its own. It must not fail. Left out: it is always ready.
   */
  gather?(): Completion;
  /**
   * Puts what was gathered into the batch, as far as there is room; tells whether the round has more to
   * save. It must wait for nothing but the save volume itself.
   */
  fill(batch: Batch): Promise<boolean> | boolean;
  /** What was filled is durable and visible in the map (C2). */
  settle(): Completion;
  /** What was filled was refused, for want of space or for good; it is still held. */
  abandon(): void;
}
