/**
 * readOnly: a device that refuses every change (D8) and otherwise is the device beneath. It is a
 * view: closing it leaves the device beneath open.
 */
import type { BlockDevice } from './block-device.js';
import { checked } from './checked.js';
import { invariant } from './errors.js';

/** Shows `device` as a read-only device. Its size follows the device's. */
export function readOnly(device: BlockDevice): BlockDevice {
  return checked({
    blockSize: device.blockSize,
    get size(): number {
      return device.size;
    },
    readOnly: true,
    readInto: (target, position) => device.readInto(target, position),
    extents: (position, length) => device.extents(position, length),
    write: refuse,
    flush: refuse,
    close: () => Promise.resolve(),
  });
}

/** D8 is settled by `checked`, which answers before the driver is asked. */
function refuse(): never {
  invariant(false, 'a change to a read-only device never reaches its driver');
}
