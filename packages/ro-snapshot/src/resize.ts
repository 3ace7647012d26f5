/**
 * Growing a production volume in place, online. Its snapshots keep their size.
 *
 *   X1  The intention is recorded first, then the clone volume grows and is flushed, then the new
 *       size is recorded. A crash between leaves a clone volume of either size, which the next
 *       opening accepts because of the intention, and settles; an image of any other size is refused.
 *   X2  Users see the new size only when it is durable.
 *   X3  Settling what was begun is never refused for want of space: a store that became full
 *       meanwhile could not be opened.
 */
import { type BlockDevice, StorageError } from '@palimpsest/block-device';
import { encodeObject, type SaveVolume } from '@palimpsest/save-volume';
import { findVolume, type StoredVolume } from './records.js';
import type { Alongside } from './snapshot-queue.js';

/**
 * Grows the clone volume of volume `id` to `size` bytes. The caller keeps requests out. Durable when
 * it resolves.
 * @throws {StorageError} ERR_INVALID when `size` is not whole blocks, or smaller than now;
 * ERR_UNSUPPORTED when the clone volume cannot grow; ERR_NO_SPACE.
 */
export async function growVolume(
  save: SaveVolume,
  id: number,
  clone: BlockDevice,
  size: number,
  alongside?: Alongside,
): Promise<void> {
  const now = findVolume(save, id).size;
  assertGrowth(save.blockSize, now, size);
  if (size > now) {
    await record(save, id, (volume) => ({ ...volume, growingTo: size })); // X1
    if (clone.size < size) await clone.resize(size);
    await clone.flush();
  }
  await record(save, id, (volume) => settled(volume, size), { alongside, settles: true });
}

/**
 * Settles a growth that a crash interrupted (X1): completed when the clone volume has begun to grow,
 * forgotten when it has not.
 */
export async function settleGrowth(
  save: SaveVolume,
  id: number,
  clone: BlockDevice,
): Promise<void> {
  const { size, growingTo } = findVolume(save, id);
  if (growingTo === undefined || clone.size < size || clone.size > growingTo) return;
  if (clone.size > size) {
    if (clone.size < growingTo) await clone.resize(growingTo);
    await clone.flush();
  }
  const settledSize = clone.size;
  await record(save, id, (volume) => settled(volume, settledSize), { settles: true });
}

function record(
  save: SaveVolume,
  id: number,
  change: (volume: StoredVolume) => StoredVolume,
  how: { readonly alongside?: Alongside | undefined; readonly settles?: boolean } = {},
): Promise<void> {
  return save.transact(
    (batch) => {
      // Read here: attributes may have changed while the clone volume grew.
      batch.object(id, encodeObject(change(findVolume(save, id, batch))));
      how.alongside?.(batch);
    },
    { givesBack: how.settles === true }, // X3
  );
}

function settled({ growingTo: _, ...volume }: StoredVolume, size: number): StoredVolume {
  return { ...volume, size };
}

function assertGrowth(blockSize: number, now: number, size: number): void {
  if (!Number.isSafeInteger(size) || size <= 0 || size % blockSize !== 0) {
    const whole = Math.max(1, Math.ceil(size / blockSize) || 1) * blockSize;
    throw new StorageError(
      'ERR_INVALID',
      `${size} bytes are not whole blocks of ${blockSize} bytes: the next size that is, is ${whole}`,
    );
  }
  if (size >= now) return;
  throw new StorageError(
    'ERR_INVALID',
    `the volume has ${now} bytes and only grows: ${size} would cut off what it holds; ` +
      'to shrink, copy what is needed to a new volume',
  );
}
