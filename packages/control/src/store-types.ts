/** What the store tells, and what it is asked: plain data. Times are RFC 3339, sizes bytes. */
import type { BlockDevice } from '@palimpsest/block-device';
import type { SpaceReport } from '@palimpsest/save-volume';
import type { Consistency } from './attendants.js';
import type { Details } from './details.js';
import type { Labels } from './records.js';

/** Whether a thing can be used now. */
export interface Availability {
  readonly state: 'available' | 'unavailable';
  /** Why not, and what to do; only when unavailable. */
  readonly reason?: string;
}

/** Who asks, for the log. */
export interface Attribution {
  /** A user and what they use, as `alice@cli`. @default what the store was opened with */
  readonly by?: string;
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
  readonly labels?: Labels;
  /** True when it was deleted and waits for its last dependant to go. */
  readonly deleted?: boolean;
  /** Set while a restore is being copied back: the source. */
  readonly restoring?: string;
}

/** A read-only snapshot. */
export interface SnapshotInfo extends Availability {
  readonly reference: string;
  readonly volume: string;
  /** The branch that it is a snapshot of; of the volume without one. */
  readonly branch?: string;
  readonly name: string;
  readonly message?: string;
  readonly labels?: Labels;
  /** Holds that keep it from being deleted, by tag. */
  readonly holds?: readonly HoldInfo[];
  /** RFC 3339: when it is deleted by itself. */
  readonly expiresAt?: string;
  /** RFC 3339. */
  readonly createdAt: string;
  /** Bytes. */
  readonly size: number;
  /** Whether its file system was at rest; `crash-consistent` also where that is not known. */
  readonly consistency: Consistency;
  /** References of the branches based on it. */
  readonly branches: readonly string[];
}

/** A read-write snapshot. */
export interface BranchInfo extends Availability {
  readonly reference: string;
  readonly volume: string;
  readonly name: string;
  /** Reference of the snapshot it is based on; empty when it is independent. */
  readonly base: string;
  /** RFC 3339. */
  readonly createdAt: string;
  /** Bytes. */
  readonly size: number;
  /** How many. */
  readonly snapshots: number;
  /** Branches on the way to the volume, itself included. */
  readonly depth: number;
  readonly message?: string;
  readonly labels?: Labels;
  /** Bytes that it may have of its own. */
  readonly quotaBytes?: number;
}

/** A hold. */
export interface HoldInfo {
  readonly tag: string;
  readonly reason?: string;
  readonly by: string;
  /** RFC 3339. */
  readonly since: string;
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
  /** RFC 3339: until then `undo` brings it back, unless its space is needed before. */
  readonly recoverableUntil?: string;
  /** What it waits for, hidden, before it goes. */
  readonly hiddenBehind?: readonly string[];
}

/** Something that was deleted and is still there. */
export interface DeletedInfo {
  readonly reference: string;
  readonly kind: 'volume' | 'snapshot' | 'branch';
  /** RFC 3339. */
  readonly deletedAt: string;
  /** Who deleted it. */
  readonly by: string;
  /** RFC 3339: until then `undo` brings it back, unless its space is needed; not while it goes. */
  readonly recoverableUntil?: string;
  /** What it waits for, hidden, before it goes. */
  readonly hiddenBehind?: readonly string[];
}

/** How to remove. */
export interface RemovalOptions extends Attribution {
  /** Skip the grace period: it cannot be had back. @default false */
  readonly now?: boolean;
  /** Hide what something depends on until the last of that goes. @default false: it is refused */
  readonly hide?: boolean;
  /** Delete a branch's snapshots with it. @default false: it is refused while it has some */
  readonly recursive?: boolean;
  /** End the sessions of its clients. @default false: it is refused while it has some */
  readonly force?: boolean;
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

/** See `Store.createSnapshot`. */
export interface CreateSnapshotRequest extends Details, Attribution {
  /** A volume or a branch. */
  readonly volume: string;
  readonly name?: string;
}

/** See `Store.createBranch`. */
export interface CreateBranchRequest extends Attribution {
  readonly name: string;
  /** A snapshot; or a volume or branch, of which a snapshot is taken first. */
  readonly from: string;
  readonly labels?: Labels;
  readonly quotaBytes?: number;
}

/** See `Store.refreshBranch`. */
export interface RefreshBranchRequest extends Attribution {
  readonly branch: string;
  /** As for `createBranch`. */
  readonly from: string;
  /** Keep the state it had as a snapshot of it. @default true */
  readonly keep?: boolean;
  readonly force?: boolean;
}

/** What a refresh of a branch left. */
export interface RefreshedBranch {
  readonly branch: BranchInfo;
  /** Reference of the state it had, when it was kept. */
  readonly kept?: string;
}

/** What a refresh of a snapshot left. */
export interface RefreshedSnapshot {
  readonly snapshot: SnapshotInfo;
  /** Reference of what it was, when it was kept. */
  readonly kept?: string;
}

/** See `Store.edit`. What is left out stays as it is; empty text, and `null`, take it away. */
export interface EditRequest extends Attribution {
  readonly name?: string;
  readonly message?: string;
  readonly labels?: Labels;
  /** RFC 3339. */
  readonly expiresAt?: string | null;
}
