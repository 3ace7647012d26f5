/**
 * A BlockDevice in memory: the reference the others are compared with. Sparse: memory is taken in
 * 64 KiB pieces as they are first written, so a huge device costs what it holds.
 */
import type { BlockDevice, BlockDriver } from './block-device.js';
import { checked } from './checked.js';

const PIECE = 65_536;

/** The shape of a device that is made from nothing. */
export interface MemoryDeviceOptions {
  /** Bytes in a block. @default 4096, the page size of most machines and file systems */
  readonly blockSize?: number;
  /** Bytes on the device, whole blocks. */
  readonly size: number;
}

/**
 * Makes a device of zeros in memory. Every call completes at once.
 * @throws {StorageError} ERR_INVALID when the geometry is not valid.
 */
export function createMemoryDevice(options: MemoryDeviceOptions): BlockDevice {
  const pieces = new Map<number, Uint8Array>();
  const driver: BlockDriver & { size: number } = {
    blockSize: options.blockSize ?? 4096,
    size: options.size,
    readOnly: false,
    readInto(target, position) {
      eachPiece(position, target.length, (piece, start, offset, length) => {
        const bytes = pieces.get(piece);
        const part = target.subarray(offset, offset + length);
        if (bytes === undefined) part.fill(0);
        else part.set(bytes.subarray(start, start + length));
      });
      return undefined;
    },
    write(source, position) {
      eachPiece(position, source.length, (piece, start, offset, length) => {
        let bytes = pieces.get(piece);
        if (bytes === undefined) {
          bytes = new Uint8Array(PIECE);
          pieces.set(piece, bytes);
        }
        bytes.set(source.subarray(offset, offset + length), start);
      });
      return undefined;
    },
    zero(position, length) {
      eachPiece(position, length, (piece, start, _offset, count) => {
        if (count === PIECE) pieces.delete(piece);
        else pieces.get(piece)?.fill(0, start, start + count);
      });
      return undefined;
    },
    discard(position, length) {
      return driver.zero?.(position, length, {});
    },
    flush: () => undefined,
    async resize(size) {
      if (size < driver.size) driver.zero?.(size, driver.size - size, {});
      driver.size = size;
    },
    async close() {
      pieces.clear();
    },
  };
  return checked(driver);
}

/** Calls `visit(piece, start in the piece, offset in the request, length)` for each piece touched. */
function eachPiece(
  position: number,
  length: number,
  visit: (piece: number, start: number, offset: number, length: number) => void,
): void {
  for (let offset = 0; offset < length; ) {
    const piece = Math.floor((position + offset) / PIECE);
    const start = (position + offset) % PIECE;
    const count = Math.min(PIECE - start, length - offset);
    visit(piece, start, offset, count);
    offset += count;
  }
}
