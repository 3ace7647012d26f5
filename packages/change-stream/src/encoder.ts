/**
 * StreamEncoder: changes to bytes. It keeps what a frame needs of those before it: a number, a
 * checksum, a position and the totals.
 *
 *   CS2  Changes come in ascending order and do not overlap, each within the volume; so what has been
 *        sent is said by one position.
 */
import { StorageError } from '@palimpsest/block-device';
import { checksum, viewOf } from '@palimpsest/bytes';
import {
  CHECKPOINT,
  CHECKPOINT_BODY,
  DATA,
  DATA_BODY,
  DATA_MAX,
  FIRST_SEED,
  FRAME,
  FRAME_MAGIC,
  HEADER,
  TRAILER,
  TRAILER_BODY,
  ZEROS,
  ZEROS_BODY,
} from './frames.js';
import { encodeHeader, type StreamHeader } from './stream-header.js';

/** See the file header. */
export class StreamEncoder {
  readonly #header: StreamHeader;
  #sequence = 0;
  #seed = FIRST_SEED;
  #position: number;
  #records = 0;
  #dataBytes = 0;
  #zeroBytes = 0;

  constructor(header: StreamHeader) {
    this.#header = header;
    this.#position = header.startsAt;
  }

  /** The first frame. @throws {StorageError} ERR_INVALID when the header is no header. */
  begin(): Uint8Array {
    return this.#frame(HEADER, encodeHeader(this.#header));
  }

  /**
   * New content from byte `position` on: at most 1 MiB. `bytes` are copied.
   * @throws {StorageError} ERR_INVALID when it is out of order, or not whole blocks of the volume.
   */
  data(position: number, bytes: Uint8Array): Uint8Array {
    if (bytes.length > DATA_MAX) {
      throw new StorageError('ERR_INVALID', `${bytes.length} bytes of data: at most ${DATA_MAX}`);
    }
    this.#advance(position, bytes.length);
    this.#dataBytes += bytes.length;
    const body = new Uint8Array(DATA_BODY.size + bytes.length);
    DATA_BODY.encode(body, 0, { position });
    body.set(bytes, DATA_BODY.size);
    return this.#frame(DATA, body);
  }

  /** Zeros from byte `position` on. @throws {StorageError} ERR_INVALID as for `data`. */
  zeros(position: number, length: number): Uint8Array {
    this.#advance(position, length);
    this.#zeroBytes += length;
    const body = new Uint8Array(ZEROS_BODY.size);
    ZEROS_BODY.encode(body, 0, { position, length });
    return this.#frame(ZEROS, body);
  }

  /** Says that every change before `position` has been sent. @throws {StorageError} ERR_INVALID. */
  checkpoint(position: number): Uint8Array {
    this.#advance(position, 0);
    const body = new Uint8Array(CHECKPOINT_BODY.size);
    CHECKPOINT_BODY.encode(body, 0, { position });
    return this.#frame(CHECKPOINT, body);
  }

  /** The last frame. */
  end(): Uint8Array {
    const body = new Uint8Array(TRAILER_BODY.size);
    TRAILER_BODY.encode(body, 0, {
      records: this.#records,
      dataBytes: this.#dataBytes,
      zeroBytes: this.#zeroBytes,
    });
    return this.#frame(TRAILER, body);
  }

  #advance(position: number, length: number): void {
    const { blockSize, size } = this.#header;
    const isWhole = position % blockSize === 0 && length % blockSize === 0;
    if (!isWhole || position < this.#position || position + length > size) {
      throw new StorageError(
        'ERR_INVALID',
        `a change of bytes ${position}..${position + length} after ${this.#position}, in a volume ` +
          `of ${size} bytes in blocks of ${blockSize}`,
      );
    }
    this.#position = position + length;
    if (length > 0) this.#records += 1;
  }

  /** CS1. */
  #frame(kind: number, body: Uint8Array): Uint8Array {
    const frame = new Uint8Array(FRAME.size + body.length);
    FRAME.encode(frame, 0, {
      magic: FRAME_MAGIC,
      kind,
      reserved: 0,
      sequence: this.#sequence,
      length: body.length,
      checksum: 0,
    });
    frame.set(body, FRAME.size);
    this.#seed = checksum(frame, this.#seed);
    viewOf(frame).setUint32(FRAME.at.checksum, this.#seed, true);
    this.#sequence += 1;
    return frame;
  }
}
