/**
 * writeRuns: scattered blocks as few device writes. Blocks that are neighbours on the device go in one
 * write; bytes that are neighbours in memory too are not copied for it. A few writes are under way at once,
 * and the memory for copies is used again.
 */
import type { BlockDevice } from '@palimpsest/block-device';
import { InFlight } from './in-flight.js';

/** Bytes in one write at most, where they are copied for it. */
const WRITE_MAX = 1 << 18;
/** Writes under way at once. */
const WRITES_MAX = 4;

type Entry = readonly [number: number, bytes: Uint8Array];

/** Writes each block's bytes to its place. The bytes must stay as they are until it resolves. */
export async function writeRuns(
  device: BlockDevice,
  blockSize: number,
  blocks: readonly Entry[],
): Promise<void> {
  const sorted = blocks.length > 1 ? [...blocks].sort((a, b) => a[0] - b[0]) : blocks;
  const perWrite = Math.max(1, Math.floor(WRITE_MAX / blockSize));
  const buffers: Uint8Array[] = [];
  const writes = new InFlight(WRITES_MAX);
  try {
    for (let from = 0; from < sorted.length; ) {
      const [start, first] = sorted[from] as Entry;
      const together = adjacent(sorted, from, blockSize);
      const count = together > 1 ? together : neighbours(sorted, from, perWrite);
      await writes.room();
      let buffer: Uint8Array | undefined;
      let bytes = first;
      if (together > 1) {
        bytes = new Uint8Array(first.buffer, first.byteOffset, count * blockSize);
      } else if (count > 1) {
        buffer = buffers.pop() ?? new Uint8Array(perWrite * blockSize);
        for (let i = 0; i < count; i++) buffer.set((sorted[from + i] as Entry)[1], i * blockSize);
        bytes = buffer.subarray(0, count * blockSize);
      }
      const wait = device.write(bytes, start * blockSize);
      const used = buffer;
      if (wait !== undefined) writes.add(wait.then(() => used && buffers.push(used)));
      else if (used !== undefined) buffers.push(used);
      from += count;
    }
  } finally {
    // Also after a failure: not while others are still under way.
    await writes.settled();
  }
}

/** How many blocks from `from` on are neighbours on the device. */
function neighbours(sorted: readonly Entry[], from: number, limit: number): number {
  const [start] = sorted[from] as Entry;
  let count = 1;
  while (count < limit && sorted[from + count]?.[0] === start + count) count++;
  return count;
}

/** How many are neighbours on the device and in memory. */
function adjacent(sorted: readonly Entry[], from: number, blockSize: number): number {
  const [start, first] = sorted[from] as Entry;
  let count = 1;
  for (; ; count++) {
    const next = sorted[from + count];
    const isNext =
      next !== undefined &&
      next[0] === start + count &&
      next[1].buffer === first.buffer &&
      next[1].byteOffset === first.byteOffset + count * blockSize;
    if (!isNext) return count;
  }
}
