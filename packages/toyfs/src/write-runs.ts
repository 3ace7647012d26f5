/**
 * writeRuns: scattered blocks as few device writes. Blocks that are neighbours on the device go in one
 * write; bytes that are neighbours in memory too are not copied for it.
 */
import type { BlockDevice } from '@palimpsest/block-device';

/** Bytes in one write at most. */
const WRITE_MAX = 1 << 20;

/** Writes each block's bytes to its place. The bytes must stay as they are until it resolves. */
export async function writeRuns(
  device: BlockDevice,
  blockSize: number,
  blocks: readonly (readonly [number: number, bytes: Uint8Array])[],
): Promise<void> {
  const sorted = blocks.length > 1 ? [...blocks].sort((a, b) => a[0] - b[0]) : blocks;
  const perWrite = Math.max(1, Math.floor(WRITE_MAX / blockSize));
  const waits: Promise<void>[] = [];
  for (let from = 0; from < sorted.length; ) {
    const [start] = sorted[from] as (typeof sorted)[number];
    let to = from + 1;
    while (to < sorted.length && to - from < perWrite && sorted[to]?.[0] === start + to - from)
      to++;
    const wait = device.write(gathered(sorted, from, to, blockSize), start * blockSize);
    if (wait !== undefined) waits.push(wait);
    from = to;
  }
  // All of them, so that a failure is not answered while others are still under way.
  const results = await Promise.allSettled(waits);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

function gathered(
  blocks: readonly (readonly [number, Uint8Array])[],
  from: number,
  to: number,
  blockSize: number,
): Uint8Array {
  const first = (blocks[from] as readonly [number, Uint8Array])[1];
  if (to - from === 1) return first;
  let adjacent = true;
  for (let i = from; i < to && adjacent; i++) {
    const bytes = (blocks[i] as readonly [number, Uint8Array])[1];
    adjacent =
      bytes.buffer === first.buffer &&
      bytes.byteOffset === first.byteOffset + (i - from) * blockSize;
  }
  if (adjacent) return new Uint8Array(first.buffer, first.byteOffset, (to - from) * blockSize);
  const bytes = new Uint8Array((to - from) * blockSize);
  for (let i = from; i < to; i++) {
    bytes.set((blocks[i] as readonly [number, Uint8Array])[1], (i - from) * blockSize);
  }
  return bytes;
}
