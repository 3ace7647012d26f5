/** Stores in memory, as the rows need them: what is measured is our work, not a disk's. */
import { checked, createMemoryDevice } from '../../packages/block-device/dist/index.js';
import { createProductionVolume } from '../../packages/ro-snapshot/dist/index.js';
import { formatSaveVolume, openSaveVolume } from '../../packages/save-volume/dist/index.js';

export const BLOCK = 4096;
/** Bytes a save volume in memory may have; it takes what is written. */
const SAVE_SIZE = 2 ** 34;

/** A device that counts the flushes asked of it, into `counter.flushes`. */
export function counting(device, counter) {
  return new Proxy(device, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      if (name === 'flush') counter.flushes += 1;
      return value.bind(target);
    },
  });
}

/** A store with one production volume of `size` bytes, sparse. */
export async function makeStore({ size = 2 ** 26 } = {}) {
  const counter = { flushes: 0 };
  const saveDevice = counting(createMemoryDevice({ size: SAVE_SIZE }), counter);
  const clone = counting(createMemoryDevice({ size }), counter);
  return { counter, ...(await makeStoreOn(saveDevice, clone)) };
}

/** A store on these devices, with one production volume. */
export async function makeStoreOn(saveDevice, clone) {
  await formatSaveVolume(saveDevice);
  const save = await openSaveVolume(saveDevice);
  const volume = await createProductionVolume(save, clone);
  return { save, clone, volume };
}

/** A device in one piece of memory, taken at once, whose requests allocate nothing. */
export function flatDevice(size) {
  const memory = new Uint8Array(size);
  const blocks = Array.from({ length: size / BLOCK }, (_, n) =>
    memory.subarray(n * BLOCK, (n + 1) * BLOCK),
  );
  return checked({
    blockSize: BLOCK,
    size,
    readOnly: false,
    readInto(target, position) {
      if (target.length === BLOCK) target.set(blocks[position / BLOCK]);
      else target.set(memory.subarray(position, position + target.length));
    },
    write(source, position) {
      memory.set(source, position);
    },
    zero(position, length) {
      memory.fill(0, position, position + length);
    },
    flush() {},
    async close() {},
  });
}

/** Opens the production snapshot at the root of a branch's lineage. */
export const beneath =
  (volume) =>
  ({ snapshot }) =>
    volume.openSnapshot(snapshot);
