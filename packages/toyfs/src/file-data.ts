/**
 * FileData: the bytes of files. Blocks are taken when they are written to, and filled in memory; they
 * reach the device before the transaction that maps them counts, so a crash shows no block that was
 * not filled (ordered data).
 *
 *   W1  A block behind the end of the file holds zeros from there on: whoever extends the file finds
 *       them. Shortening a file writes them.
 *   W2  What a write copies into memory it copies last, when nothing can throw any more.
 *   W3  A read past the cache is believed only if no freed block was given to another meanwhile.
 */
import type { Block } from './block-cache.js';
import { EXTENT_MAX } from './disk/extent-record.js';
import { FsError } from './errors.js';
import { FILE_BLOCKS_MAX } from './extent-tree.js';
import type { FileRun, Image } from './image.js';
import { IndirectMap } from './indirect-map.js';
import type { Inode } from './inode.js';
import type { Answer } from './vfs.js';
import { INLINE_DATA_NAME, readXattrs } from './xattr.js';

/** Bytes that one operation of a write takes at most. */
const WRITE_STEP = 1 << 20;
/** From so many bytes on a read goes past the cache. */
const DIRECT_FROM = 32 << 10;

/** A part of a read that is not in memory: so many whole blocks, to a place in the target. */
interface DirectRead {
  readonly start: number;
  readonly count: number;
  readonly at: number;
}

/** See the head of the file. */
export class FileData {
  readonly #image: Image;
  readonly #size: number;
  /** Bytes of a file at most. */
  readonly limit: number;

  constructor(image: Image) {
    this.#image = image;
    this.#size = image.geometry.blockSize;
    this.limit = Math.min(FILE_BLOCKS_MAX * this.#size, 2 ** 44);
  }

  /** Reads from the file that `find` answers; answers how many bytes. */
  read(find: () => Inode, target: Uint8Array, offset: number): Answer<number> {
    const { core } = this.#image;
    if (target.length === 0) return core.read(() => find() && 0);
    if (target.length < DIRECT_FROM) {
      return core.read(() => this.#copyOut(find(), target, offset, undefined));
    }
    return this.#readDirectly(find, target, offset, 3);
  }

  /** Writes all of `source`. Each step is an operation of its own. */
  write(find: () => Inode, source: Uint8Array, offset: number): Answer<void> {
    const { core } = this.#image;
    if (offset + source.length > this.limit) {
      throw new FsError('EFBIG', `a file has ${this.limit} bytes at most`);
    }
    for (let done = 0; ; ) {
      const end = Math.min(source.length, done + WRITE_STEP - ((offset + done) % this.#size));
      const part = source.subarray(done, end);
      const at = offset + done;
      const step = core.change(() => this.#writeStep(find(), part, at), done > 0);
      done = end;
      if (step !== undefined) {
        return done === source.length
          ? step
          : step.then(() => this.write(find, source.subarray(done), offset + done));
      }
      if (done === source.length) return undefined;
    }
  }

  /**
   * Takes blocks `from..` of the file out and gives them back, as far as one operation should; true
   * when all are out. For maps of any kind when `from` is 0, else for extents.
   */
  cut(inode: Inode, from: number, to: number): boolean {
    const { core, space } = this.#image;
    const unit = this.#size / 512;
    inode.edit();
    if (inode.hasInlineData || isShortSymlink(inode) || !mapsBlocks(inode)) return true;
    if (inode.hasExtents) {
      const stop = this.#image.tree(inode).remove(from, to, ({ start, count }) => {
        space.giveBlocks({ start, count });
        inode.units -= count * unit;
      });
      return stop >= to;
    }
    if (from > 0) throw notWithExtents(inode);
    const blocks: number[] = [];
    new IndirectMap(core, inode).blocks((block) => blocks.push(block));
    for (const start of blocks) space.giveBlocks({ start, count: 1 });
    inode.units -= blocks.length * unit;
    inode.block.bytes.fill(0, inode.root, inode.root + 60);
    return true;
  }

  /** Writes zeros into `from..to`, as far as blocks hold that range (W1). Less than a block each end. */
  zero(inode: Inode, from: number, to: number): void {
    if (from >= to) return;
    const run = this.#image.run(inode, Math.floor(from / this.#size), 1);
    if (run.kind !== 'data') return;
    const { core } = this.#image;
    const block = core.cache.get(run.start);
    const at = from % this.#size;
    block.bytes.fill(0, at, at + to - from);
    core.soil(block);
  }

  /** Sets space aside from block `from` on, up to `to`; answers how far one operation got. */
  allocate(inode: Inode, from: number, to: number): number {
    const { core } = this.#image;
    if (!inode.hasExtents) throw notWithExtents(inode);
    inode.edit();
    let at = from;
    while (at < to) {
      if (core.touched > core.stepLimit) return at;
      const run = this.#image.run(inode, at, to - at);
      at += run.kind === 'hole' ? this.#take(inode, at, run.count, true).count : run.count;
    }
    return to;
  }

  /** The first byte from `offset` on that is data, or that is not; undefined: none before the end. */
  seek(inode: Inode, offset: number, what: 'data' | 'hole'): number | undefined {
    const blocks = Math.ceil(inode.bytes / this.#size);
    if (inode.hasInlineData) return what === 'data' ? offset : undefined;
    for (let at = Math.floor(offset / this.#size); at < blocks; ) {
      const run = this.#image.run(inode, at, blocks - at);
      if ((run.kind === 'data') === (what === 'data')) return Math.max(offset, at * this.#size);
      at += run.count;
    }
    return undefined;
  }

  #writeStep(inode: Inode, source: Uint8Array, offset: number): void {
    const { core } = this.#image;
    if (!inode.hasExtents) throw notWithExtents(inode);
    const size = this.#size;
    const first = Math.floor(offset / size);
    const end = Math.ceil((offset + source.length) / size);
    const blocks: Block[] = [];
    const isPartial = (logical: number): boolean =>
      logical * size < offset ||
      (logical + 1) * size > Math.min(offset + source.length, inode.bytes);
    inode.edit();
    for (let at = first; at < end; ) {
      const run = this.#writable(inode, at, end - at);
      for (let i = 0; i < run.count; i++) {
        const number = run.start + i;
        if (run.kind !== 'data') blocks.push(core.freshData(number));
        else if (isPartial(at + i)) blocks.push(core.cache.get(number));
        else blocks.push(core.cache.peek(number) ?? core.freshData(number));
      }
      at += run.count;
    }
    inode.bytes = Math.max(inode.bytes, offset + source.length);
    inode.stamp(core.now(), { modified: true });
    // W2: from here on nothing throws.
    blocks.forEach((block, i) => {
      const start = Math.max(0, (first + i) * size - offset);
      const stop = Math.min(source.length, (first + i + 1) * size - offset);
      block.bytes.set(source.subarray(start, stop), offset + start - (first + i) * size);
      core.soil(block);
    });
  }

  /** A run that may be written to, at `at`: taken if there was none. Kind 'data': it held data before. */
  #writable(inode: Inode, at: number, limit: number): FileRun {
    const run = this.#image.run(inode, at, limit);
    if (run.kind === 'data') return run;
    if (run.kind === 'hole') return this.#take(inode, at, run.count, false);
    const tree = this.#image.tree(inode);
    let { start, count } = run;
    const end = tree.remove(at, at + count, () => undefined);
    count = Math.max(1, end - at);
    tree.insert({ logical: at, start, count, unwritten: false });
    return { kind: 'unwritten', start, count };
  }

  /** Takes up to `want` blocks for a hole at `at`, behind the block before it where that is free. */
  #take(inode: Inode, at: number, want: number, unwritten: boolean): FileRun {
    const { space } = this.#image;
    const tree = this.#image.tree(inode);
    const before = at === 0 ? undefined : tree.next(at - 1);
    const goal =
      before === undefined || before.logical >= at
        ? space.goalOf(inode.ino)
        : before.start + (at - before.logical);
    const { start, count } = space.takeBlocks(goal, Math.min(want, EXTENT_MAX - 1));
    inode.units += (count * this.#size) / 512;
    tree.insert({ logical: at, start, count, unwritten });
    return { kind: 'hole', start, count };
  }

  #readDirectly(
    find: () => Inode,
    target: Uint8Array,
    offset: number,
    tries: number,
  ): Answer<number> {
    const { core } = this.#image;
    const direct: DirectRead[] = [];
    const plan = core.read(() => {
      direct.length = 0;
      return this.#copyOut(find(), target, offset, tries > 0 ? direct : undefined);
    });
    const finish = (length: number): Answer<number> => {
      if (direct.length === 0) return length;
      const { releases } = core;
      const waits: Promise<void>[] = [];
      for (const { start, count, at } of direct) {
        const part = target.subarray(at, at + count * this.#size);
        const wait = core.cache.readThrough(part, start);
        if (wait !== undefined) waits.push(wait);
      }
      if (waits.length === 0) return length;
      return Promise.all(waits).then(
        () =>
          core.releases === releases ? length : this.#readDirectly(find, target, offset, tries - 1), // W3
        (error: unknown) => {
          throw new FsError('EIO', 'the device failed to read', { cause: error });
        },
      );
    };
    return plan instanceof Promise ? plan.then(finish) : finish(plan);
  }

  /**
   * Copies what is in memory, and zeros for holes. What is not is left to the caller in `direct`, or
   * missed.
   */
  #copyOut(
    inode: Inode,
    target: Uint8Array,
    offset: number,
    direct: DirectRead[] | undefined,
  ): number {
    const length = Math.max(0, Math.min(target.length, inode.bytes - offset));
    if (length === 0) return 0;
    if (inode.hasInlineData) return copyInline(this.#image, inode, target, offset, length);
    const size = this.#size;
    const missing: number[] = [];
    for (let done = 0; done < length; ) {
      const logical = Math.floor((offset + done) / size);
      const skip = (offset + done) % size;
      const run = this.#image.run(inode, logical, Math.ceil((skip + length - done) / size));
      const end = Math.min(length, done + run.count * size - skip);
      if (run.kind !== 'data') target.fill(0, done, end);
      else this.#copyRun(run, target.subarray(0, end), done, skip, direct, missing);
      done = end;
    }
    this.#image.core.cache.need(missing);
    return length;
  }

  /** Copies the blocks of a run to `at` of the target, up to its end. */
  #copyRun(
    run: FileRun,
    target: Uint8Array,
    at: number,
    skip: number,
    direct: DirectRead[] | undefined,
    missing: number[],
  ): void {
    const { cache } = this.#image.core;
    const size = this.#size;
    let from = skip;
    let pending: { start: number; count: number; at: number } | undefined;
    for (let i = 0, done = at; i < run.count && done < target.length; i++) {
      const number = run.start + i;
      const length = Math.min(size - from, target.length - done);
      const block = cache.peek(number);
      if (block !== undefined) {
        block.used = true;
        if (length === size) target.set(block.bytes, done);
        else target.set(block.bytes.subarray(from, from + length), done);
      } else if (direct === undefined || length < size || cache.logged.has(number)) {
        missing.push(number);
      } else if (pending !== undefined && pending.start + pending.count === number) {
        pending.count++;
      } else {
        pending = { start: number, count: 1, at: done };
        direct.push(pending);
      }
      done += length;
      from = 0;
    }
  }
}

/** The content of a file that lies in its inode. */
export function inlineContent(image: Image, inode: Inode): Uint8Array {
  const rest = readXattrs(image, inode).get(INLINE_DATA_NAME) ?? new Uint8Array(0);
  const content = new Uint8Array(60 + rest.length);
  content.set(inode.block.bytes.subarray(inode.root, inode.root + 60));
  content.set(rest, 60);
  return content;
}

/** Whether a symbolic link's target lies where the block map would. */
export function isShortSymlink(inode: Inode): boolean {
  return inode.isSymlink && inode.bytes < 60 && !inode.hasInlineData;
}

function mapsBlocks(inode: Inode): boolean {
  return inode.isFile || inode.isDirectory || inode.isSymlink;
}

function copyInline(
  image: Image,
  inode: Inode,
  target: Uint8Array,
  offset: number,
  length: number,
): number {
  target.fill(0, 0, length);
  target.set(inlineContent(image, inode).subarray(offset, offset + length));
  return length;
}

function notWithExtents(inode: Inode): FsError {
  return new FsError('EOPNOTSUPP', `inode ${inode.ino} has no extents: it can only be read`);
}
