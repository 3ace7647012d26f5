/**
 * BlockCache: blocks of the image in memory, metadata and file data alike. Operations are plain
 * functions without a wait in them: a block that is not here makes them throw Miss, and whoever runs
 * them reads the block and runs them again. So nothing ever sees a half-done operation, and there are
 * no locks.
 *
 *   B1  A Block handed out stays itself until the operation ends: room is made only between two.
 *   B2  What differs from the device is pinned: changed and not written (`dirty`), or part of a
 *       transaction (`transaction`), or being written (`pins`).
 *   B3  A logged block that is not home yet is read from its image in the log, not from the device.
 *   B4  Memory is used again before more is taken (frames.ts): of file data that was only written a
 *       quarter of the cache is kept.
 *   B5  A block that was read ahead is as if it had been asked for, and goes first if nobody does.
 */
import { type BlockDevice, together } from '@palimpsest/block-device';
import type { Block } from './block.js';
import { FsError } from './errors.js';
import { Frames } from './frames.js';
import { ReadAhead } from './read-ahead.js';

export type { Block } from './block.js';

/** Thrown by an operation that needs blocks which are not in memory. */
export class Miss {
  readonly blocks: readonly number[];

  constructor(blocks: readonly number[]) {
    this.blocks = blocks;
  }
}

/** Blocks that an operation missed and must find when it runs again; none yet. */
export type Held = Block[] | undefined;

/** Bytes that an operation of a write may take, and some for what describes them. */
const RESERVE = (1 << 20) + (1 << 16);
/** See the head of the file. */
export class BlockCache {
  readonly blockSize: number;
  /** Contents of logged blocks that are not home yet (B3). */
  readonly logged: Map<number, Uint8Array> = new Map<number, Uint8Array>();
  readonly #device: BlockDevice;
  readonly #capacity: number;
  readonly #blockCount: number;
  readonly #blocks = new Map<number, Block>();
  readonly #frames: Frames;
  readonly #ahead: ReadAhead;
  /** Memory to read several blocks into. */
  readonly #pieces: Uint8Array[] = [];
  /** Blocks that were written and not read, the oldest first (B4). */
  readonly #spent: Block[] = [];
  readonly #reserve: number;
  /** Blocks in memory from which on looking for room is worth it. */
  #trimFrom = 0;
  readonly #loading = new Map<number, Promise<void>>();

  /** Keeps up to `capacity` bytes of blocks that are on the device too. */
  constructor(device: BlockDevice, blockSize: number, blockCount: number, capacity: number) {
    this.#device = device;
    this.blockSize = blockSize;
    this.#blockCount = blockCount;
    this.#frames = new Frames(blockSize);
    this.#reserve = Math.ceil(RESERVE / blockSize);
    this.#capacity = Math.max(64, Math.floor(capacity / blockSize));
    this.#ahead = new ReadAhead(this.#capacity);
  }

  /** The block if it is in memory. */
  peek(number: number): Block | undefined {
    return this.#blocks.get(number);
  }

  /** The block. @throws {Miss} when it is not in memory. */
  get(number: number): Block {
    const block = this.#blocks.get(number);
    if (block === undefined) {
      this.assertInside(number);
      throw new Miss([number]);
    }
    block.used = true;
    return block;
  }

  /** As `get`, for block 0 too, which only the superblock is in. */
  getAny(number: number): Block {
    const block = this.#blocks.get(number);
    if (block === undefined) throw new Miss([number]);
    return block;
  }

  /** @throws {Miss} naming all blocks that are not in memory, so that one wait fetches them. */
  need(numbers: readonly number[]): void {
    const missing = numbers.filter((number) => !this.#blocks.has(number));
    for (const number of missing) this.assertInside(number);
    if (missing.length > 0) throw new Miss(missing);
  }

  /** A block whose old content does not matter: zeros. */
  fresh(number: number): Block {
    const block = this.fill(number);
    block.bytes.fill(0);
    return block;
  }

  /** As `fresh`, for a caller that fills all of it: the bytes are arbitrary. */
  fill(number: number): Block {
    let block = this.#blocks.get(number);
    if (block === undefined) {
      this.#loading.delete(number); // What is being read is older.
      block = this.#frames.take(number);
      this.#blocks.set(number, block);
    }
    block.used = true;
    return block;
  }

  /** Forgets a block, whatever it holds: it was freed. */
  drop(number: number): void {
    this.#loading.delete(number);
    const block = this.#blocks.get(number);
    if (block === undefined) return;
    this.#blocks.delete(number);
    block.number = 0;
    // One that is being written may not be reused before; it is left to the garbage collector.
    if (block.pins === 0) this.#frames.give(block);
  }

  /** Reads blocks into memory and holds them. Between two operations only (B1). */
  load(numbers: readonly number[], held: Block[]): Promise<void> | undefined {
    this.trim(numbers.length + this.#ahead.max);
    const hold = (number: number): void => {
      const block = this.#blocks.get(number);
      if (block === undefined) return;
      block.pins++;
      held.push(block);
    };
    return together((waits) => {
      for (const number of numbers) {
        const isHere = this.#blocks.has(number);
        const wait = isHere ? undefined : (this.#loading.get(number) ?? this.#load(number));
        if (wait === undefined) hold(number);
        else waits.push(wait.then(() => hold(number)));
      }
    });
  }

  /** Holds blocks no more. */
  release(held: Held): void {
    if (held === undefined) return;
    for (const block of held) block.pins--;
    held.length = 0;
  }

  /** Takes note of a block of file data that the device has got. */
  written(block: Block): void {
    if (!block.used) this.#spent.push(block);
  }

  /** Makes room for `more` blocks, of those not used lately. Between two operations only (B1). */
  trim(more = 0): void {
    if (this.#frames.count < this.#reserve) this.#recycle();
    let excess = this.#blocks.size + more - this.#capacity;
    if (excess <= 0 || this.#blocks.size < this.#trimFrom) return;
    excess += this.#capacity >>> 4; // Many at once, so that pinned ones are passed over rarely.
    // The map is in order of age. What was used goes to its end and gets a second chance.
    let looks = this.#blocks.size * 2;
    for (const [number, block] of this.#blocks) {
      if (excess <= 0 || looks-- <= 0) break;
      if (block.dirty || block.pins > 0 || block.transaction !== 0) continue; // B2
      this.#blocks.delete(number);
      if (block.used) {
        block.used = false;
        this.#blocks.set(number, block);
      } else {
        this.#frames.give(block);
        excess--;
      }
    }
    // When most is pinned, looking again at once would find the same.
    this.#trimFrom = excess <= 0 ? 0 : this.#blocks.size + Math.ceil(this.#capacity / 16);
  }

  /** Reads whole blocks into `target`, past the cache. Nothing of them may be in memory or logged. */
  readThrough(target: Uint8Array, number: number): Promise<void> | undefined {
    try {
      return this.#device.readInto(target, number * this.blockSize)?.catch((error: unknown) => {
        throw readFailure(number, error);
      });
    } catch (error) {
      throw readFailure(number, error);
    }
  }

  /** @throws {FsError} EIO for a block number that no image of this size has. */
  assertInside(number: number): void {
    if (number > 0 && number < this.#blockCount) return;
    throw new FsError('EIO', `block ${number} is named, of ${this.#blockCount}`);
  }

  /** B4 */
  #recycle(): void {
    const keep = this.#capacity >>> 2;
    let taken = 0;
    // Twice what is needed, so that this is rare.
    while (this.#spent.length - taken > keep && this.#frames.count < 2 * this.#reserve) {
      const block = this.#spent[taken++] as Block;
      if (block.used || block.dirty || block.pins > 0 || block.transaction !== 0) continue; // B2
      if (this.#blocks.get(block.number) !== block) continue;
      this.#blocks.delete(block.number);
      this.#frames.give(block);
    }
    if (taken > 0) this.#spent.splice(0, taken);
  }

  /** Reads a block, and some behind it where reading goes on (B5). */
  #load(number: number): Promise<void> | undefined {
    const image = this.logged.get(number);
    if (image !== undefined) {
      this.#put(number, image, true);
      return undefined;
    }
    const count = this.#ahead.length(number, (next) => this.#isWanted(next));
    try {
      return this.#loadPiece(number, count);
    } catch (error) {
      if (count === 1) throw error;
      return this.#loadPiece(number, 1); // A neighbour that cannot be read is nobody's failure.
    }
  }

  #isWanted(number: number): boolean {
    return (
      number < this.#blockCount &&
      !this.#blocks.has(number) &&
      !this.#loading.has(number) &&
      !this.logged.has(number)
    );
  }

  #loadPiece(number: number, count: number): Promise<void> | undefined {
    const size = this.blockSize;
    const piece = this.#pieces.pop() ?? new Uint8Array(this.#ahead.max * size);
    const target = piece.subarray(0, count * size);
    const wait = this.readThrough(target, number);
    const take = (i: number): void =>
      this.#put(number + i, target.subarray(i * size, (i + 1) * size), i === 0);
    if (wait === undefined) {
      for (let i = 0; i < count; i++) take(i);
      this.#pieces.push(piece);
      return undefined;
    }
    const end = (each: (i: number) => void): void => {
      for (let i = 0; i < count; i++) {
        // What was dropped, or filled, meanwhile is another's.
        if (this.#loading.get(number + i) !== (i === 0 ? done : quiet)) continue;
        this.#loading.delete(number + i);
        each(i);
      }
      this.#pieces.push(piece);
    };
    const done: Promise<void> = wait.then(
      () => end(take),
      (error: unknown) => {
        end(() => undefined);
        if (count === 1) throw error;
        return this.#blocks.has(number) ? undefined : this.#loadPiece(number, 1);
      },
    );
    // Who waits for a neighbour only looks again.
    const quiet = done.catch(() => undefined);
    for (let i = 0; i < count; i++) this.#loading.set(number + i, i === 0 ? done : quiet);
    return done;
  }

  #put(number: number, bytes: Uint8Array, used: boolean): void {
    const block = this.#frames.take(number);
    block.bytes.set(bytes);
    block.used = used;
    this.#blocks.set(number, block);
  }
}

function readFailure(number: number, error: unknown): FsError {
  const message = error instanceof Error ? error.message : String(error);
  return new FsError('EIO', `block ${number} cannot be read: ${message}`, { cause: error });
}
