/**
 * ensureZeros: a device may ignore a discard, and then the range reads as what it was (D9). Whoever
 * needs zeros looks, and writes them only where they are not there already: a hole stays a hole.
 */
import { type BlockDevice, isStorageError } from '@palimpsest/block-device';
import { isZero } from './arena.js';

/** Bytes looked at together. */
const SLICE = 256 * 1024;

/** Gives the space of a range back, after which it reads as zeros. */
export async function discardToZeros(
  device: BlockDevice,
  position: number,
  length: number,
): Promise<void> {
  try {
    // A device that makes zeros without writing them does so by giving space back, and surely.
    await device.zero(position, length, { fast: true });
  } catch (error) {
    if (!isStorageError(error, 'ERR_UNSUPPORTED')) throw error;
    await device.discard(position, length);
    await ensureZeros(device, position, length);
  }
}

/** Makes the range read as zeros; what does already is not written. */
export async function ensureZeros(
  device: BlockDevice,
  position: number,
  length: number,
): Promise<void> {
  let at = position;
  for (const extent of await device.extents(position, length)) {
    if (!extent.zero) await zeroSlices(device, at, extent.length);
    at += extent.length;
  }
}

async function zeroSlices(device: BlockDevice, position: number, length: number): Promise<void> {
  const bytes = new Uint8Array(Math.min(SLICE, length));
  for (let done = 0; done < length; done += SLICE) {
    const slice = bytes.subarray(0, Math.min(SLICE, length - done));
    await device.readInto(slice, position + done);
    if (!isZero(slice)) await device.zero(position + done, slice.length);
  }
}
