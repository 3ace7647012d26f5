/**
 * BlockDevice: an array of bytes in equal-sized blocks. Every layer is built from it, and every
 * layer is one: a clone volume, a snapshot, a branch and a remote export all have this shape.
 *
 *   D1   A read returns the last bytes written there, or zeros if there were none.
 *   D2   After `flush` resolves, every write, zero and discard that had resolved before it was
 *        called survives a crash.
 *   D3   Before `flush`, a crash may keep, lose, reorder or tear a change: nothing is certain.
 *   D4   A request outside the device, or not a whole number of blocks, or empty, is refused with
 *        ERR_OUT_OF_RANGE or ERR_MISALIGNED and changes nothing. A refusal may be thrown at once or
 *        reject the promise; `await` sees both alike.
 *   D5   After a failed `flush` every change and every further flush answers ERR_FAILED until the
 *        device is reopened: a failed flush is never retried as if it could succeed. Reads go on.
 *   D6   A write refused with ERR_NO_SPACE has changed nothing outside the range it was asked for,
 *        and does not shut the device.
 *   D7   After `close` every method but `close` answers ERR_CLOSED; `close` may be called again.
 *   D8   On a read-only device `write`, `zero` and `discard` answer ERR_READ_ONLY; `flush` succeeds.
 *   D9   After `zero` the range reads as zeros. After `discard` it reads as what it was or as
 *        zeros, per block, and stays that way until it is written.
 *   D10  Changes to different blocks may be in flight at once and do not disturb each other.
 *        Changes to one block in flight at once end as one of them, never as a mixture outside the
 *        bytes they share; a read concurrent with them sees old and new bytes in any mixture (a
 *        page cache tears even inside a sector), and never any other byte.
 *   D11  The caller's buffer belongs to the device until the call resolves, then to the caller.
 *   D12  `extents` covers exactly the asked range, in order, with no empty extent; a range told to
 *        be `zero` reads as zeros.
 *
 * The result of a call is a Completion: `undefined` when the work is already done, else a promise.
 * `await` takes both, so callers need not care; a hot path that does (thousands of small requests
 * from a cache) saves a promise and a turn of the event loop per request.
 */

/** Done already (`undefined`), or done when the promise resolves. Always fit for `await`. */
export type Completion = Promise<void> | undefined;

/** A run of bytes of one kind, as `BlockDevice.extents` reports it. */
export interface Extent {
  /** Bytes, whole blocks, at least one. */
  readonly length: number;
  /** True when the run surely reads as zeros. False says nothing. */
  readonly zero: boolean;
  /** True when no space is allocated for the run. False says nothing. */
  readonly hole: boolean;
}

/** What `zero` may do to the space beneath. */
export interface ZeroOptions {
  /** Keep (or take) the space, so that a later write there cannot run out of it. @default false */
  readonly allocate?: boolean;
  /** Refuse with ERR_UNSUPPORTED rather than write the zeros out one by one. @default false */
  readonly fast?: boolean;
}

/**
 * What a device was asked for since it was opened, in numbers that only grow. What failed counts too,
 * and bytes are those handed to the device, whatever it makes of them.
 */
export interface DeviceMetrics {
  readonly reads: number;
  readonly readBytes: number;
  readonly writes: number;
  readonly writtenBytes: number;
  readonly zeroedBytes: number;
  readonly discardedBytes: number;
  readonly flushes: number;
}

/** The one interface. Obtain one from `checked` (for a backend of your own) or from a factory. */
export interface BlockDevice extends AsyncDisposable {
  /** Bytes in a block: a power of two from 512 to 65 536. Never changes while open. */
  readonly blockSize: number;
  /** Bytes on the device: whole blocks, a safe integer. Only `resize` changes it. */
  readonly size: number;
  /** True when the device refuses changes (D8). */
  readonly readOnly: boolean;
  /** What it was asked for so far: the same object each time, whose numbers grow. */
  readonly metrics: DeviceMetrics;
  /** Fills `target` with the bytes at `position`. Both are whole blocks (D4). */
  readInto(target: Uint8Array, position: number): Completion;
  /** Stores `source` at `position`, whole blocks. Visible when done; durable after `flush` (D2). */
  write(source: Uint8Array, position: number): Completion;
  /** Makes `length` bytes at `position` read as zeros (D9), without moving zeros where it can. */
  zero(position: number, length: number, options?: ZeroOptions): Completion;
  /** Tells the device that the bytes are not needed any more (D9). */
  discard(position: number, length: number): Completion;
  /** Makes every earlier change durable (D2). */
  flush(): Completion;
  /** Describes the range (D12). Devices that do not know better answer one plain extent. */
  extents(position: number, length: number): Promise<readonly Extent[]>;
  /**
   * Changes the device's size to `size` bytes, whole blocks; new bytes are zeros and have space
   * set aside for them where the device can do that. Durable after `flush`.
   * @throws {StorageError} ERR_UNSUPPORTED when the device cannot; ERR_NO_SPACE when there is none.
   */
  resize(size: number): Promise<void>;
  /** Releases the device without flushing it. Idempotent. */
  close(): Promise<void>;
}

/**
 * What a backend writes; `checked` makes a BlockDevice of it. A driver is called only with valid
 * requests (D4, D7, D8 are settled before), and leaves out what it cannot do better than the
 * fallback in the comment.
 */
export interface BlockDriver {
  readonly blockSize: number;
  readonly size: number;
  readonly readOnly: boolean;
  readInto(target: Uint8Array, position: number): Completion;
  write(source: Uint8Array, position: number): Completion;
  flush(): Completion;
  /** Left out: zeros are written in slices, and `fast` is refused. */
  zero?(position: number, length: number, options: ZeroOptions): Completion;
  /** Left out: nothing happens, which D9 allows. */
  discard?(position: number, length: number): Completion;
  /** Left out: one extent that says nothing. */
  extents?(position: number, length: number): Promise<readonly Extent[]>;
  /** Left out: ERR_UNSUPPORTED. */
  resize?(size: number): Promise<void>;
  close(): Promise<void>;
}
