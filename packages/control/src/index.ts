/**
 * The store as users see it: volumes, snapshots and branches by name, references to them, and the
 * devices behind them, with every effect (files, clock, timer, log) injected.
 */
export type {
  ControlEnvironment,
  FileStatus,
  Logger,
  StoreFiles,
  StoreLock,
} from './environment.js';
export type { CreateStoreOptions, OpenStoreOptions } from './open-store.js';
export { createStore, openStore } from './open-store.js';
export type {
  Availability,
  BranchInfo,
  CreateVolumeRequest,
  ExportInfo,
  OnProgress,
  OpenExport,
  Progress,
  ReleaseOptions,
  Removal,
  RemovalOptions,
  SnapshotInfo,
  Store,
  StoreStatus,
  VolumeInfo,
} from './store.js';
