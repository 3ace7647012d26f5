/**
 * Block status for `base:allocation`: asks the device slice by slice, so that a question about
 * 4 GiB holds neither much memory nor the event loop.
 *   T1  The answer starts at the asked byte, has at least one extent, no empty one, and does not
 *       reach past the range; it may be shorter than the range, which the protocol allows.
 */
import type { BlockDevice } from '@palimpsest/block-device';
import { ALLOCATION, type StatusExtent } from '@palimpsest/nbd-codec';

/** Bytes the device is asked about at a time. */
const SLICE = 256 << 20;
/** Extents in one answer: 128 KiB of reply. The protocol's own limit is 2^20. */
const MAX_EXTENTS = 16_384;
/** What an answer weighs at most. */
export const MAX_STATUS_BYTES: number = 8 * MAX_EXTENTS;

/** Which part of a device, any bytes, and whether one extent is enough. */
export interface StatusRange {
  readonly offset: number;
  readonly length: number;
  readonly one: boolean;
}

/** Describes the range; stops early when `cancelled` says so. */
export async function allocationStatus(
  device: BlockDevice,
  range: StatusRange,
  cancelled: () => boolean,
): Promise<StatusExtent[]> {
  const { blockSize } = device;
  const end = range.offset + range.length;
  const answer: { length: number; flags: number }[] = [];
  let position = range.offset;
  const start = Math.floor(position / blockSize) * blockSize;
  const stop = Math.ceil(end / blockSize) * blockSize;
  for (let at = start; at < stop && !cancelled(); at += SLICE) {
    const slice = Math.min(SLICE, stop - at);
    let reached = at;
    for (const extent of await device.extents(at, slice)) {
      reached += extent.length;
      const length = Math.min(reached, end) - position;
      if (length <= 0) continue;
      position += length;
      const flags = (extent.hole ? ALLOCATION.hole : 0) | (extent.zero ? ALLOCATION.zero : 0);
      const last = answer.at(-1);
      if (last?.flags === flags) {
        last.length += length;
        continue;
      }
      if (answer.length === (range.one ? 1 : MAX_EXTENTS)) return answer;
      answer.push({ length, flags });
    }
  }
  return answer;
}
