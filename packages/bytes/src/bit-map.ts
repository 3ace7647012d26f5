/**
 * BitMap: a fixed number of bits, packed low bit first, over memory it is given or makes itself.
 */

/** See the file header. Indices are not checked: callers work within `length`. */
export class BitMap {
  readonly bytes: Uint8Array;
  readonly length: number;

  /** `length` bits, all clear unless `bytes` (at least length / 8 of them) says otherwise. */
  constructor(length: number, bytes: Uint8Array = new Uint8Array(Math.ceil(length / 8))) {
    this.length = length;
    this.bytes = bytes;
  }

  has(index: number): boolean {
    return ((this.bytes[index >>> 3] as number) & (1 << (index & 7))) !== 0;
  }

  /** Sets the bit; tells whether it was clear. */
  add(index: number): boolean {
    const byte = this.bytes[index >>> 3] as number;
    const bit = 1 << (index & 7);
    this.bytes[index >>> 3] = byte | bit;
    return (byte & bit) === 0;
  }

  /** Clears the bit; tells whether it was set. */
  delete(index: number): boolean {
    const byte = this.bytes[index >>> 3] as number;
    const bit = 1 << (index & 7);
    this.bytes[index >>> 3] = byte & ~bit;
    return (byte & bit) !== 0;
  }

  /** The first clear bit at or after `from` and below `end`, or -1. Full bytes are skipped whole. */
  nextClear(from: number, end: number): number {
    let index = from;
    while (index < end) {
      if ((index & 7) === 0 && this.bytes[index >>> 3] === 0xff) index += 8;
      else if (this.has(index)) index += 1;
      else return index;
    }
    return -1;
  }

  /** The first set bit at or after `from` and below `end`, or `end`. Empty bytes are skipped whole. */
  nextSet(from: number, end: number): number {
    let index = from;
    while (index < end) {
      if ((index & 7) === 0 && this.bytes[index >>> 3] === 0) index += 8;
      else if (!this.has(index)) index += 1;
      else return index;
    }
    return end;
  }

  /** The last set bit below `end`, or -1. */
  lastSet(end: number): number {
    let index = end - 1;
    while (index >= 0) {
      if ((index & 7) === 7 && this.bytes[index >>> 3] === 0) index -= 8;
      else if (!this.has(index)) index -= 1;
      else return index;
    }
    return -1;
  }

  /** Set bits below `end`. */
  count(end: number = this.length): number {
    let total = 0;
    for (let byte = 0; byte < end >>> 3; byte += 1)
      total += POPULATION[this.bytes[byte] as number] as number;
    for (let index = end & ~7; index < end; index += 1) total += this.has(index) ? 1 : 0;
    return total;
  }
}

const POPULATION: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) => {
  let bits = 0;
  for (let rest = byte; rest !== 0; rest >>>= 1) bits += rest & 1;
  return bits;
});
