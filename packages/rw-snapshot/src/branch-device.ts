/**
 * BranchDevice: a read-write snapshot (US 2005/0065985) as a BlockDevice. What is written goes to save
 * blocks of the branch's own; what is not written is read through.
 *
 *   read(b):   held bytes, else the branch's own block, else zeros if a zero span covers b, else
 *              what its lineage says
 *   write(b):  held; the next commit stores it in a new place and gives the old place back
 *
 *   K3  A block that was zeroed or discarded shadows the base: it reads as zeros.
 *   K4  What is accepted is committed, also by a change that is under way while the branch closes:
 *       it ends before, or is refused. Blocks held by nobody would count as held for ever.
 */
import {
  type BlockDriver,
  type Completion,
  type Extent,
  StorageError,
  together,
} from '@palimpsest/block-device';
import { Exclusion } from '@palimpsest/ro-snapshot';
import { type Layers, LIVE, MISS, readThrough, type SaveVolume } from '@palimpsest/save-volume';
import type { Lineage } from './lineage.js';
import type { OwnBlocks } from './own-blocks.js';
import { ownRuns } from './own-runs.js';
import { SPAN_LEAST, type Span, spanBlocks, spansWithin } from './zero-spans.js';

/** Blocks of one request that are held together. */
const SLICE_BLOCKS = 256;

/** What an open branch is made of. */
export interface BranchParts {
  readonly save: SaveVolume;
  readonly space: number;
  readonly own: OwnBlocks;
  readonly lineage: Lineage;
  /** Bytes. */
  size: number;
}

/** See the file header. */
export class BranchDevice implements BlockDriver {
  readonly blockSize: number;
  readonly readOnly = false;
  /** Snapshots of the branch are taken alone. */
  readonly exclusion: Exclusion = new Exclusion();
  readonly #parts: BranchParts;
  readonly #layers: Layers;
  /** Changes under way that were not done at once. */
  readonly #changing = new Set<Promise<void>>();
  #finished = false;

  constructor(parts: BranchParts) {
    this.#parts = parts;
    this.blockSize = parts.save.blockSize;
    this.#layers = {
      blockSize: this.blockSize,
      readOwn: (block, target) => this.#readOwn(block, target),
      readLater: (found, block, target) => this.#orBase(found, block, target),
      readBeneath: (first, target, waits) => this.#readBase(first, target, waits),
    };
  }

  get size(): number {
    return this.#parts.size;
  }

  readInto(target: Uint8Array, position: number): Completion {
    return readThrough(this.#layers, target, position);
  }

  write(source: Uint8Array, position: number): Completion {
    const { blockSize } = this;
    return this.#track(this.#accept(position / blockSize, source.length / blockSize, source));
  }

  zero(position: number, length: number): Completion {
    const first = position / this.blockSize;
    const count = length / this.blockSize;
    const spans = count < SPAN_LEAST ? [] : spansWithin(first, count);
    if (spans.length === 0) return this.#track(this.#accept(first, count, null));
    return this.#track(this.#zeroSpans(first, count, spans));
  }

  discard(position: number, length: number): Completion {
    return this.zero(position, length); // K3
  }

  flush(): Completion {
    const { save, own } = this.#parts;
    if (own.held.size === 0) return undefined;
    return save.commit(own);
  }

  async extents(position: number, length: number): Promise<readonly Extent[]> {
    const { save, space, own, lineage } = this.#parts;
    const { blockSize } = this;
    const end = (position + length) / blockSize;
    const found: Extent[] = [];
    let done = position / blockSize;
    const present = { space, version: LIVE, spans: own.spans };
    const beneath = async (to: number): Promise<void> => {
      if (to > done) found.push(...(await lineage.extents(done, to)));
    };
    for await (const { first, count, zero } of ownRuns(save, present, done, end, own.held)) {
      await beneath(first);
      found.push({ length: count * blockSize, zero, hole: zero });
      done = first + count;
    }
    await beneath(end);
    return joinExtents(found);
  }

  async close(): Promise<void> {
    // The branch's own `close` settles what is held.
  }

  /** Takes no more changes, and commits what is held, before the branch is left (K4). */
  async finish(): Promise<void> {
    const { save, own } = this.#parts;
    this.#finished = true;
    await Promise.allSettled(this.#changing);
    try {
      if (own.held.size > 0) await save.commit(own);
    } finally {
      await save.leave(own);
      own.held.drop();
    }
  }

  #track(completion: Completion): Completion {
    if (completion === undefined) return undefined;
    const tracked = completion.finally(() => this.#changing.delete(tracked));
    this.#changing.add(tracked);
    return tracked;
  }

  /** Zeros whole spans, then what they leave at both ends. */
  async #zeroSpans(first: number, count: number, spans: readonly Span[]): Promise<void> {
    const start = spans[0]?.first as number;
    const last = spans.at(-1) as Span;
    const end = last.first + spanBlocks(last.level);
    if (start > first) await this.#accept(first, start - first, null);
    if (end < first + count) await this.#accept(end, first + count - end, null);
    while (this.exclusion.closed !== undefined) await this.exclusion.closed;
    this.exclusion.enter();
    try {
      await this.#parts.own.zeroSpans(spans);
    } finally {
      this.exclusion.leave();
    }
  }

  /** Holds the blocks; `source` null stands for zeros. At once when there is room and space. */
  #accept(first: number, count: number, source: Uint8Array | null): Completion {
    if (count <= SLICE_BLOCKS && this.#tryHold(first, count, source)) return undefined;
    return this.#acceptSlowly(first, count, source);
  }

  async #acceptSlowly(first: number, count: number, source: Uint8Array | null): Promise<void> {
    const { save, own } = this.#parts;
    const { blockSize } = this;
    for (let done = 0; done < count; ) {
      const blocks = Math.min(SLICE_BLOCKS, count - done);
      const part = source?.subarray(done * blockSize, (done + blocks) * blockSize) ?? null;
      if (this.#tryHold(first + done, blocks, part)) {
        done += blocks;
        continue;
      }
      const wait = this.exclusion.closed ?? save.throttle(own);
      if (wait !== undefined) {
        await wait;
        continue;
      }
      if (!own.isWithinQuota(blocks, part)) {
        const at = first + done;
        // Alone: what others hold may be rewrites, which win no block; only a commit can tell.
        const release = await this.exclusion.alone(() => own.admit(at, blocks));
        try {
          // Block by block: what is given back on the way makes up for what is taken.
          for (let index = 0; index < blocks; index += 1) {
            await this.#acceptOne(at + index, slicePart(part, index, blockSize));
          }
        } finally {
          release();
        }
        done += blocks;
        continue;
      }
      await save.reserveSlowly(blocks);
      save.settled(blocks);
    }
  }

  /** A block for which the quota was looked at already. */
  async #acceptOne(block: number, bytes: Uint8Array | null): Promise<void> {
    const { own, save } = this.#parts;
    while (!this.#tryHold(block, 1, bytes, true)) {
      const wait = this.exclusion.closed ?? save.throttle(own);
      if (wait !== undefined) await wait;
      else {
        await save.reserveSlowly(1);
        save.settled(1);
      }
    }
  }

  /** Holds all the blocks, or none when writers must wait or space must be found first. */
  #tryHold(first: number, count: number, source: Uint8Array | null, admitted = false): boolean {
    const { save, own } = this.#parts;
    const { blockSize } = this;
    if (this.#finished) throw new StorageError('ERR_CLOSED', 'the branch was closed meanwhile');
    if (save.isThrottled(own) || this.exclusion.closed !== undefined) return false;
    if (!admitted && !own.isWithinQuota(count, source)) return false;
    let cost = 0;
    for (let block = first; block < first + count; block += 1) {
      cost += own.held.costOf(block, source);
    }
    if (cost > 0 && !save.reserve(cost)) return false;
    if (count === 1) {
      own.held.hold(first, source);
      return true;
    }
    for (let index = 0; index < count; index += 1) {
      own.held.hold(first + index, slicePart(source, index, blockSize));
    }
    return true;
  }

  #readOwn(block: number, target: Uint8Array): boolean | Promise<boolean> {
    const { save, space, own } = this.#parts;
    const held = own.held.get(block);
    if (held === undefined) return save.readSaved(space, block, LIVE, target);
    if (held === null) target.fill(0);
    else target.set(held);
    return true;
  }

  /** Reads a run that the branch has no blocks of its own for. */
  #readBase(first: number, target: Uint8Array, waits: Promise<void>[]): void {
    const { own, lineage } = this.#parts;
    if (own.spans.none) lineage.read(first, target, waits);
    else this.#readBeneathSpans(target, first, waits);
  }

  /** At once when the pages that tell of spans are in memory and the base reads at once. */
  #readBeneathSpans(target: Uint8Array, first: number, waits: Promise<void>[]): void {
    const { own, lineage } = this.#parts;
    const { blockSize } = this;
    const end = first + target.length / blockSize;
    for (let block = first; block < end; ) {
      const zeroUntil = own.spans.endOf(block);
      const part = (to: number) =>
        target.subarray((block - first) * blockSize, (to - first) * blockSize);
      if (zeroUntil === MISS) {
        waits.push(this.#readBeneathSpansSlowly(part(end), block));
        break;
      }
      // Where no span covers a block, none covers the rest of its smallest possible span.
      const next = Math.min(end, zeroUntil || (Math.floor(block / SPAN_LEAST) + 1) * SPAN_LEAST);
      if (zeroUntil > 0) part(next).fill(0);
      else lineage.read(block, part(next), waits);
      block = next;
    }
  }

  async #readBeneathSpansSlowly(target: Uint8Array, first: number): Promise<void> {
    await this.#parts.own.spans.findEndOf(first);
    await together((waits) => this.#readBeneathSpans(target, first, waits));
  }

  async #orBase(found: Promise<boolean>, block: number, target: Uint8Array): Promise<void> {
    if (await found) return;
    // A write that was answered while we looked is held by now, or committed: look there first.
    const now = this.#readOwn(block, target);
    if (now === true || (now !== false && (await now))) return;
    await together((waits) => this.#readBase(block, target, waits));
  }
}

function slicePart(source: Uint8Array | null, index: number, blockSize: number): Uint8Array | null {
  return source?.subarray(index * blockSize, (index + 1) * blockSize) ?? null;
}

/** Neighbours of the same kind as one. */
export function joinExtents(extents: readonly Extent[]): Extent[] {
  const joined: Extent[] = [];
  for (const extent of extents) {
    const last = joined.at(-1);
    if (last !== undefined && last.zero === extent.zero && last.hole === extent.hole) {
      joined[joined.length - 1] = { ...last, length: last.length + extent.length };
    } else joined.push(extent);
  }
  return joined;
}
