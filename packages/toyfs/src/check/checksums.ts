/**
 * Sums: the checksums of an image with metadata_csum, or those of its descriptors with uninit_bg; none
 * without either. Each is of the bytes of a record, with its own field as zeros or left out, continued
 * from the image's identity and the record's own, so that a record in a wrong place does not fit.
 *
 * What each sum is *of* is said here a second time, beside `seals`, on purpose: whoever writes a sum over
 * the wrong bytes, or looks for it in the wrong place, must not judge it too. What they begin with (the
 * image's seed, an inode's) is no reading of the image, and is theirs.
 */
import { viewOf } from '@palimpsest/bytes';
import { CRC_START, crc32c, crc32cOfU32 } from '../crc32c.js';
import { DIRECTORY_TAIL, TAIL_TYPE } from '../disk/directory-record.js';
import { GROUP_DESCRIPTOR } from '../disk/group-descriptor.js';
import { INODE } from '../disk/inode-record.js';
import { SUPERBLOCK } from '../disk/superblock.js';
import { XATTR_HEAD } from '../disk/xattr-record.js';
import { RO_METADATA_CSUM, RO_UNINIT_BG } from '../features.js';
import { inodeSeed } from '../inode-seed.js';
import { crc16 } from './crc16.js';

/** See the head of the file. */
export class Sums {
  /** Whether everything has a checksum. */
  readonly all: boolean;
  /** Whether descriptors have one, and say what was never used. */
  readonly descriptors: boolean;
  readonly #uuid: Uint8Array;
  readonly #seed: number;

  /** `seed`: what the image's sums begin with, where it has any. */
  constructor(superblock: ReturnType<typeof SUPERBLOCK.decode>, seed: number | undefined) {
    this.all = (superblock.readOnlyCompatible & RO_METADATA_CSUM) !== 0;
    this.descriptors = this.all || (superblock.readOnlyCompatible & RO_UNINIT_BG) !== 0;
    this.#uuid = superblock.uuid;
    this.#seed = seed ?? CRC_START;
  }

  /** Whether the 1,024 bytes of a superblock fit. */
  superblock(bytes: Uint8Array): boolean {
    if (!this.all) return true;
    const sum = crc32c(bytes.subarray(0, SUPERBLOCK.at.checksum), CRC_START);
    return sum === viewOf(bytes).getUint32(SUPERBLOCK.at.checksum, true);
  }

  /** Whether the bytes of the descriptor of `group` fit. */
  descriptor(group: number, bytes: Uint8Array): boolean {
    if (!this.descriptors) return true;
    const at = GROUP_DESCRIPTOR.at.checksum;
    const stored = viewOf(bytes).getUint16(at, true);
    const front = bytes.subarray(0, at);
    const back = bytes.subarray(at + 2);
    if (!this.all)
      return crc16(back, crc16(front, crc16(number4(group), crc16(this.#uuid, 0xffff)))) === stored;
    const sum = crc32c(front, crc32cOfU32(group, this.#seed));
    return (crc32c(back, crc32c(new Uint8Array(2), sum)) & 0xffff) === stored;
  }

  /** Whether `bits`, the part of a bitmap that is in use, fit. A short descriptor has half a sum. */
  bitmap(bits: Uint8Array, stored: number, isWide: boolean): boolean {
    if (!this.all) return true;
    const sum = crc32c(bits, this.#seed);
    return isWide ? sum === stored : (sum & 0xffff) === stored;
  }

  /** Whether an inode's record fits. */
  inode(ino: number, record: Uint8Array): boolean {
    if (!this.all) return true;
    const { checksumLow, checksumHigh, extraSize } = INODE.at;
    const bytes = record.slice();
    const view = viewOf(bytes);
    let stored = view.getUint16(checksumLow, true);
    view.setUint16(checksumLow, 0, true);
    const isWide = bytes.length > 128 && view.getUint16(extraSize, true) >= 4;
    if (isWide) {
      stored += view.getUint16(checksumHigh, true) * 0x1_0000;
      view.setUint16(checksumHigh, 0, true);
    }
    const sum = crc32c(
      bytes,
      inodeSeed(this.#seed, ino, view.getUint32(INODE.at.generation, true)),
    );
    return isWide ? sum === stored : (sum & 0xffff) === stored;
  }

  /** Whether the node of an extent tree fits that has room for `max` entries. */
  extents(ino: number, generation: number, bytes: Uint8Array, max: number): boolean {
    if (!this.all) return true;
    const at = 12 + max * 12;
    if (at + 4 > bytes.length) return false;
    return (
      crc32c(bytes.subarray(0, at), inodeSeed(this.#seed, ino, generation)) ===
      viewOf(bytes).getUint32(at, true)
    );
  }

  /** Whether a block of directory records fits; also false when it has no checksum. */
  records(ino: number, generation: number, bytes: Uint8Array): boolean {
    if (!this.all) return true;
    const at = bytes.length - DIRECTORY_TAIL.size;
    const view = viewOf(bytes);
    const isTail =
      view.getUint32(at, true) === 0 &&
      view.getUint16(at + 4, true) === DIRECTORY_TAIL.size &&
      view.getUint16(at + 6, true) === TAIL_TYPE << 8;
    if (!isTail) return false;
    return (
      crc32c(bytes.subarray(0, at), inodeSeed(this.#seed, ino, generation)) ===
      view.getUint32(at + 8, true)
    );
  }

  /** Whether a node of a hash index fits: `count` entries of `limit` from `at` on. */
  index(
    { ino, generation }: { ino: number; generation: number },
    bytes: Uint8Array,
    { at, count, limit }: { at: number; count: number; limit: number },
  ): boolean {
    if (!this.all) return true;
    const tail = at + limit * 8;
    if (tail + 8 > bytes.length) return false;
    const sum = crc32c(bytes.subarray(0, at + count * 8), inodeSeed(this.#seed, ino, generation));
    const whole = crc32c(new Uint8Array(4), crc32c(bytes.subarray(tail, tail + 4), sum));
    return whole === viewOf(bytes).getUint32(tail + 4, true);
  }

  /** Whether the list in a block of the file of orphans fits. */
  orphans(
    { ino, generation }: { ino: number; generation: number },
    block: number,
    list: Uint8Array,
    stored: number,
  ): boolean {
    if (!this.all) return true;
    return crc32c(list, crc32c(number8(block), inodeSeed(this.#seed, ino, generation))) === stored;
  }

  /** Whether a block of xattrs fits. */
  xattrs(block: number, content: Uint8Array): boolean {
    if (!this.all) return true;
    const bytes = content.slice();
    const view = viewOf(bytes);
    const stored = view.getUint32(XATTR_HEAD.at.checksum, true);
    view.setUint32(XATTR_HEAD.at.checksum, 0, true);
    return crc32c(bytes, crc32c(number8(block), this.#seed)) === stored;
  }
}

function number4(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, true);
  return bytes;
}

function number8(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  viewOf(bytes).setBigUint64(0, BigInt(value), true);
  return bytes;
}
