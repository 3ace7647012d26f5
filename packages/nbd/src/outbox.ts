/**
 * Outbox: replies on their way to a client. Replies that lie side by side in a slab become one
 * segment, and all segments that are ready become one write to the stream: 64 answers cost one
 * system call. While a write is under way, what becomes ready gathers for the next.
 *   B1  Segments leave in the order in which they were appended.
 *   B2  A slab returns to the pool only when the stream has taken all that was in it; after
 *       `dispose` nothing returns, because the stream may still hold what it was given.
 */
import type { Duplex } from 'node:stream';
import type { Arena, Slab } from './slabs.js';

/** Bytes handed to the stream at a time: the unit in which a reader's progress is seen. */
const BATCH = 1 << 20;

interface Segment {
  readonly slab: Slab | undefined;
  readonly bytes: Buffer;
  readonly start: number;
  end: number;
  /** Requests that are finished when this is sent, and the bytes they were charged with. */
  requests: number;
  charge: number;
}

/** Told when replies have left: how many requests they finish, and their charge in bytes. */
export type Sent = (requests: number, charge: number) => void;

/** See the header of this file. */
export class Outbox {
  readonly #stream: Duplex;
  readonly #arena: Arena;
  readonly #sent: Sent;
  #queue: Segment[] = [];
  #queuedBytes = 0;
  #writing = false;
  #disposed = false;
  #waiters: (() => void)[] = [];
  /** Grows whenever the stream has taken something. */
  progress = 0;

  constructor(stream: Duplex, arena: Arena, sent: Sent) {
    this.#stream = stream;
    this.#arena = arena;
    this.#sent = sent;
  }

  /** True when all that was appended has been taken by the stream. */
  get empty(): boolean {
    return !this.#writing && this.#queue.length === 0;
  }

  /** True while the stream has not taken the last batch. */
  get writing(): boolean {
    return this.#writing;
  }

  /** Bytes that wait, the batch under way not counted. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Appends a region of `slab`, filled and reserved before; the outbox will release it. */
  append(slab: Slab, start: number, end: number, requests: number, charge: number): void {
    this.#queuedBytes += end - start;
    const last = this.#queue[this.#queue.length - 1];
    if (last !== undefined && last.slab === slab && last.end === start) {
      last.end = end;
      last.requests += requests;
      last.charge += charge;
      slab.regions -= 1; // The segment counts once, whatever it holds.
      return;
    }
    this.#queue.push({ slab, bytes: slab.bytes, start, end, requests, charge });
  }

  /** Appends bytes that belong to no slab. */
  appendBytes(bytes: Buffer, requests: number, charge: number): void {
    this.#queuedBytes += bytes.length;
    const end = bytes.length;
    this.#queue.push({ slab: undefined, bytes, start: 0, end, requests, charge });
  }

  /** Hands what is ready to the stream, unless a write is under way. */
  flush(): void {
    if (this.#writing || this.#queue.length === 0 || this.#disposed) return;
    const batch = this.#takeBatch();
    this.#writing = true;
    const stream = this.#stream;
    const done = (error?: Error | null) => this.#taken(batch, error);
    if (batch.length === 1) {
      stream.write(bytesOf(batch[0] as Segment), done);
      return;
    }
    stream.cork();
    batch.forEach((segment, index) => {
      if (index === batch.length - 1) stream.write(bytesOf(segment), done);
      else stream.write(bytesOf(segment));
    });
    stream.uncork();
  }

  /** Resolves when less than `limit` bytes wait, or nothing will ever be sent again. */
  async below(limit: number): Promise<void> {
    while (this.#queuedBytes >= limit && !this.#disposed) {
      this.flush();
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }

  /** Forgets everything: the stream is gone. */
  dispose(): void {
    this.#disposed = true;
    this.#queue = [];
    this.#wake();
  }

  #takeBatch(): Segment[] {
    let count = 0;
    let bytes = 0;
    for (const segment of this.#queue) {
      if (bytes >= BATCH) break;
      bytes += segment.end - segment.start;
      count += 1;
    }
    this.#queuedBytes -= bytes;
    const all = this.#queue;
    this.#queue = count === all.length ? [] : all.slice(count);
    return count === all.length ? all : all.slice(0, count);
  }

  #taken(batch: readonly Segment[], error: Error | null | undefined): void {
    // After an error the stream closes itself, and the session with it (B2).
    if (this.#disposed || (error !== null && error !== undefined)) return;
    this.#writing = false;
    this.progress += 1;
    let requests = 0;
    let charge = 0;
    for (const segment of batch) {
      requests += segment.requests;
      charge += segment.charge;
      if (segment.slab !== undefined) this.#arena.release(segment.slab);
    }
    this.#wake();
    this.#sent(requests, charge);
    this.flush();
  }

  #wake(): void {
    if (this.#waiters.length === 0) return;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}

function bytesOf(segment: Segment): Buffer {
  return segment.bytes.subarray(segment.start, segment.end);
}
