/**
 * FileReader: reading the bytes of files: from memory what is there, large parts of the rest straight
 * from the device into the caller's buffer.
 *
 *   W3  A read past the cache is believed only if no freed block was given to another meanwhile.
 */
import { together } from '@palimpsest/block-device';
import type { FileRun, Image } from './image.js';
import type { Inode } from './inode.js';
import type { Answer } from './vfs.js';
import { INLINE_DATA_NAME, readXattrs } from './xattr.js';

/** From so many bytes on a read goes past the cache. */
const DIRECT_FROM = 32 << 10;

/** A part of a read that is not in memory: so many whole blocks, to a place in the target. */
interface DirectRead {
  readonly start: number;
  readonly count: number;
  readonly at: number;
}

/** See the head of the file. */
export class FileReader {
  readonly #image: Image;
  readonly #size: number;

  constructor(image: Image) {
    this.#image = image;
    this.#size = image.geometry.blockSize;
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
      const reading = together((waits) => {
        for (const { start, count, at } of direct) {
          const part = target.subarray(at, at + count * this.#size);
          const wait = core.cache.readThrough(part, start);
          if (wait !== undefined) waits.push(wait);
        }
      });
      if (reading === undefined) return length;
      // W3
      return reading.then(() =>
        core.releases === releases ? length : this.#readDirectly(find, target, offset, tries - 1),
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
      else this.#copyRun(run, target, end, done, skip, direct, missing);
      done = end;
    }
    if (missing.length > 0) this.#image.core.cache.need(missing);
    return length;
  }

  /** Copies the blocks of a run to `at` of the target, up to `end`. */
  #copyRun(
    run: FileRun,
    target: Uint8Array,
    end: number,
    at: number,
    skip: number,
    direct: DirectRead[] | undefined,
    missing: number[],
  ): void {
    const { cache } = this.#image.core;
    const size = this.#size;
    let from = skip;
    let pending: { start: number; count: number; at: number } | undefined;
    for (let i = 0, done = at; i < run.count && done < end; i++) {
      const number = run.start + i;
      const length = Math.min(size - from, end - done);
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
