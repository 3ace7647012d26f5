/**
 * slice: a run of blocks of a device, seen as a device of its own. A partition of a disk, a region
 * of a save volume. It is a view: closing it leaves the device beneath open, flushing it flushes
 * the whole device beneath.
 */
import type { BlockDevice, BlockDriver } from './block-device.js';
import { checked } from './checked.js';
import { StorageError } from './errors.js';

/**
 * Shows the `length` bytes at `position` of `device`, both whole blocks, as a device.
 * @throws {StorageError} ERR_INVALID when they are not whole blocks or not inside the device.
 */
export function slice(device: BlockDevice, position: number, length: number): BlockDevice {
  const { blockSize, size } = device;
  // Written so that NaN fails it too.
  if (!(position >= 0 && length >= 0 && position + length <= size)) {
    throw new StorageError(
      'ERR_INVALID',
      `the slice of bytes ${position}..${position + length} is outside the device of ${size} bytes`,
    );
  }
  if (position % blockSize !== 0 || length % blockSize !== 0) {
    throw new StorageError(
      'ERR_INVALID',
      `the slice of ${length} bytes at ${position} is not whole blocks of ${blockSize} bytes`,
    );
  }
  const driver: BlockDriver = {
    blockSize,
    size: length,
    readOnly: device.readOnly,
    readInto: (target, at) => device.readInto(target, position + at),
    write: (source, at) => device.write(source, position + at),
    zero: (at, count, options) => device.zero(position + at, count, options),
    discard: (at, count) => device.discard(position + at, count),
    flush: () => device.flush(),
    extents: (at, count) => device.extents(position + at, count),
    close: () => Promise.resolve(),
  };
  return checked(driver);
}
