/**
 * ReadAhead: how many blocks a read that missed one should read. A few where reading goes on behind what was
 * read lately, so that small files, and the inodes of a directory, cost a read for several of them; one
 * elsewhere, so that reading here and there costs what it has to.
 */

/** Blocks read at once at most. */
const AHEAD_MAX = 8;
/** Places where reading may go on: inodes, directories and files take turns. */
const STREAMS = 4;
/** So many blocks may be left out: they are in memory, or of no use. */
const NEAR = 4;

/** See the head of the file. */
export class ReadAhead {
  /** Blocks at once at most. */
  readonly max: number;
  readonly #ends: number[] = new Array<number>(STREAMS).fill(-1);
  #oldest = 0;

  /** Of a small cache only a small part may be taken. */
  constructor(capacity: number) {
    this.max = Math.max(1, Math.min(AHEAD_MAX, capacity >>> 5));
  }

  /** How many blocks to read from `number` on, of those that are `wanted`; 1 at least. */
  length(number: number, wanted: (number: number) => boolean): number {
    let stream = this.#ends.findIndex((end) => end >= 0 && number >= end && number < end + NEAR);
    let count = 1;
    if (stream < 0) stream = this.#oldest++ % STREAMS;
    else while (count < this.max && wanted(number + count)) count++;
    this.#ends[stream] = number + count;
    return count;
  }
}
