/**
 * The store as users see it: volumes, snapshots and branches by name, references to them, and the
 * devices behind them, with every effect (files, clock, timer, log) injected.
 */

export type { Consistency, SnapshotAttendant } from './attendants.js';
export type { Details } from './details.js';
export type {
  ControlEnvironment,
  FileStatus,
  Logger,
  StoreFiles,
  StoreLock,
} from './environment.js';
export type {
  ByteRange,
  DeletionGain,
  ExchangeVerbs,
  ExportOptions,
  ImportInfo,
  ImportOptions,
  SpaceForecast,
  SpaceInfo,
  UnfinishedImport,
} from './exchange-types.js';
export type { CreateStoreOptions, OpenStoreOptions } from './open-store.js';
export { createStore, openStore } from './open-store.js';
export type { Labels } from './records.js';
export type { StoreSettings } from './settings.js';
export type { OpenHow } from './shared-exports.js';
export type { Store } from './store.js';
export type { BranchActivity, StoreMetrics, VolumeActivity } from './store-metrics.js';
export type {
  Attribution,
  Availability,
  BranchInfo,
  CreateBranchRequest,
  CreateSnapshotRequest,
  CreateVolumeRequest,
  DeletedInfo,
  EditRequest,
  ExportInfo,
  HoldInfo,
  OnProgress,
  OpenExport,
  Progress,
  RefreshBranchRequest,
  RefreshedBranch,
  RefreshedSnapshot,
  ReleaseOptions,
  Removal,
  RemovalOptions,
  SnapshotInfo,
  StoreStatus,
  VolumeInfo,
} from './store-types.js';
export type {
  JobInfo,
  OperationInfo,
  RestoreInfo,
  RestoreRequest,
  ScheduleInfo,
  StoreEvent,
  UndoRequest,
} from './work-types.js';
export type { StoreCost, WriteCost, WriteTotals } from './write-cost.js';
