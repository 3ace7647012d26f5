/**
 * The one interface every layer of Palimpsest is made of: `BlockDevice`, an array of bytes in
 * equal-sized blocks, with its contract as numbered lines, its errors, the one validating door
 * into a backend, and the conformance suite (under `./testing`) for everything that implements it.
 */
export type {
  BlockDevice,
  BlockDriver,
  Completion,
  DeviceMetrics,
  Extent,
  ZeroOptions,
} from './block-device.js';
export { assertGeometry, checked } from './checked.js';
export { concat } from './concat.js';
export type { StorageErrorCode } from './errors.js';
export { InvariantViolation, invariant, isStorageError, StorageError } from './errors.js';
export type { MemoryDeviceOptions } from './memory-device.js';
export { createMemoryDevice } from './memory-device.js';
export { readOnly } from './read-only.js';
export { SharedFlush } from './shared-flush.js';
export { slice } from './slice.js';
export { together } from './together.js';
