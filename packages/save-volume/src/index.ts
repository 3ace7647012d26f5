/**
 * The save volume: superblocks, journal, allocator and the versioned block map on any BlockDevice,
 * with atomic, group-committed changes. Durable and crash-safe; memory bounded by a cache budget.
 */
export { type Batch, PUTS_A_TURN } from './batch.js';
export { ById } from './by-id.js';
export type { CheckedPart, CheckReport } from './check.js';
export { checkSaveVolume } from './check.js';
export type { EarmarkedSpace } from './earmark.js';
export { BENEATH, NO_BYTES, ZERO } from './format.js';
export type { HeldBlock } from './held-blocks.js';
export { HeldBlocks } from './held-blocks.js';
export type { SaveVolumeMetrics } from './metrics.js';
export type { Indexed } from './object-index.js';
export type { FormatOptions } from './open.js';
export { formatSaveVolume, openSaveVolume } from './open.js';
export { MISS } from './page-cache.js';
export type { Participant } from './participant.js';
export type { MapEntry } from './pending-map.js';
export type { Layers } from './read-through.js';
export { readThrough } from './read-through.js';
export type { SaveVolume, SaveVolumeOptions, Shrinkage } from './save-volume.js';
export type { SpaceCrossing, SpaceReport } from './space-report.js';
export { usedPercent } from './space-report.js';
export type { Attributes, StoredObject } from './stored-objects.js';
export {
  decodeObject,
  encodeObject,
  storedDependants,
  storedObject,
  storedObjects,
  storedObjectsOf,
} from './stored-objects.js';
export type { VerifyCursor, VerifyOptions, VerifyReport } from './verify-report.js';
export { atLevel, LEVELS_MAX, LIVE, levelOf, versionOf } from './versions.js';
