/**
 * Branch: a read-write snapshot (US 2005/0065985). It is based on a read-only snapshot; what is
 * written to it goes to save blocks of its own, what is not written is read through.
 *
 *   read(b):   held bytes, else the branch's own block, else zeros if a zero span covers b, else
 *              the base
 *   write(b):  held; the next commit stores it in a new place and gives the old place back
 *
 *   K1  A branch's writes reach no other volume or snapshot: they go to its own space of the block
 *       map, and to blocks that nobody else owns (I4).
 *   K2  A block is never overwritten in place: its new bytes, their checksum and their place become
 *       durable together or not at all, so no torn write can fail a checksum.
 *   K3  A block that was zeroed or discarded shadows the base: it reads as zeros.
 *   K4  What is accepted is committed, also by a change that is under way while the branch closes:
 *       it ends before, or is refused. Blocks held by nobody would count as held for ever.
 */
import {
  type BlockDevice,
  type BlockDriver,
  type Completion,
  checked,
  type Extent,
  StorageError,
  together,
} from '@palimpsest/block-device';
import {
  atLevel,
  type Batch,
  HeldBlocks,
  type Layers,
  LIVE,
  levelOf,
  type MapEntry,
  MISS,
  type Participant,
  readThrough,
  type SaveVolume,
} from '@palimpsest/save-volume';
import { SPAN_LEAST, type Span, spanBlocks, spansWithin, ZeroSpans } from './zero-spans.js';

/** Blocks of one request that are held together. */
const SLICE_BLOCKS = 256;
/** Entries that one commit of a large zeroing takes out at most. */
const CLEAR_STEP = 4096;
/** Entries looked at together to describe a range. */
const LIST_STEP = 4096;

/** What an open branch is made of. */
export interface BranchParts {
  readonly save: SaveVolume;
  readonly id: number;
  readonly base: BlockDevice;
  /** Bytes. */
  readonly size: number;
}

/** An open branch. */
export interface Branch extends AsyncDisposable {
  readonly id: number;
  readonly device: BlockDevice;
  /** Commits what is held and takes no part any more; the base is the caller's to close. */
  close(): Promise<void>;
}

/** Opens a branch on its base; `onClose` runs once it is closed. */
export async function makeBranch(parts: BranchParts, onClose: () => void): Promise<Branch> {
  const spans = new ZeroSpans(parts.save, parts.id);
  await spans.load();
  const driver = new BranchDevice(parts, spans);
  const device = checked(driver);
  parts.save.join(driver);
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= driver.finish().finally(async () => {
      parts.save.leave(driver);
      onClose();
      await device.close();
    });
    return closing;
  };
  return { id: parts.id, device, close, [Symbol.asyncDispose]: close };
}

class BranchDevice implements BlockDriver, Participant {
  readonly blockSize: number;
  readonly size: number;
  readonly readOnly = false;
  readonly #parts: BranchParts;
  readonly #held: HeldBlocks;
  readonly #spans: ZeroSpans;
  readonly #layers: Layers;
  /** Changes under way that were not done at once. */
  readonly #changing = new Set<Promise<void>>();
  #finished = false;

  constructor(parts: BranchParts, spans: ZeroSpans) {
    this.#parts = parts;
    this.blockSize = parts.save.blockSize;
    this.size = parts.size;
    this.#held = new HeldBlocks(parts.save);
    this.#spans = spans;
    this.#layers = {
      blockSize: this.blockSize,
      readOwn: (block, target) => this.#readOwn(block, target),
      readLater: (found, block, target) => this.#orBase(found, block, target),
      readBeneath: (first, target, waits) => this.#readBase(first, target, waits),
    };
  }

  // ---- The device ----------------------------------------------------------------------------

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
    if (this.#held.size === 0) return undefined;
    return this.#parts.save.commit();
  }

  async extents(position: number, length: number): Promise<readonly Extent[]> {
    const { save, id, base } = this.#parts;
    const { blockSize } = this;
    const first = position / blockSize;
    const end = (position + length) / blockSize;
    const found: Extent[] = [];
    let done = first;
    let zeroUntil = this.#spans.none ? 0 : await this.#spans.findEndOf(first);
    const fill = async (upTo: number): Promise<void> => {
      const zeros = Math.min(upTo, zeroUntil) - done;
      if (zeros > 0) {
        found.push({ length: zeros * blockSize, zero: true, hole: true });
        done += zeros;
      }
      if (done < upTo) {
        found.push(...(await base.extents(done * blockSize, (upTo - done) * blockSize)));
      }
      done = upTo;
    };
    for (let from = first; from < end; ) {
      const entries = await save.map.listEntries(id, from, end, LIST_STEP);
      const last = entries.length < LIST_STEP ? end : (entries.at(-1)?.block as number) + 1;
      for (const { block, zero, spanEnd } of this.#withHeld(entries, from, last)) {
        await fill(block);
        if (spanEnd > 0) zeroUntil = Math.max(zeroUntil, spanEnd);
        else {
          found.push({ length: blockSize, zero, hole: zero });
          done = block + 1;
        }
      }
      from = last;
    }
    await fill(end);
    return joinExtents(found);
  }

  async close(): Promise<void> {
    // The branch's own `close` settles what is held.
  }

  /** Takes no more changes, and commits what is held, before the branch is left (K4). */
  async finish(): Promise<void> {
    this.#finished = true;
    await Promise.allSettled(this.#changing);
    try {
      if (this.#held.size > 0) await this.#parts.save.commit();
    } finally {
      this.#held.drop();
    }
  }

  // ---- Taking part in commits ----------------------------------------------------------------

  begin(): void {
    this.#held.begin();
  }

  async fill(batch: Batch): Promise<boolean> {
    const { save, id } = this.#parts;
    for (const block of this.#held.unfilled()) {
      if (!batch.hasRoom(2)) return true;
      const known = save.map.lookUp(id, block, LIVE);
      const old = known === MISS ? await save.find(id, block, LIVE) : known;
      const bytes = this.#held.committing(block);
      if (bytes === null) batch.putZero(id, block, LIVE);
      else batch.put(id, block, LIVE, bytes);
      if (old !== undefined && old.address !== 0) batch.free(old.address); // K2
      this.#held.fill(block);
    }
    return false;
  }

  settle(): undefined {
    this.#held.settle();
  }

  abandon(): void {
    this.#held.abandon();
  }

  // ---- Details -------------------------------------------------------------------------------

  #track(completion: Completion): Completion {
    if (completion === undefined) return undefined;
    const tracked = completion.finally(() => this.#changing.delete(tracked));
    this.#changing.add(tracked);
    return tracked;
  }

  /**
   * Zeros whole spans, then what they leave at both ends. What the branch has of its own beneath a
   * span is taken out after the span is there (Z1): a crash between leaves some of it as it was,
   * which is all that a change that was not answered may do.
   */
  async #zeroSpans(first: number, count: number, spans: readonly Span[]): Promise<void> {
    const { save, id } = this.#parts;
    const start = spans[0]?.first as number;
    const last = spans.at(-1) as Span;
    const end = last.first + spanBlocks(last.level);
    if (start > first) await this.#accept(first, start - first, null);
    if (end < first + count) await this.#accept(end, first + count - end, null);
    if (this.#held.size > 0) await save.commit();
    this.#spans.expect(spans);
    const levels = new Map(spans.map((span) => [span.first, span.level]));
    const step = (): number => Math.min(CLEAR_STEP, Math.floor(save.operationsMax / 2) - 4);
    for (let from = 0; from < spans.length; ) {
      const part = spans.slice(from, from + step());
      from += part.length;
      await save.transact((batch) => {
        for (const span of part) batch.putZero(id, span.first, atLevel(span.level, LIVE));
      });
    }
    for (let from = start; from < end; ) {
      const limit = step();
      // Listed in the transaction: a write that is committed meanwhile gives an old block back itself.
      await save.transact(async (batch) => {
        const entries = await save.map.listEntries(id, from, end, limit);
        for (const { block, entry } of entries) {
          const level = levels.get(block);
          if (level !== undefined && entry.version === atLevel(level, LIVE)) continue;
          batch.remove(id, block, entry.version);
          if (entry.address !== 0) batch.free(entry.address);
        }
        from = entries.length < limit ? end : (entries.at(-1)?.block as number) + 1;
      });
    }
  }

  /** Entries and held blocks of a range as one list, in order; what is held counts. */
  #withHeld(
    entries: readonly { block: number; entry: MapEntry }[],
    from: number,
    to: number,
  ): { block: number; zero: boolean; spanEnd: number }[] {
    const list: { block: number; zero: boolean; spanEnd: number }[] = [];
    for (const { block, entry } of entries) {
      const level = levelOf(entry.version);
      if (level > 0) list.push({ block, zero: true, spanEnd: block + spanBlocks(level) });
      else if (this.#held.get(block) === undefined) {
        list.push({ block, zero: entry.address === 0, spanEnd: 0 });
      }
    }
    for (const block of this.#held.blocks()) {
      if (block < from || block >= to) continue;
      list.push({ block, zero: this.#held.get(block) === null, spanEnd: 0 });
    }
    // A span comes before a block of its own at its start: it covers what follows that block.
    return list.sort((a, b) => a.block - b.block || b.spanEnd - a.spanEnd);
  }

  /** Holds the blocks; `source` null stands for zeros. At once when there is room and space. */
  #accept(first: number, count: number, source: Uint8Array | null): Completion {
    if (count <= SLICE_BLOCKS && this.#tryHold(first, count, source)) return undefined;
    return this.#acceptSlowly(first, count, source);
  }

  async #acceptSlowly(first: number, count: number, source: Uint8Array | null): Promise<void> {
    const { save } = this.#parts;
    const { blockSize } = this;
    for (let done = 0; done < count; ) {
      const blocks = Math.min(SLICE_BLOCKS, count - done);
      const part = source?.subarray(done * blockSize, (done + blocks) * blockSize) ?? null;
      if (this.#tryHold(first + done, blocks, part)) {
        done += blocks;
        continue;
      }
      const wait = save.throttle();
      if (wait !== undefined) {
        await wait;
        continue;
      }
      await save.reserveSlowly(blocks);
      save.settled(blocks);
    }
  }

  /** Holds all the blocks, or none when writers must wait or space must be found first. */
  #tryHold(first: number, count: number, source: Uint8Array | null): boolean {
    const { save } = this.#parts;
    const { blockSize } = this;
    if (this.#finished) throw new StorageError('ERR_CLOSED', 'the branch was closed meanwhile');
    if (save.isThrottled) return false;
    let cost = 0;
    for (let block = first; block < first + count; block += 1) {
      cost += this.#held.costOf(block, source);
    }
    if (cost > 0 && !save.reserve(cost)) return false;
    if (count === 1) {
      this.#held.hold(first, source);
      return true;
    }
    for (let index = 0; index < count; index += 1) {
      const bytes = source?.subarray(index * blockSize, (index + 1) * blockSize) ?? null;
      this.#held.hold(first + index, bytes);
    }
    return true;
  }

  #readOwn(block: number, target: Uint8Array): boolean | Promise<boolean> {
    const held = this.#held.get(block);
    if (held === undefined) return this.#parts.save.readSaved(this.#parts.id, block, LIVE, target);
    if (held === null) target.fill(0);
    else target.set(held);
    return true;
  }

  /** Reads a run that the branch has no blocks of its own for. */
  #readBase(first: number, target: Uint8Array, waits: Promise<void>[]): void {
    if (!this.#spans.none) {
      this.#readBeneathSpans(target, first, waits);
      return;
    }
    const completion = this.#parts.base.readInto(target, first * this.blockSize);
    if (completion !== undefined) waits.push(completion);
  }

  /** At once when the pages that tell of spans are in memory and the base reads at once. */
  #readBeneathSpans(target: Uint8Array, first: number, waits: Promise<void>[]): void {
    const { blockSize } = this;
    const end = first + target.length / blockSize;
    for (let block = first; block < end; ) {
      const zeroUntil = this.#spans.endOf(block);
      const part = (to: number) =>
        target.subarray((block - first) * blockSize, (to - first) * blockSize);
      if (zeroUntil === MISS) {
        waits.push(this.#readBeneathSpansSlowly(part(end), block));
        break;
      }
      // Where no span covers a block, none covers the rest of its smallest possible span.
      const next = Math.min(end, zeroUntil || (Math.floor(block / SPAN_LEAST) + 1) * SPAN_LEAST);
      if (zeroUntil > 0) part(next).fill(0);
      else {
        const completion = this.#parts.base.readInto(part(next), block * blockSize);
        if (completion !== undefined) waits.push(completion);
      }
      block = next;
    }
  }

  async #readBeneathSpansSlowly(target: Uint8Array, first: number): Promise<void> {
    await this.#spans.findEndOf(first);
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

/** Neighbours of the same kind as one. */
function joinExtents(extents: readonly Extent[]): Extent[] {
  const joined: Extent[] = [];
  for (const extent of extents) {
    const last = joined.at(-1);
    if (last !== undefined && last.zero === extent.zero && last.hole === extent.hole) {
      joined[joined.length - 1] = { ...last, length: last.length + extent.length };
    } else joined.push(extent);
  }
  return joined;
}

/** Refuses a base whose size is not the branch's. */
export function assertBase(base: BlockDevice, size: number): void {
  if (base.size === size) return;
  throw new StorageError('ERR_INVALID', `the base has ${base.size} bytes, the branch ${size}`);
}
