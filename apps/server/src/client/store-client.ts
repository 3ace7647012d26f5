/**
 * StoreClient: a store's verbs, wherever the store is: open in this process, or served by a daemon.
 * Both answer with the same data and fail with the same codes, so a program need not care.
 */
import type {
  BranchInfo,
  CreateVolumeRequest,
  ExportInfo,
  ReleaseOptions,
  Removal,
  RemovalOptions,
  SnapshotInfo,
  VolumeInfo,
} from '@palimpsest/control';
import type { ServiceClient, ServiceStatus } from '../service.js';

/** A store's verbs. See `Store` for what each promises and throws. */
export interface StoreClient extends AsyncDisposable {
  /** Whether a daemon answers, or this process has the store open itself. */
  readonly mode: 'daemon' | 'direct';
  status(): Promise<ServiceStatus>;

  createVolume(request: CreateVolumeRequest): Promise<VolumeInfo>;
  /** `path` is absolute. */
  adoptVolume(request: { readonly name: string; readonly path: string }): Promise<VolumeInfo>;
  releaseVolume(name: string, options?: ReleaseOptions): Promise<Removal>;
  listVolumes(): Promise<readonly VolumeInfo[]>;

  createSnapshot(request: {
    readonly volume: string;
    readonly name?: string;
    readonly message?: string;
  }): Promise<SnapshotInfo>;
  deleteSnapshot(reference: string, options?: RemovalOptions): Promise<Removal>;
  listSnapshots(volume?: string): Promise<readonly SnapshotInfo[]>;

  createBranch(request: { readonly name: string; readonly from: string }): Promise<BranchInfo>;
  deleteBranch(reference: string, options?: RemovalOptions): Promise<Removal>;
  listBranches(volume?: string): Promise<readonly BranchInfo[]>;

  listExports(): Promise<readonly ExportInfo[]>;
  /** None without a daemon. */
  listClients(): Promise<readonly ServiceClient[]>;
  /** Lets go of the store. Idempotent. */
  close(): Promise<void>;
}
