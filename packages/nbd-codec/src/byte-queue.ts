/**
 * ByteQueue: bytes that arrived and are not yet understood. For handshakes, which are small; it
 * grows by doubling, so a peer that sends byte by byte costs no more than its bytes.
 */
export class ByteQueue {
  #buffer: Uint8Array = new Uint8Array(64);
  #start = 0;
  #end = 0;

  get length(): number {
    return this.#end - this.#start;
  }

  push(chunk: Uint8Array): void {
    const needed = this.length + chunk.length;
    if (this.#end + chunk.length > this.#buffer.length) {
      const grow = needed > this.#buffer.length / 2;
      const buffer = grow ? new Uint8Array(2 * needed) : this.#buffer;
      buffer.set(this.#buffer.subarray(this.#start, this.#end));
      this.#buffer = buffer;
      this.#start = 0;
      this.#end = needed - chunk.length;
    }
    this.#buffer.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /** The first `length` bytes, valid until the next call; undefined when not all have arrived. */
  peek(length: number): Uint8Array | undefined {
    if (this.length < length) return undefined;
    return this.#buffer.subarray(this.#start, this.#start + length);
  }

  /** Takes up to `length` bytes from the front. The caller may keep them. */
  take(length: number): Uint8Array {
    const end = Math.min(this.#start + length, this.#end);
    const taken = this.#buffer.slice(this.#start, end);
    this.#start = end;
    return taken;
  }
}
