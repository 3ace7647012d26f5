/** Stores in memory, as the rows need them: what is measured is our work, not a disk's. */
import { createMemoryDevice } from '../../packages/block-device/dist/index.js';
import {
  createProductionVolume,
  openProductionVolume,
} from '../../packages/ro-snapshot/dist/index.js';
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
export async function makeStore({ size = 2 ** 26, save: options = {} } = {}) {
  const counter = { flushes: 0 };
  const saveDevice = counting(createMemoryDevice({ size: SAVE_SIZE }), counter);
  await formatSaveVolume(saveDevice);
  const save = await openSaveVolume(saveDevice, options);
  const clone = counting(createMemoryDevice({ size }), counter);
  const volume = await createProductionVolume(save, clone);
  return { counter, save, saveDevice, clone, volume };
}

/** Opens the production snapshot at the root of a branch's lineage. */
export const beneath =
  (volume) =>
  ({ snapshot }) =>
    volume.openSnapshot(snapshot);

export { openProductionVolume };
