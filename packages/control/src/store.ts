/**
 * Store: a save volume and the production volumes attached to it, as users see them. A store is a
 * directory:
 *
 *   save.pal           the save volume: saved blocks, branch blocks, all metadata
 *   volumes/NAME.img   images of volumes made here; an adopted image stays where it is
 *
 *   C1  A name means one thing: volume names are unique in the store, snapshot and branch names
 *       within their volume.
 *   C2  Nothing that something else depends on, or that a client uses, goes away: the refusal
 *       (ERR_IN_USE) lists what is in the way.
 *   C3  A refusal changes nothing.
 *   C4  A volume whose image cannot be used is unavailable, with the reason, and so is what hangs
 *       on it; everything else is served.
 *   C5  One opener at a time: the store and each adopted image are locked while open.
 *   C6  Changes run one after the other, in the order asked for. What a resolved change made is
 *       durable.
 */
import type { VerifyReport } from '@palimpsest/save-volume';
import type { SnapshotAttendant } from './attendants.js';
import type { Details } from './details.js';
import type { ExchangeVerbs } from './exchange-types.js';
import type { StoreSettings } from './settings.js';
import type { OpenHow } from './shared-exports.js';
import type { StoreMetrics } from './store-metrics.js';
import type {
  Attribution,
  BranchInfo,
  CreateBranchRequest,
  CreateSnapshotRequest,
  CreateVolumeRequest,
  DeletedInfo,
  EditRequest,
  ExportInfo,
  OpenExport,
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
import type {
  JobInfo,
  OperationInfo,
  RestoreInfo,
  RestoreRequest,
  ScheduleInfo,
  StoreEvent,
  UndoRequest,
} from './work-types.js';

/** The store. Times are RFC 3339, sizes bytes; every method may throw ERR_CLOSED. */
export interface Store extends AsyncDisposable, ExchangeVerbs {
  readonly directory: string;
  readonly blockSize: number;
  status(): StoreStatus;
  /** What was done since the store was opened, and what it took: see docs/METRICS.md. */
  metrics(): StoreMetrics;

  /**
   * Makes a volume of zeros, its image in the store's directory.
   * @throws {StorageError} ERR_INVALID name or size; ERR_EXISTS; ERR_NO_SPACE.
   */
  createVolume(request: CreateVolumeRequest): Promise<VolumeInfo>;
  /**
   * Takes a raw image or block device as a volume, in place: no byte of it changes.
   * @throws {StorageError} ERR_NOT_FOUND; ERR_INVALID when it is not whole blocks; ERR_EXISTS when
   * the name is taken or the file is a volume here already; ERR_BUSY or ERR_IN_USE when it belongs
   * to another store.
   */
  adoptVolume(request: { readonly name: string; readonly path: string }): Promise<VolumeInfo>;
  /**
   * Gives a volume's image back: afterwards it is a plain, complete raw file that the store does
   * not know.
   * @throws {StorageError} ERR_NOT_FOUND; ERR_IN_USE while it has clients, or has snapshots or
   * branches and `dropSnapshots` is not set.
   */
  releaseVolume(name: string, options?: ReleaseOptions): Promise<Removal>;
  /** By name. */
  listVolumes(): readonly VolumeInfo[];

  /**
   * Takes a snapshot. A name is made from the time when none is given.
   * @throws {StorageError} ERR_NOT_FOUND; ERR_EXISTS; ERR_INVALID; ERR_IO when unavailable.
   */
  createSnapshot(request: CreateSnapshotRequest): Promise<SnapshotInfo>;
  /**
   * Takes snapshots of several volumes and branches, all as of one instant, in one commit, under one
   * name.
   * @throws {StorageError} as `createSnapshot`; none is taken then.
   */
  createGroupSnapshot(
    request: { readonly targets: readonly string[]; readonly name?: string } & Details &
      Attribution,
  ): Promise<readonly SnapshotInfo[]>;
  /**
   * Takes a snapshot again under its name. What it was is kept under another one unless `keep` is
   * false.
   * @throws {StorageError} ERR_NOT_FOUND; ERR_IN_USE while it is held or, unless `force`, served.
   */
  refreshSnapshot(
    reference: string,
    options?: { readonly keep?: boolean; readonly force?: boolean } & Attribution,
  ): Promise<RefreshedSnapshot>;
  /** Of one volume or branch, or all; oldest first. @throws {StorageError} ERR_NOT_FOUND. */
  listSnapshots(target?: string): readonly SnapshotInfo[];
  /** What was deleted and is not gone yet, in the order of deletion. */
  deleted(): readonly DeletedInfo[];
  /**
   * Keeps a snapshot from being deleted until `unhold`, by whomever.
   * @throws {StorageError} ERR_NOT_FOUND; ERR_INVALID; ERR_EXISTS when it has that hold.
   */
  hold(
    reference: string,
    tag: string,
    options?: { readonly reason?: string } & Attribution,
  ): Promise<SnapshotInfo>;
  /** @throws {StorageError} ERR_NOT_FOUND when there is no such hold. */
  unhold(reference: string, tag: string, options?: Attribution): Promise<SnapshotInfo>;
  /**
   * Changes the name, message, labels or expiry of anything. The reference that it has then.
   * @throws {StorageError} ERR_NOT_FOUND; ERR_EXISTS; ERR_INVALID; ERR_IN_USE when it is renamed
   * while it is served.
   */
  edit(reference: string, request: EditRequest): Promise<string>;
  /**
   * Deletes a snapshot.
   * @throws {StorageError} ERR_NOT_FOUND; ERR_IN_USE while a branch is based on it or a client
   * reads it.
   */
  deleteSnapshot(reference: string, options?: RemovalOptions): Promise<Removal>;

  /**
   * Makes a branch of the snapshot `from`. `name` may be written with its volume, `prod/dev`.
   * @throws {StorageError} ERR_NOT_FOUND; ERR_EXISTS; ERR_INVALID.
   */
  createBranch(request: CreateBranchRequest): Promise<BranchInfo>;
  /**
   * Makes a branch a chosen snapshot again, older or newer than its base, in one commit.
   * @throws {StorageError} ERR_NOT_FOUND; ERR_INVALID for a snapshot of another volume; ERR_IN_USE
   * while it is served, unless `force`.
   */
  refreshBranch(request: RefreshBranchRequest): Promise<RefreshedBranch>;
  /**
   * Makes a branch independent of its base, by a job that goes on where it was.
   * @throws {StorageError} ERR_NOT_FOUND.
   */
  flattenBranch(
    reference: string,
    options?: { readonly bytesPerSecond?: number },
  ): Promise<JobInfo>;
  /** Pauses a flatten. @throws {StorageError} ERR_NOT_FOUND when none is going on. */
  pauseFlatten(reference: string): Promise<JobInfo>;
  /** Limits what a branch may have of its own; `null` takes the limit away. */
  setQuota(branch: string, bytes: number | null): Promise<BranchInfo>;
  /** Of one volume or all. @throws {StorageError} ERR_NOT_FOUND. */
  listBranches(volume?: string): readonly BranchInfo[];
  /**
   * Deletes a branch and what was written to it.
   * @throws {StorageError} ERR_NOT_FOUND; ERR_IN_USE while it is served, with the clients.
   */
  deleteBranch(reference: string, options?: RemovalOptions): Promise<Removal>;
  /**
   * Deletes a volume: its name is served no more. What depends on it keeps it, hidden, with `hide`.
   * When it goes, its image goes too if the store made it, and is given back if it was adopted.
   * @throws {StorageError} ERR_NOT_FOUND; ERR_IN_USE.
   */
  deleteVolume(name: string, options?: RemovalOptions): Promise<Removal>;

  /**
   * Makes a volume, or a branch, a chosen snapshot again: usable when it resolves. The state before
   * is a snapshot; snapshots younger than the source stay. A volume's image is copied back by a job.
   * @throws {StorageError} ERR_NOT_FOUND; ERR_INVALID for a source of another volume; ERR_NO_SPACE
   * when there is no room to keep the state before; ERR_IN_USE while it is served, unless `force`.
   */
  restore(request: RestoreRequest): Promise<RestoreInfo>;
  /** Restores that are being copied back. */
  restores(): readonly RestoreInfo[];
  /** @throws {StorageError} ERR_NOT_FOUND when no restore is under way; so the next two. */
  pauseRestore(target: string): Promise<RestoreInfo>;
  resumeRestore(
    target: string,
    options?: { readonly bytesPerSecond?: number },
  ): Promise<RestoreInfo>;
  /** Goes back to what it was before, at once; what was written since is a snapshot. */
  cancelRestore(
    target: string,
    options?: { readonly force?: boolean } & Attribution,
  ): Promise<RestoreInfo>;
  /** Jobs, those too that have ended lately. */
  jobs(): readonly JobInfo[];
  /** Resolves when the job has ended or was paused. @throws what it failed with. */
  waitForJob(id: number): Promise<JobInfo>;

  /**
   * Takes back the last restore, refresh or deletion that can be, or the one named.
   * @throws {StorageError} ERR_NOT_FOUND when what it replaced is gone, or there is nothing.
   */
  undo(request?: UndoRequest): Promise<OperationInfo>;
  /** Who did what and when, newest first. */
  log(limit?: number): readonly OperationInfo[];

  /**
   * Makes a volume or branch larger. Clients see it when they open it again.
   * @throws {StorageError} ERR_NOT_FOUND; ERR_INVALID for what is no larger size.
   */
  resize(reference: string, size: number, options?: Attribution): Promise<VolumeInfo | BranchInfo>;
  /**
   * Takes a snapshot of a volume or branch each period, and keeps so many of them; `null` ends it.
   * @throws {StorageError} ERR_NOT_FOUND; ERR_INVALID.
   */
  setSchedule(
    target: string,
    schedule: { readonly everyMs: number; readonly keep: number } | null,
    options?: Attribution,
  ): Promise<readonly ScheduleInfo[]>;
  schedules(): readonly ScheduleInfo[];
  settings(): StoreSettings;
  /** @throws {StorageError} ERR_INVALID with what a setting may be. */
  configure(changes: Partial<StoreSettings>): Promise<StoreSettings>;
  /** Calls `listener` with what happens by itself, until the returned function is called. */
  subscribe(listener: (event: StoreEvent) => void): () => void;
  /**
   * Lets somebody who knows what lies on volumes bring it to rest before snapshots, and judge these,
   * until the returned function is called.
   */
  attend(attendant: SnapshotAttendant): () => void;
  /** Reads every page and, with `data`, every saved block. Problems are told, not thrown. */
  verify(options?: { readonly data?: boolean }): Promise<VerifyReport>;

  /**
   * Tells what a reference means now, written out: `prod@latest` becomes `prod@monday`.
   * @throws {StorageError} ERR_INVALID, ERR_NOT_FOUND.
   */
  resolve(reference: string): string;
  /** Everything that can be opened, now. */
  exports(): readonly ExportInfo[];
  /**
   * Opens what a reference means now. Openers of the same thing share one device, unless one has it
   * `alone`.
   * @throws {StorageError} ERR_NOT_FOUND; ERR_IO when it is unavailable; ERR_IN_USE when somebody has
   * it alone, or it is wanted alone and others have it.
   */
  openExport(reference: string, how?: OpenHow): Promise<OpenExport>;

  /** Makes everything written so far durable in the save volume. */
  commit(): Promise<void>;
  /** Makes everything durable and lets go of files and locks. Idempotent. */
  close(): Promise<void>;
}
