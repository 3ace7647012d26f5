/**
 * DirectorySeal: the checksums of one directory's blocks. A block of names ends with a record that
 * looks unused, of type 0xDE, and holds the sum. A block of a hash index has it behind its entries.
 */
import { viewOf } from '@palimpsest/bytes';
import type { Block } from '../block-cache.js';
import { crc32c, crc32cOfU32 } from '../crc32c.js';
import { DIRECTORY_TAIL, TAIL_TYPE } from '../disk/directory-record.js';
import type { Seal } from './seal.js';

const TAIL = DIRECTORY_TAIL;

/** See the head of the file. */
export class DirectorySeal implements Seal {
  readonly #seed: number;

  /** `seed` is the inode's. */
  constructor(seed: number) {
    this.#seed = seed;
  }

  fits(block: Block): boolean {
    const place = this.#place(block);
    if (place === undefined) return false;
    return block.view.getUint32(place.at, true) === this.#sum(block, place);
  }

  write(block: Block): void {
    const place = this.#place(block);
    if (place !== undefined) block.view.setUint32(place.at, this.#sum(block, place), true);
  }

  #sum(block: Block, { at, covered, isIndex }: Place): number {
    const sum = crc32c(block.bytes, this.#seed, 0, covered);
    // An index's sum goes on over the 4 bytes before it, and over itself as zeros.
    return isIndex ? crc32cOfU32(0, crc32c(block.bytes, sum, at - 4, at)) : sum;
  }

  /** Where the sum is, and the bytes that it is of; undefined: there is none. */
  #place(block: Block): Place | undefined {
    const { bytes, view } = block;
    const entries = indexEntries(block);
    if (entries === undefined) {
      const end = bytes.length - TAIL.size;
      if (!hasTail(block)) return undefined;
      return { at: end + TAIL.at.checksum, covered: end, isIndex: false };
    }
    const limit = view.getUint16(entries, true);
    const count = view.getUint16(entries + 2, true);
    const at = entries + limit * 8 + 4;
    if (count > limit || at + 4 > bytes.length) return undefined;
    return { at, covered: entries + count * 8, isIndex: true };
  }
}

interface Place {
  readonly at: number;
  readonly covered: number;
  readonly isIndex: boolean;
}

/** Whether a block is one of a hash index: what was a block of names may still end like one. */
export function isOfIndex(block: Block): boolean {
  return indexEntries(block) !== undefined;
}

/** Whether a block ends with the record that holds a checksum. */
function hasTail({ bytes, view }: Block): boolean {
  const at = bytes.length - TAIL.size;
  return (
    view.getUint32(at + TAIL.at.inode, true) === 0 &&
    view.getUint16(at + TAIL.at.length, true) === TAIL.size &&
    bytes[at + TAIL.at.nameLength] === 0 &&
    bytes[at + TAIL.at.type] === TAIL_TYPE
  );
}

/** Writes the record that holds the checksum, and leaves the sum to the seal. */
export function writeTail(bytes: Uint8Array): void {
  const at = bytes.length - TAIL.size;
  bytes.fill(0, at);
  viewOf(bytes).setUint16(at + TAIL.at.length, TAIL.size, true);
  bytes[at + TAIL.at.type] = TAIL_TYPE;
}

/**
 * Where the entries of a hash index begin: behind `.`, `..` and 8 bytes, or behind one record's head.
 * There the last record goes to the block's end, where a block of names has its sum.
 */
function indexEntries({ bytes, view }: Block): number | undefined {
  const first = view.getUint16(4, true);
  if (first === 12 && view.getUint16(16, true) === bytes.length - 12) return 32;
  const isInner = view.getUint32(0, true) === 0 && [bytes.length, 0, 0xffff].includes(first);
  return isInner ? 8 : undefined;
}
