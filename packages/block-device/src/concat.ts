/**
 * concat: devices one behind the other, seen as one device. It is a view: closing it leaves the
 * parts open. A flush flushes every part, so that D2 holds for the whole; a change that spans two
 * parts is two changes, as D3 allows.
 */
import type { BlockDevice, BlockDriver, Completion, Extent } from './block-device.js';
import { checked } from './checked.js';
import { StorageError } from './errors.js';

/**
 * Joins `devices`, in order, to one device. It is read-only when any part is.
 * @throws {StorageError} ERR_INVALID when there is none, or their block sizes differ.
 */
export function concat(devices: readonly BlockDevice[]): BlockDevice {
  const [first] = devices;
  if (first === undefined) throw new StorageError('ERR_INVALID', 'no devices to concatenate');
  const parts: Part[] = [];
  let size = 0;
  for (const device of devices) {
    if (device.blockSize !== first.blockSize) {
      throw new StorageError(
        'ERR_INVALID',
        `blocks of ${device.blockSize} and of ${first.blockSize} bytes cannot be concatenated`,
      );
    }
    parts.push({ device, start: size, end: size + device.size });
    size += device.size;
  }
  const driver: BlockDriver = {
    blockSize: first.blockSize,
    size,
    readOnly: devices.some((device) => device.readOnly),
    readInto: (target, position) =>
      each(parts, position, target.length, (part, at, from, to) =>
        part.readInto(target.subarray(from, to), at),
      ),
    write: (source, position) =>
      each(parts, position, source.length, (part, at, from, to) =>
        part.write(source.subarray(from, to), at),
      ),
    zero: (position, length, options) =>
      each(parts, position, length, (part, at, from, to) => part.zero(at, to - from, options)),
    discard: (position, length) =>
      each(parts, position, length, (part, at, from, to) => part.discard(at, to - from)),
    flush: () => all(devices.map((device) => () => device.flush())),
    async extents(position, length) {
      const found: Extent[] = [];
      await each(parts, position, length, async (part, at, from, to) => {
        found.push(...(await part.extents(at, to - from)));
      });
      return found;
    },
    close: () => Promise.resolve(),
  };
  return checked(driver);
}

interface Part {
  readonly device: BlockDevice;
  /** First byte of the part in the whole, and the byte behind its last. */
  readonly start: number;
  readonly end: number;
}

/** Calls `act(part, position in the part, from and to in the request)` for each part touched. */
function each(
  parts: readonly Part[],
  position: number,
  length: number,
  act: (part: BlockDevice, at: number, from: number, to: number) => Completion,
): Completion {
  const end = position + length;
  const touched = parts.filter((part) => part.start < end && part.end > position);
  const [only] = touched;
  if (only !== undefined && touched.length === 1) {
    return act(only.device, position - only.start, 0, length);
  }
  return all(
    touched.map((part) => () => {
      const from = Math.max(position, part.start);
      const to = Math.min(end, part.end);
      return act(part.device, from - part.start, from - position, to - position);
    }),
  );
}

/** One after the other: the extents stay in order, and a failure leaves the later parts alone. */
async function all(steps: readonly (() => Completion)[]): Promise<void> {
  for (const step of steps) await step();
}
