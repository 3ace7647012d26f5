/**
 * KnownPlaces: where the bytes are of blocks that were read lately, as a processor keeps what it found in
 * its page tables. A look-up in the map waits for memory a dozen times, mostly in vain where it is asked of
 * each layer of a branch; one here waits once. Its memory grows with what is read up to a limit, and a block
 * that comes takes the place of whichever was there.
 *
 *   W1  What it tells of a block as of a version is what the map tells: a change of a block in the map
 *       makes it forget the block.
 */
import { hashOf } from './hash.js';
import type { MapEntry } from './pending-map.js';

/** Where the bytes of one block are, as an entry of the map has it. */
export type Place = Pick<MapEntry, 'address' | 'flags' | 'checksum'>;

/** Not known here: the map has to be asked. */
export const UNKNOWN: unique symbol = Symbol('place not known');

/** Slots at first, and at most: powers of two. 4 MiB, for 512 MiB of blocks of 4 KiB. */
const SLOTS_LEAST = 512;
const SLOTS_MOST = 131_072;
/** By how much they grow at once; what was known is not, then. */
const GROWTH = 4;
/** Words of a slot, which lies in one line of the processor's cache. */
const WORDS = 8;
const [SPACE, BLOCK, VERSION, HIGHS, ADDRESS, HIGH_AND_FLAGS, CHECKSUM, STATE] = [
  0, 1, 2, 3, 4, 5, 6, 7,
] as const;
/** States; 0 is a slot that tells nothing. */
const NOWHERE = 1;
const SOMEWHERE = 2;
const HIGH = 0x1_0000_0000;

/** See the file header. */
export class KnownPlaces {
  #slots = SLOTS_LEAST;
  #words = new Uint32Array(SLOTS_LEAST * WORDS);
  /** Kept since it grew. */
  #kept = 0;

  /** The place; `undefined` when the map has none for the block as of the version. */
  find(space: number, block: number, version: number): Place | undefined | typeof UNKNOWN {
    const words = this.#words;
    const at = this.#slotOf(space, block);
    if (
      words[at + STATE] === 0 ||
      words[at + BLOCK] !== block >>> 0 ||
      words[at + SPACE] !== space ||
      words[at + VERSION] !== version >>> 0 ||
      words[at + HIGHS] !== highsOf(block, version)
    ) {
      return UNKNOWN;
    }
    if (words[at + STATE] === NOWHERE) return undefined;
    const highAndFlags = words[at + HIGH_AND_FLAGS] as number;
    return {
      address: (words[at + ADDRESS] as number) + (highAndFlags >>> 16) * HIGH,
      flags: highAndFlags & 0xffff,
      checksum: words[at + CHECKSUM] as number,
    };
  }

  /** Keeps what the map told. */
  keep(space: number, block: number, version: number, place: Place | undefined): void {
    this.#kept += 1;
    if (this.#kept > this.#slots && this.#slots < SLOTS_MOST) this.#grow();
    const words = this.#words;
    const at = this.#slotOf(space, block);
    words[at + SPACE] = space;
    words[at + BLOCK] = block;
    words[at + VERSION] = version;
    words[at + HIGHS] = highsOf(block, version);
    words[at + STATE] = place === undefined ? NOWHERE : SOMEWHERE;
    if (place === undefined) return;
    words[at + ADDRESS] = place.address;
    words[at + HIGH_AND_FLAGS] = ((Math.floor(place.address / HIGH) << 16) | place.flags) >>> 0;
    words[at + CHECKSUM] = place.checksum;
  }

  /** W1: the map has something else to tell of the block, as of whichever version. */
  forget(space: number, block: number): void {
    this.#words[this.#slotOf(space, block) + STATE] = 0;
  }

  #grow(): void {
    this.#slots *= GROWTH;
    this.#words = new Uint32Array(this.#slots * WORDS);
    this.#kept = 0;
  }

  #slotOf(space: number, block: number): number {
    return (hashOf(space, block) & (this.#slots - 1)) * WORDS;
  }
}

/** What does not fit into 32 bits of two numbers of 48. */
function highsOf(block: number, version: number): number {
  return ((Math.floor(block / HIGH) << 16) | Math.floor(version / HIGH)) >>> 0;
}
