/**
 * MemoryFile: bytes that grow, and which blocks of them were ever written, so that holes can be told
 * from zeros. Everything beyond the size is zero at all times.
 */

/** Bytes that are a hole or data together. */
export const MEMORY_BLOCK = 4096;

/** See the head of the file. */
export class MemoryFile {
  size = 0;
  readonly #written = new Set<number>();
  #bytes: Uint8Array = new Uint8Array(0);

  /** Bytes of the blocks that are no holes. */
  get allocated(): number {
    return this.#written.size * MEMORY_BLOCK;
  }

  read(target: Uint8Array, offset: number): number {
    const length = Math.max(0, Math.min(target.length, this.size - offset));
    if (length === 0) return 0;
    const part = this.#bytes.subarray(offset, offset + length);
    target.set(part);
    target.fill(0, part.length, length);
    return length;
  }

  write(source: Uint8Array, offset: number): void {
    if (source.length === 0) return;
    const end = offset + source.length;
    if (end > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(end, 2 * this.#bytes.length));
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#bytes.set(source, offset);
    this.#mark(offset, end);
    this.size = Math.max(this.size, end);
  }

  resize(size: number): void {
    this.#bytes.fill(0, size);
    for (const block of this.#written)
      if (block * MEMORY_BLOCK >= size) this.#written.delete(block);
    this.size = size;
  }

  allocate(offset: number, length: number, keepSize: boolean): void {
    this.#mark(offset, offset + length);
    if (!keepSize) this.size = Math.max(this.size, offset + length);
  }

  punch(offset: number, length: number): void {
    this.#bytes.fill(0, offset, offset + length);
    for (const block of this.#written) {
      const at = block * MEMORY_BLOCK;
      if (at >= offset && at + MEMORY_BLOCK <= offset + length) this.#written.delete(block);
    }
  }

  /** The first offset that is wanted, or undefined. */
  seek(offset: number, what: 'data' | 'hole'): number | undefined {
    if (offset >= this.size) return undefined;
    for (let at = offset; at < this.size; at = (Math.floor(at / MEMORY_BLOCK) + 1) * MEMORY_BLOCK) {
      if (this.#written.has(Math.floor(at / MEMORY_BLOCK)) === (what === 'data')) return at;
    }
    return what === 'hole' ? this.size : undefined;
  }

  #mark(offset: number, end: number): void {
    for (let at = Math.floor(offset / MEMORY_BLOCK); at * MEMORY_BLOCK < end; at++) {
      this.#written.add(at);
    }
  }
}
