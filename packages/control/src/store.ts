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
import type { BlockDevice } from '@palimpsest/block-device';
import type { SpaceReport } from '@palimpsest/save-volume';

/** Whether a thing can be used now. */
export interface Availability {
  readonly state: 'available' | 'unavailable';
  /** Why not, and what to do; only when unavailable. */
  readonly reason?: string;
}

/** A production volume. */
export interface VolumeInfo extends Availability {
  readonly reference: string;
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** The raw image, absolute. */
  readonly path: string;
  /** Made by the store, or adopted in place. */
  readonly origin: 'created' | 'adopted';
  /** RFC 3339. */
  readonly createdAt: string;
  /** How many. */
  readonly snapshots: number;
  /** How many. */
  readonly branches: number;
}

/** A read-only snapshot. */
export interface SnapshotInfo extends Availability {
  readonly reference: string;
  readonly volume: string;
  readonly name: string;
  readonly message?: string;
  /** RFC 3339. */
  readonly createdAt: string;
  /** Bytes. */
  readonly size: number;
  /** References of the branches based on it. */
  readonly branches: readonly string[];
}

/** A read-write snapshot. */
export interface BranchInfo extends Availability {
  readonly reference: string;
  readonly volume: string;
  readonly name: string;
  /** Reference of the snapshot it is based on. */
  readonly base: string;
  /** RFC 3339. */
  readonly createdAt: string;
  /** Bytes. */
  readonly size: number;
}

/** Something that can be opened by name. */
export interface ExportInfo extends Availability {
  /** Its reference: prod, prod@monday, prod/dev. */
  readonly name: string;
  readonly kind: 'volume' | 'snapshot' | 'branch';
  /** Bytes. */
  readonly size: number;
  readonly readOnly: boolean;
  /** One line for people. */
  readonly description: string;
  /** How many have it open now. */
  readonly openers: number;
}

/** The store at a glance. */
export interface StoreStatus {
  readonly directory: string;
  readonly storeId: string;
  /** Bytes in a block; sizes of volumes are whole blocks. */
  readonly blockSize: number;
  /** Bytes of the save volume. */
  readonly space: SpaceReport;
  readonly volumes: number;
  readonly snapshots: number;
  readonly branches: number;
  /** Exports open now. */
  readonly openExports: number;
}

/** How far long work is. `total` is left out when it is not known. */
export interface Progress {
  /** What is being done, for people. */
  readonly phase: string;
  readonly done: number;
  readonly total?: number;
  readonly unit: 'bytes' | 'items';
}

/** Hears of progress. */
export type OnProgress = (progress: Progress) => void;

/** What a removal removed, or would remove. */
export interface Removal {
  /** References, in the order of removal. */
  readonly removed: readonly string[];
  /** True when nothing was done. */
  readonly dryRun: boolean;
  /** The raw image left behind by a release, absolute. */
  readonly path?: string;
}

/** How to remove. */
export interface RemovalOptions {
  /** Check and tell, but remove nothing. @default false */
  readonly dryRun?: boolean;
  readonly onProgress?: OnProgress;
}

/** How to release a volume. */
export interface ReleaseOptions extends RemovalOptions {
  /** Delete its snapshots and branches first. @default false, as they cannot be had back */
  readonly dropSnapshots?: boolean;
}

/** A new, empty volume. */
export interface CreateVolumeRequest {
  readonly name: string;
  /** Bytes, whole blocks. */
  readonly size: number;
  /** Take the space now instead of as it is written. @default false */
  readonly allocate?: boolean;
  readonly onProgress?: OnProgress;
}

/** A device shared by all who opened the same reference. */
export interface OpenExport {
  /** What the reference means now: `prod@latest` becomes `prod@monday`. */
  readonly reference: string;
  /** Not to be closed by its holders. */
  readonly device: BlockDevice;
  readonly description: string;
  /** Gives it back. Idempotent. */
  release(): Promise<void>;
}

/** The store. Times are RFC 3339, sizes bytes; every method may throw ERR_CLOSED. */
export interface Store extends AsyncDisposable {
  readonly directory: string;
  readonly blockSize: number;
  status(): StoreStatus;

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
  createSnapshot(request: {
    readonly volume: string;
    readonly name?: string;
    readonly message?: string;
  }): Promise<SnapshotInfo>;
  /** Of one volume or all, oldest first within a volume. @throws {StorageError} ERR_NOT_FOUND. */
  listSnapshots(volume?: string): readonly SnapshotInfo[];
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
  createBranch(request: { readonly name: string; readonly from: string }): Promise<BranchInfo>;
  /** Of one volume or all. @throws {StorageError} ERR_NOT_FOUND. */
  listBranches(volume?: string): readonly BranchInfo[];
  /**
   * Deletes a branch and what was written to it.
   * @throws {StorageError} ERR_NOT_FOUND; ERR_IN_USE while it is served, with the clients.
   */
  deleteBranch(reference: string, options?: RemovalOptions): Promise<Removal>;

  /**
   * Tells what a reference means now, written out: `prod@latest` becomes `prod@monday`.
   * @throws {StorageError} ERR_INVALID, ERR_NOT_FOUND.
   */
  resolve(reference: string): string;
  /** Everything that can be opened, now. */
  exports(): readonly ExportInfo[];
  /**
   * Opens what a reference means now. Openers of the same thing share one device.
   * @throws {StorageError} ERR_NOT_FOUND; ERR_IO when it is unavailable.
   */
  openExport(reference: string): Promise<OpenExport>;

  /** Makes everything written so far durable in the save volume. */
  commit(): Promise<void>;
  /** Makes everything durable and lets go of files and locks. Idempotent. */
  close(): Promise<void>;
}
