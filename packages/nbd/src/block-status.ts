/**
 * Block status: asks each chosen context slice by slice, so that a question about 4 GiB holds neither
 * much memory nor the event loop, and ends when the client has left.
 *   T1  The answer starts at the asked byte, has at least one extent, no empty one, and does not
 *       reach past the range; it may be shorter than the range, which the protocol allows.
 *   T2  However many contexts are asked, an answer weighs at most `MAX_STATUS_BYTES`.
 */
import { InvariantViolation } from '@palimpsest/block-device';
import type { StatusExtent } from '@palimpsest/nbd-codec';
import type { MetaContext } from './meta-contexts.js';

/** Bytes a context is asked about at a time. */
const SLICE = 256 << 20;
/** Extents in one answer: 128 KiB of reply. The protocol's own limit is 2^20 for each context. */
const MAX_EXTENTS = 16_384;
/** What an answer weighs at most. */
export const MAX_STATUS_BYTES: number = 8 * MAX_EXTENTS;

/** Which part of a device, any bytes, and how much may be said of it. */
export interface StatusRange {
  readonly offset: number;
  readonly length: number;
  /** Bytes; contexts are asked about whole blocks. */
  readonly blockSize: number;
  /** At least 1. */
  readonly maxExtents: number;
}

/** How many extents each of `contexts` contexts may answer (T2). */
export function extentsAllowed(contexts: number, one: boolean): number {
  return one ? 1 : Math.max(1, Math.floor(MAX_EXTENTS / Math.max(1, contexts)));
}

/** Describes the range as the context has it; stops early when `cancelled` says so. */
export async function rangeStatus(
  context: MetaContext,
  { offset, length, blockSize, maxExtents }: StatusRange,
  cancelled: () => boolean,
): Promise<StatusExtent[]> {
  const end = offset + length;
  const stop = Math.ceil(end / blockSize) * blockSize;
  const answer: { length: number; flags: number }[] = [];
  let position = offset;
  for (let at = Math.floor(offset / blockSize) * blockSize; at < stop && !cancelled(); ) {
    const slice = Math.min(SLICE, stop - at);
    let reached = at;
    for (const extent of await context.describe(at, slice)) {
      reached += extent.length;
      const told = Math.min(reached, end) - position;
      if (told <= 0) continue;
      position += told;
      const last = answer.at(-1);
      if (last?.flags === extent.flags) last.length += told;
      else if (answer.length === maxExtents) return answer;
      else answer.push({ length: told, flags: extent.flags });
    }
    // It must get on, or this would never end.
    if (reached === at) {
      throw new InvariantViolation(`${context.name} describes nothing at ${at}`);
    }
    at = reached;
  }
  return answer;
}
