/**
 * Branch: a read-write snapshot (US 2005/0065985). It is based on a read-only snapshot; what is
 * written to it goes to save blocks of its own, what is not written is read through.
 *
 *   read(b):   held bytes, else the branch's own block, else the base
 *   write(b):  held; the next commit stores it in a new place and gives the old place back
 *
 *   K1  A branch's writes reach no other volume or snapshot: they go to its own space of the block
 *       map, and to blocks that nobody else owns (I4).
 *   K2  A block is never overwritten in place: its new bytes, their checksum and their place become
 *       durable together or not at all, so no torn write can fail a checksum.
 *   K3  A block that was zeroed or discarded shadows the base: it reads as zeros.
 */
import {
  type BlockDevice,
  type BlockDriver,
  type Completion,
  checked,
  type Extent,
  StorageError,
} from '@palimpsest/block-device';
import { type Batch, HeldBlocks, type Participant, type SaveVolume } from '@palimpsest/save-volume';

/** Blocks of one request that are held together. */
const SLICE_BLOCKS = 256;

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
export function makeBranch(parts: BranchParts, onClose: () => void): Branch {
  const driver = new BranchDevice(parts);
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

  constructor(parts: BranchParts) {
    this.#parts = parts;
    this.blockSize = parts.save.blockSize;
    this.size = parts.size;
    this.#held = new HeldBlocks(parts.save);
  }

  // ---- The device ----------------------------------------------------------------------------

  readInto(target: Uint8Array, position: number): Completion {
    const { blockSize } = this;
    const first = position / blockSize;
    const count = target.length / blockSize;
    const waits: Promise<void>[] = [];
    let absent = 0;
    for (let index = 0; index < count; index += 1) {
      const part =
        count === 1 ? target : target.subarray(index * blockSize, (index + 1) * blockSize);
      const found = this.#readOwn(first + index, part);
      if (found === false) {
        absent += 1;
        continue;
      }
      if (found !== true) waits.push(this.#orBase(found, first + index, part));
      this.#readBase(target, first, index - absent, absent, waits);
      absent = 0;
    }
    this.#readBase(target, first, count - absent, absent, waits);
    return waits.length === 0 ? undefined : Promise.all(waits).then(() => undefined);
  }

  write(source: Uint8Array, position: number): Completion {
    return this.#accept(position / this.blockSize, source.length / this.blockSize, source);
  }

  zero(position: number, length: number): Completion {
    return this.#accept(position / this.blockSize, length / this.blockSize, null);
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
    const found: Extent[] = [];
    let inherited = 0;
    const end = position + length;
    const inherit = async (upTo: number): Promise<void> => {
      if (inherited > 0) found.push(...(await base.extents(upTo - inherited, inherited)));
      inherited = 0;
    };
    for (let at = position; at < end; at += blockSize) {
      const block = at / blockSize;
      const held = this.#held.get(block);
      const entry = held === undefined ? await save.find(id, block, 0) : undefined;
      if (held === undefined && entry === undefined) {
        inherited += blockSize;
        continue;
      }
      await inherit(at);
      const zero = held === null || (entry !== undefined && entry.address === 0);
      found.push({ length: blockSize, zero, hole: zero });
    }
    await inherit(end);
    return joinExtents(found);
  }

  async close(): Promise<void> {
    // The branch's own `close` settles what is held.
  }

  /** Commits what is held, before the branch is left. */
  async finish(): Promise<void> {
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
      const old = await save.find(id, block, 0);
      const bytes = this.#held.committing(block);
      if (bytes === null) batch.putZero(id, block, 0);
      else batch.put(id, block, 0, bytes);
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
    if (save.isThrottled) return false;
    let fresh = 0;
    for (let block = first; block < first + count; block += 1) {
      if (!this.#held.isCurrent(block)) fresh += 1;
    }
    if (fresh > 0 && !save.reserve(fresh)) return false;
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
    if (held === undefined) return this.#parts.save.readSaved(this.#parts.id, block, 0, target);
    if (held === null) target.fill(0);
    else target.set(held);
    return true;
  }

  #readBase(
    target: Uint8Array,
    first: number,
    index: number,
    count: number,
    waits: Promise<void>[],
  ): void {
    if (count === 0) return;
    const { blockSize } = this;
    const part = target.subarray(index * blockSize, (index + count) * blockSize);
    const completion = this.#parts.base.readInto(part, (first + index) * blockSize);
    if (completion !== undefined) waits.push(completion);
  }

  async #orBase(found: Promise<boolean>, block: number, target: Uint8Array): Promise<void> {
    if (await found) return;
    // A write that was answered while we looked is held by now, or committed: look there first.
    const now = this.#readOwn(block, target);
    if (now === true || (now !== false && (await now))) return;
    await this.#parts.base.readInto(target, block * this.blockSize);
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
