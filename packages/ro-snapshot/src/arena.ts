/**
 * Arena: memory for the blocks that one commit reads and writes, used again by every commit, and the
 * moving of neighbouring blocks with one call each.
 */
import { type Completion, together } from '@palimpsest/block-device';
import type { HeldBlock } from '@palimpsest/save-volume';

/** Reads or writes in flight at once: enough to fill a disk's queue. */
const IN_FLIGHT_MAX = 64;
/**
 * Where they are done at once, so many in one turn of the event loop: as long as a client takes to send its
 * next request, so that a commit of a thousand is done while nobody waits for it.
 */
const MOVES_A_TURN = 2;
/** Bytes of one read or write at most. */
const RUN_BYTES = 1 << 20;

/** A block to be read: 0 is the clone volume, x the source of layer x of a restore. */
export interface BlockBytes {
  readonly block: number;
  readonly level: number;
}

/** Neighbouring blocks of one level; `bytes` null stands for zeros. */
export interface Run {
  readonly level: number;
  readonly position: number;
  readonly length: number;
  readonly bytes: Uint8Array | null;
}

/** See the file header. */
export class Arena {
  readonly #blockSize: number;
  #memory: Uint8Array = new Uint8Array(0);

  constructor(blockSize: number) {
    this.#blockSize = blockSize;
  }

  /** The memory of the block at that place of the list last given to `runsToRead`. */
  slot(index: number, blockSize: number): Uint8Array {
    return this.#memory.subarray(index * blockSize, (index + 1) * blockSize);
  }

  /** Runs with room for the bytes of blocks that are in order of level and block. */
  runsToRead(blocks: readonly BlockBytes[]): Run[] {
    this.#grow(blocks.length);
    return this.#runs(blocks.length, (index) => blocks[index] as BlockBytes).map(
      ({ at, count, block, level }) => this.#run(at, count, block, level),
    );
  }

  /** Runs with the held bytes of blocks that are in order; runs of zeros have none. */
  runsOfHeld(blocks: readonly number[], heldOf: (block: number) => HeldBlock): Run[] {
    this.#grow(blocks.length);
    const kindOf = (index: number): BlockBytes => {
      const block = blocks[index] as number;
      return { block, level: heldOf(block) === null ? 1 : 0 };
    };
    return this.#runs(blocks.length, kindOf).map(({ at, count, block, level }) => {
      const run = this.#run(at, count, block, 0);
      if (level === 1) return { ...run, bytes: null };
      if (count === 1) return { ...run, bytes: heldOf(block) };
      for (let index = 0; index < count; index += 1) {
        run.bytes?.set(heldOf(block + index) as Uint8Array, index * this.#blockSize);
      }
      return run;
    });
  }

  #run(at: number, count: number, block: number, level: number): Run {
    const size = this.#blockSize;
    const bytes = this.#memory.subarray(at * size, (at + count) * size);
    return { level, position: block * size, length: count * size, bytes };
  }

  /** Neighbours of one level together. */
  #runs(
    total: number,
    blockAt: (index: number) => BlockBytes,
  ): (BlockBytes & { at: number; count: number })[] {
    const runs: (BlockBytes & { at: number; count: number })[] = [];
    for (let at = 0; at < total; ) {
      const { block, level } = blockAt(at);
      let count = 1;
      while (at + count < total && count * this.#blockSize < RUN_BYTES) {
        const next = blockAt(at + count);
        if (next.block !== block + count || next.level !== level) break;
        count += 1;
      }
      runs.push({ block, level, at, count });
      at += count;
    }
    return runs;
  }

  #grow(blocks: number): void {
    const needed = blocks * this.#blockSize;
    if (this.#memory.length < needed) this.#memory = new Uint8Array(needed);
  }
}

/**
 * Moves runs, several at a time. Where `move` is done at once, `turn` lets other work go on between them,
 * so that nobody waits for a whole commit's blocks; a few runs are moved at once.
 */
export function transferAll(
  runs: readonly Run[],
  turn: () => Promise<void>,
  move: (run: Run) => Completion,
  begin = 0,
): Completion {
  for (let from = begin, next = from; from < runs.length; from = next) {
    const moved = together((waits) => {
      while (
        next < runs.length &&
        next - from < (waits.length > 0 ? IN_FLIGHT_MAX : MOVES_A_TURN)
      ) {
        const moving = move(runs[next] as Run);
        if (moving !== undefined) waits.push(moving);
        next += 1;
      }
    });
    const completion = moved ?? (next < runs.length ? turn() : undefined);
    if (completion !== undefined) return completion.then(() => transferAll(runs, turn, move, next));
  }
  return undefined;
}

/** Tells whether all bytes are zero; most blocks that are not say so in their first byte. */
export function isZero(bytes: Uint8Array): boolean {
  if (bytes[0] !== 0) return false;
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const part = bytes.subarray(at, at + ZEROS.length);
    if (Buffer.compare(part, ZEROS.subarray(0, part.length)) !== 0) return false;
  }
  return true;
}

const ZEROS = new Uint8Array(65_536);
