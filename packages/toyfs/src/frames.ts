/**
 * Frames: memory for blocks, taken from the system in slabs and never given back. Touching fresh memory costs
 * more than reading a block from a disk's cache does, so what was let go is used again first.
 */
import { type Block, blockOver } from './block.js';

/** Bytes of memory taken at once: little first, so that a small image costs little. */
const SLAB_MIN = 1 << 16;
const SLAB_MAX = 1 << 20;

/** See the head of the file. */
export class Frames {
  readonly #blockSize: number;
  readonly #free: Block[] = [];
  #slab = SLAB_MIN;

  constructor(blockSize: number) {
    this.#blockSize = blockSize;
  }

  /** How many are free. */
  get count(): number {
    return this.#free.length;
  }

  /** One for a block; its bytes are arbitrary. */
  take(number: number): Block {
    if (this.#free.length === 0) this.#addSlab();
    const block = this.#free.pop() as Block;
    block.number = number;
    block.dirty = false;
    block.pins = 0;
    block.transaction = 0;
    block.operation = 0;
    block.used = true;
    block.seal = undefined;
    return block;
  }

  /** Takes one back that nobody has any more. */
  give(block: Block): void {
    this.#free.push(block);
  }

  #addSlab(): void {
    const size = this.#blockSize;
    const length = Math.max(size, this.#slab);
    this.#slab = Math.min(SLAB_MAX, this.#slab * 2);
    const slab = new ArrayBuffer(length);
    // The first of it first: neighbours in memory often become neighbours on the device.
    for (let at = length - size; at >= 0; at -= size) {
      this.#free.push(blockOver(new Uint8Array(slab, at, size)));
    }
  }
}
