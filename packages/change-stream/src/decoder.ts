/**
 * StreamDecoder: bytes, in pieces of any size, to changes. What it tells has been checked: a stream
 * that was cut, changed or put together from others is found out, at the latest by `end`.
 *
 *   CS3  It holds one frame at most, whose length is checked before anything waits for it.
 *   CS4  Nothing of a frame is told before its checksum is found right.
 */
import { StorageError } from '@palimpsest/block-device';
import { checksum, viewOf } from '@palimpsest/bytes';
import {
  CHECKPOINT,
  CHECKPOINT_BODY,
  DATA,
  DATA_BODY,
  DATA_MAX,
  DESCRIPTION_MAX,
  FIRST_SEED,
  FRAME,
  FRAME_MAGIC,
  HEADER,
  TRAILER,
  TRAILER_BODY,
  ZEROS,
  ZEROS_BODY,
} from './frames.js';
import { decodeHeader, type StreamHeader } from './stream-header.js';

/** What a stream tells, in order: one header, changes and checkpoints, one trailer. */
export type StreamRecord =
  | { readonly kind: 'header'; readonly header: StreamHeader }
  | { readonly kind: 'data'; readonly position: number; readonly bytes: Uint8Array }
  | { readonly kind: 'zeros'; readonly position: number; readonly length: number }
  | { readonly kind: 'checkpoint'; readonly position: number }
  | {
      readonly kind: 'trailer';
      readonly records: number;
      readonly dataBytes: number;
      readonly zeroBytes: number;
    };

/** Lengths of bodies by kind, smallest and largest. */
const BODY: ReadonlyMap<number, readonly [number, number]> = new Map([
  [HEADER, [2, DESCRIPTION_MAX]],
  [DATA, [DATA_BODY.size + 1, DATA_BODY.size + DATA_MAX]],
  [ZEROS, [ZEROS_BODY.size, ZEROS_BODY.size]],
  [CHECKPOINT, [CHECKPOINT_BODY.size, CHECKPOINT_BODY.size]],
  [TRAILER, [TRAILER_BODY.size, TRAILER_BODY.size]],
]);

/** See the file header. */
export class StreamDecoder {
  readonly #chunks: Uint8Array[] = [];
  #buffered = 0;
  /** Bytes of the frame at the front: its head until that has come. */
  #needed: number = FRAME.size;
  #sequence = 0;
  #seed = FIRST_SEED;
  #header: StreamHeader | undefined;
  #position = 0;
  #records = 0;
  #dataBytes = 0;
  #zeroBytes = 0;
  #ended = false;

  /**
   * Takes the next bytes, which must not change afterwards, and tells the records that are complete
   * with them, one at a time: take them all before the next call.
   * @throws {StorageError} ERR_CORRUPT, with the frame's number; ERR_FORMAT for an unknown version.
   */
  *push(chunk: Uint8Array): Generator<StreamRecord> {
    if (chunk.length > 0) this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    while (this.#buffered >= this.#needed) {
      if (this.#ended) throw this.#damage('there are bytes after its end');
      const frame = this.#front(this.#needed);
      const length = this.#checkedHead(frame);
      this.#needed = FRAME.size + length;
      if (frame.length < this.#needed) continue;
      const record = this.#decode(frame);
      this.#drop(this.#needed);
      this.#needed = FRAME.size;
      this.#sequence += 1;
      yield record;
    }
    if (this.#ended && this.#buffered > 0) throw this.#damage('there are bytes after its end');
  }

  /** Call it when there are no more bytes. @throws {StorageError} ERR_CORRUPT when some are missing. */
  end(): void {
    if (this.#ended && this.#buffered === 0) return;
    throw this.#damage('it was cut off: its end is missing');
  }

  /** CS3. The length of the body. */
  #checkedHead(frame: Uint8Array): number {
    const { magic, kind, reserved, sequence, length } = FRAME.decode(frame, 0);
    if (magic !== FRAME_MAGIC) {
      throw this.#damage(
        this.#sequence === 0 ? 'it is no change stream' : 'a frame does not begin',
      );
    }
    const limits = BODY.get(kind);
    const isFirst = this.#sequence === 0;
    if (limits === undefined || (kind === HEADER) !== isFirst || reserved !== 0) {
      throw this.#damage(`a frame of kind ${kind} stands where it cannot`);
    }
    if (sequence !== this.#sequence) throw this.#damage(`frame ${sequence} came instead`);
    if (length < limits[0] || length > limits[1])
      throw this.#damage(`its body has ${length} bytes`);
    return length;
  }

  /** CS4. */
  #decode(frame: Uint8Array): StreamRecord {
    const { kind, checksum: sum } = FRAME.decode(frame, 0);
    const bare = frame.slice(0, FRAME.size);
    viewOf(bare).setUint32(FRAME.at.checksum, 0, true);
    const body = frame.subarray(FRAME.size);
    const seed = checksum(body, checksum(bare, this.#seed));
    if (seed !== sum) throw this.#damage('its checksum is wrong');
    this.#seed = seed;
    if (kind === HEADER) {
      const header = decodeHeader(body);
      this.#header = header;
      this.#position = header.startsAt;
      return { kind: 'header', header };
    }
    if (kind === DATA) {
      const { position } = DATA_BODY.decode(body, 0);
      const bytes = body.subarray(DATA_BODY.size);
      this.#advance(position, bytes.length);
      this.#dataBytes += bytes.length;
      return { kind: 'data', position, bytes };
    }
    if (kind === ZEROS) {
      const { position, length } = ZEROS_BODY.decode(body, 0);
      this.#advance(position, length);
      this.#zeroBytes += length;
      return { kind: 'zeros', position, length };
    }
    if (kind === CHECKPOINT) {
      const { position } = CHECKPOINT_BODY.decode(body, 0);
      this.#advance(position, 0);
      return { kind: 'checkpoint', position };
    }
    return this.#decodeTrailer(body);
  }

  #decodeTrailer(body: Uint8Array): StreamRecord {
    const totals = TRAILER_BODY.decode(body, 0);
    const isRight =
      totals.records === this.#records &&
      totals.dataBytes === this.#dataBytes &&
      totals.zeroBytes === this.#zeroBytes;
    if (!isRight) throw this.#damage(`it tells of ${totals.records} changes, and has others`);
    this.#ended = true;
    return { kind: 'trailer', ...totals };
  }

  /** CS2. */
  #advance(position: number, length: number): void {
    const { blockSize, size } = this.#header as StreamHeader;
    const end = position + length;
    const isWhole = position % blockSize === 0 && length % blockSize === 0;
    if (!isWhole || position < this.#position || end > size) {
      throw this.#damage(`it changes bytes ${position}..${end} after ${this.#position}`);
    }
    this.#position = end;
    if (length > 0) this.#records += 1;
  }

  #damage(what: string): StorageError {
    return new StorageError(
      'ERR_CORRUPT',
      `the stream is damaged at frame ${this.#sequence}: ${what}; export it again`,
    );
  }

  /** The first `length` bytes, in one piece. */
  #front(length: number): Uint8Array {
    const first = this.#chunks[0] as Uint8Array;
    if (first.length >= length) return first.subarray(0, length);
    const joined = new Uint8Array(this.#buffered);
    let at = 0;
    for (const chunk of this.#chunks) {
      joined.set(chunk, at);
      at += chunk.length;
    }
    this.#chunks.splice(0, this.#chunks.length, joined);
    return joined.subarray(0, length);
  }

  #drop(length: number): void {
    const first = this.#chunks[0] as Uint8Array;
    if (first.length === length) this.#chunks.shift();
    else this.#chunks[0] = first.subarray(length);
    this.#buffered -= length;
  }
}
