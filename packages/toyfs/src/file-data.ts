/**
 * FileData: changing the bytes of files; file-read.ts reads them. Blocks are taken when they are
 * written to, and filled in memory; they reach the device before the transaction that maps them counts,
 * so a crash shows no block that was not filled (ordered data).
 *
 *   W1  A block behind the end of the file holds zeros from there on: whoever extends the file finds
 *       them. Shortening a file writes them.
 *   W2  What a write copies into memory it copies last, when nothing can throw any more.
 */
import type { Block } from './block-cache.js';
import { EXTENT_MAX } from './disk/extent-record.js';
import { FsError } from './errors.js';
import { FILE_BLOCKS_MAX } from './extent-walk.js';
import type { FileRun, Image } from './image.js';
import { IndirectMap } from './indirect-map.js';
import type { Inode } from './inode.js';
import { isShortSymlink } from './symlink.js';
import type { Answer } from './vfs.js';

/** Bytes that one operation of a write takes at most. */
const WRITE_STEP = 1 << 20;
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

  /** Writes all of `source`. Each step is an operation of its own. */
  write(find: () => Inode, source: Uint8Array, offset: number): Answer<void> {
    const { core } = this.#image;
    if (offset + source.length > this.limit) {
      throw new FsError('EFBIG', `a file has ${this.limit} bytes at most`);
    }
    for (let done = 0; ; ) {
      const end = Math.min(source.length, done + WRITE_STEP - ((offset + done) % this.#size));
      const part = done === 0 && end === source.length ? source : source.subarray(done, end);
      const at = offset + done;
      const step = core.change(() => this.#writeStep(find(), part, at));
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
      logical * size < offset || (logical + 1) * size > offset + source.length;
    inode.edit();
    for (let at = first; at < end; ) {
      const run = this.#writable(inode, at, end - at);
      for (let i = 0; i < run.count; i++) {
        const number = run.start + i;
        const isWhole = !isPartial(at + i);
        if (run.kind !== 'data') blocks.push(core.freshData(number, isWhole));
        else if (!isWhole) blocks.push(core.cache.get(number));
        else blocks.push(core.cache.peek(number) ?? core.freshData(number, true));
      }
      at += run.count;
    }
    inode.bytes = Math.max(inode.bytes, offset + source.length);
    inode.stamp(core.now(), { modified: true });
    // W2: from here on nothing throws.
    blocks.forEach((block, i) => {
      const start = Math.max(0, (first + i) * size - offset);
      const stop = Math.min(source.length, (first + i + 1) * size - offset);
      const isAll = start === 0 && stop === source.length;
      block.bytes.set(
        isAll ? source : source.subarray(start, stop),
        offset + start - (first + i) * size,
      );
      core.soil(block);
      // What is only written makes room first: reading it again makes it worth keeping.
      block.used = false;
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
}

function mapsBlocks(inode: Inode): boolean {
  return inode.isFile || inode.isDirectory || inode.isSymlink;
}

function notWithExtents(inode: Inode): FsError {
  return new FsError('EOPNOTSUPP', `inode ${inode.ino} has no extents: it can only be read`);
}
