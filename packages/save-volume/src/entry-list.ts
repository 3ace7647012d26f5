/**
 * EntryList: fixed-size records in key order, in one growing piece of memory. It is what a page
 * holds when it is taken apart to be merged, and what is split into pages again.
 */

/** See the file header. */
export class EntryList {
  readonly stride: number;
  bytes: Uint8Array;
  view: DataView;
  count = 0;

  /** An empty list of records of `stride` bytes, with room for `capacity` of them. */
  constructor(stride: number, capacity = 16) {
    this.stride = stride;
    this.bytes = new Uint8Array(stride * capacity);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Makes room for one more record and returns its byte offset. */
  extend(): number {
    this.#ensure(1);
    this.count += 1;
    return (this.count - 1) * this.stride;
  }

  /** Copies `count` records from `source` at byte `at`. */
  append(source: Uint8Array, at: number, count = 1): void {
    if (count === 0) return;
    this.#ensure(count);
    const length = count * this.stride;
    this.bytes.set(source.subarray(at, at + length), this.count * this.stride);
    this.count += count;
  }

  #ensure(more: number): void {
    const needed = (this.count + more) * this.stride;
    if (needed <= this.bytes.length) return;
    const bytes = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    bytes.set(this.bytes);
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer);
  }
}
