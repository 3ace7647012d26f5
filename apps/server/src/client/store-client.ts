/**
 * StoreClient: a store's verbs, wherever the store is: open in this process, or served by a daemon.
 * Both answer with the same data and fail with the same codes, so a program need not care.
 */
import type { ExportInfo, JobInfo, OnProgress, Store } from '@palimpsest/control';
import type { FileVerbs } from '@palimpsest/mounted-files';
import type { ServiceClient, ServiceMetrics, ServiceStatus } from '../service.js';
import type { ExchangeClient } from './exchange-client.js';

/** The methods of a store that a client has too. */
export type StoreVerb =
  | 'createVolume'
  | 'adoptVolume'
  | 'releaseVolume'
  | 'deleteVolume'
  | 'listVolumes'
  | 'resize'
  | 'createSnapshot'
  | 'createGroupSnapshot'
  | 'refreshSnapshot'
  | 'listSnapshots'
  | 'deleted'
  | 'hold'
  | 'unhold'
  | 'edit'
  | 'deleteSnapshot'
  | 'createBranch'
  | 'refreshBranch'
  | 'flattenBranch'
  | 'pauseFlatten'
  | 'setQuota'
  | 'listBranches'
  | 'deleteBranch'
  | 'restore'
  | 'restores'
  | 'pauseRestore'
  | 'resumeRestore'
  | 'cancelRestore'
  | 'jobs'
  | 'undo'
  | 'log'
  | 'setSchedule'
  | 'schedules'
  | 'settings'
  | 'configure'
  | 'verify'
  | 'resolve';

/** They take what the store's take, and answer what it answers, later. */
export type StoreVerbs = {
  readonly [K in StoreVerb]: (
    ...args: Parameters<Store[K]>
  ) => Promise<Awaited<ReturnType<Store[K]>>>;
};

/** A store's verbs. See `Store` for what each promises and throws. Paths of images are absolute. */
export interface StoreClient extends StoreVerbs, ExchangeClient, AsyncDisposable {
  /** Whether a daemon answers, or this process has the store open itself. */
  readonly mode: 'daemon' | 'direct';
  /** The files on its volumes, snapshots and branches. */
  readonly files: FileVerbs;
  status(): Promise<ServiceStatus>;
  metrics(): Promise<ServiceMetrics>;
  listExports(): Promise<readonly ExportInfo[]>;
  /** None without a daemon. */
  listClients(): Promise<readonly ServiceClient[]>;
  /** Resolves when a job has ended or was paused; tells how far it is. @throws what it failed with. */
  followJob(id: number, onProgress: OnProgress): Promise<JobInfo>;
  /** Lets go of the store; jobs of this process stop, and go on at the next opening. Idempotent. */
  close(): Promise<void>;
}
