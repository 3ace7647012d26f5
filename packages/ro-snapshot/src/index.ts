/**
 * A production volume with read-only snapshots: a raw image stays where it is; before a block of it
 * changes for the first time since the youngest snapshot, its old bytes go to the save volume.
 */

export type { CopyBackOptions } from './copy-back.js';
export { Exclusion } from './exclusion.js';
export type { GroupMember, SnapshotTaker, StoppedTaker } from './group.js';
export { createSnapshots } from './group.js';
export type { SnapshotOptions } from './production-volume.js';
export { ProductionVolume } from './production-volume.js';
export { forgetQueue, queueOf } from './queues.js';
export type { SnapshotRecord, StoredSnapshot, VolumeRecord } from './records.js';
export { listProductionVolumes } from './records.js';
export { restoreSources } from './restore-records.js';
export type { RestoreProgress, RestoreSource, SnapshotReference } from './restore-source.js';
export type { RestoreOptions, StartedRestore } from './restores.js';
export type { Alongside, DeletionOptions, SnapshotQueue } from './snapshot-queue.js';
export type { BlockRun } from './unused-spans.js';
export type { VolumeMetrics } from './volume-metrics.js';
export type { OpenOptions } from './volumes.js';
export {
  createProductionVolume,
  openProductionVolume,
  removeProductionVolume,
} from './volumes.js';
