/** A store on a machine of memory, and how to write and read a block of what it serves. */
import type { BlockDevice } from '@palimpsest/block-device';
import { createStore, openStore, type Store } from '../src/index.js';
import { createMemoryMachine, type MemoryMachine } from '../src/testing/memory-machine.js';

export const BLOCK = 4096;
/** Eight blocks. */
export const SIZE: number = 8 * BLOCK;
/** Bytes of the save volume: enough for the tests, small enough to be made often. */
export const SAVE_SIZE: number = 4 << 20;

export async function createMachineWithStore(): Promise<{ machine: MemoryMachine; store: Store }> {
  const machine = createMemoryMachine();
  await createStore('/store', { saveSize: SAVE_SIZE }, machine.process());
  return { machine, store: await openStore('/store', machine.process()) };
}

export async function writeBlock(device: BlockDevice, block: number, fill: number): Promise<void> {
  await device.write(new Uint8Array(BLOCK).fill(fill), block * BLOCK);
}

/** The byte that fills the block; fails when the block is not filled with one byte. */
export async function readBlock(device: BlockDevice, block: number): Promise<number> {
  const target = new Uint8Array(BLOCK);
  await device.readInto(target, block * BLOCK);
  const [first] = target;
  if (first === undefined || target.some((byte) => byte !== first)) {
    throw new Error(`block ${block} is a mixture`);
  }
  return first;
}

/** Opens a reference, does something with its device, gives it back. */
export async function withDevice<T>(
  store: Store,
  reference: string,
  use: (device: BlockDevice) => Promise<T>,
): Promise<T> {
  const opened = await store.openExport(reference);
  try {
    return await use(opened.device);
  } finally {
    await opened.release();
  }
}

/** The StorageError that `work` fails with: its code and message. */
export async function refusal(work: () => unknown): Promise<{ code: string; message: string }> {
  try {
    await work();
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return { code, message };
  }
  throw new Error('it was not refused');
}
