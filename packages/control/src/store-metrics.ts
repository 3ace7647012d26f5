/**
 * StoreMetrics: what the volumes and branches of an open store did since it was opened. The counters
 * are their own; here they are gathered by reference, and what a branch did while it was open, or
 * anything that is not there any more, stays counted: a total never falls.
 */
import type { VolumeMetrics } from '@palimpsest/ro-snapshot';
import type { Branch, BranchMetrics } from '@palimpsest/rw-snapshot';
import type { SaveVolumeMetrics, SpaceReport } from '@palimpsest/save-volume';
import type { StoreContext } from './context.js';
import { branchAttributes, volumeAttributes } from './records.js';
import { branchReference } from './references.js';
import {
  costOfBranch,
  costOfStore,
  costOfVolume,
  NO_BRANCH,
  NO_TOTALS,
  type StoreCost,
  sharesOf,
  sumOfBranch,
  type WriteCost,
  type WriteTotals,
  withBranch,
  withVolume,
} from './write-cost.js';

/** Branches that are closed and told of one by one; older ones are in the totals only. */
const CLOSED_MAX = 4096;

/** A production volume's. */
export interface VolumeActivity extends VolumeMetrics {
  readonly reference: string;
  readonly cost: WriteCost;
}

/** A branch's. */
export interface BranchActivity extends BranchMetrics {
  readonly reference: string;
  readonly cost: WriteCost;
}

/** Numbers since the store was opened. Bytes, unless the name says otherwise. */
export interface StoreMetrics {
  /** RFC 3339: since when. */
  readonly since: string;
  readonly blockSize: number;
  /** What was handed to the save volume's device. */
  readonly save: SaveVolumeMetrics;
  readonly space: SpaceReport;
  /** Those that are available. */
  readonly volumes: readonly VolumeActivity[];
  /** Those that were open. */
  readonly branches: readonly BranchActivity[];
  /** Of all of these, and of what is not there any more. */
  readonly totals: WriteTotals;
  readonly cost: StoreCost;
}

/** What was counted of things that come and go. */
export class Meter {
  readonly #open = new Map<number, Branch>();
  /** Oldest closing first. */
  readonly #closed = new Map<number, BranchMetrics>();
  #gone: WriteTotals = NO_TOTALS;

  opened(id: number, branch: Branch): void {
    this.#open.set(id, branch);
  }

  closed(id: number): void {
    const branch = this.#open.get(id);
    if (branch === undefined) return;
    this.#open.delete(id);
    const metrics = sumOfBranch(this.#closed.get(id) ?? NO_BRANCH, branch.metrics());
    this.#closed.delete(id);
    this.#closed.set(id, metrics);
    for (const [oldest, past] of this.#closed) {
      if (this.#closed.size <= CLOSED_MAX) break;
      this.#closed.delete(oldest);
      this.#gone = withBranch(this.#gone, past);
    }
  }

  /** A volume leaves the store. */
  left(volume: VolumeMetrics): void {
    this.#gone = withVolume(this.#gone, volume);
  }

  /** What branches did, by id, whether they are still there or not. */
  branches(): ReadonlyMap<number, BranchMetrics> {
    const all = new Map(this.#closed);
    for (const [id, branch] of this.#open) {
      all.set(id, sumOfBranch(all.get(id) ?? NO_BRANCH, branch.metrics()));
    }
    return all;
  }

  get gone(): WriteTotals {
    return this.#gone;
  }
}

/** Everything, as of now. */
export function storeMetrics(context: StoreContext, openedAt: number): StoreMetrics {
  const { save, index, attached, meter } = context;
  const { blockSize } = save;
  const counters = save.metrics();
  const space = save.space();
  const shares = sharesOf(counters, space);
  let totals = meter.gone;
  const volumes: VolumeActivity[] = [];
  for (const record of index.everything().volumes) {
    const metrics = attached.get(record)?.production.metrics();
    if (metrics === undefined) continue;
    totals = withVolume(totals, metrics);
    const cost = costOfVolume(metrics, blockSize, shares);
    volumes.push({ reference: volumeAttributes(record).name, ...metrics, cost });
  }
  const branches: BranchActivity[] = [];
  for (const [id, metrics] of meter.branches()) {
    totals = withBranch(totals, metrics);
    const branch = index.branchWithId(id);
    const volume = branch === undefined ? undefined : index.volumeWithId(branch.volume);
    if (branch === undefined || volume === undefined) continue;
    const reference = branchReference(volumeAttributes(volume).name, branchAttributes(branch).name);
    branches.push({ reference, ...metrics, cost: costOfBranch(metrics, blockSize, shares) });
  }
  return {
    since: new Date(openedAt).toISOString(),
    blockSize,
    save: counters,
    space,
    volumes,
    branches: branches.sort((a, b) => (a.reference < b.reference ? -1 : 1)),
    totals,
    cost: costOfStore(totals, counters, blockSize, shares),
  };
}
