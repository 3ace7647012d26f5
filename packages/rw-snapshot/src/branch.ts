/**
 * Branch: a branch that is open. Any number of clients may share its device.
 */
import { type BlockDevice, checked, type DeviceMetrics } from '@palimpsest/block-device';
import { type Alongside, queueOf, type SnapshotRecord } from '@palimpsest/ro-snapshot';
import { type Attributes, LIVE, type SaveVolume } from '@palimpsest/save-volume';
import { BranchDevice, type BranchParts } from './branch-device.js';
import { createBranchSnapshot } from './branch-snapshots.js';
import { type Beneath, Lineage } from './lineage.js';
import { dropBranch, inLine, showBranch, takeBranch } from './open-branches.js';
import { OwnBlocks } from './own-blocks.js';
import { findBranch, findSpace } from './records.js';
import { ZeroSpans } from './zero-spans.js';

/** What was written to a branch since it was opened, and what that took. Numbers only grow. */
export interface BranchMetrics {
  /** What its users asked for. */
  readonly users: DeviceMetrics;
  /** Blocks that commits stored in the save volume; a rewritten one in a new place each time (K2). */
  readonly storedBlocks: number;
  /** Blocks recorded as zeros, which take no block. */
  readonly zeroBlocks: number;
}

/** An open branch. */
export interface Branch extends AsyncDisposable {
  readonly id: number;
  readonly device: BlockDevice;
  metrics(): BranchMetrics;
  /** Takes a read-only snapshot of the branch; see `createBranchSnapshot`. */
  createSnapshot(attributes?: Attributes, alongside?: Alongside): Promise<SnapshotRecord>;
  /** Commits what is held and takes no part any more. */
  close(): Promise<void>;
}

/**
 * Opens a branch. `beneath` opens the production snapshot at the root of its lineage.
 * @throws {StorageError} ERR_NOT_FOUND; ERR_BUSY when it is open already.
 */
export async function openBranch(save: SaveVolume, id: number, beneath: Beneath): Promise<Branch> {
  findBranch(save, id);
  takeBranch(save, id, 'ERR_BUSY');
  try {
    // A snapshot that is being taken of the closed branch comes first (O2).
    return await inLine(save, id, () => open(save, id, beneath));
  } catch (error) {
    dropBranch(save, id);
    throw error;
  }
}

async function open(save: SaveVolume, id: number, beneath: Beneath): Promise<Branch> {
  const { space, quotaBytes } = findBranch(save, id);
  const spans = new ZeroSpans(save, space, LIVE);
  await spans.load();
  const own = new OwnBlocks(save, space, spans);
  const lineage = await Lineage.beneathSpace(save, space, beneath);
  try {
    await own.limit(quotaBytes);
  } catch (error) {
    lineage.close();
    throw error;
  }
  const { size } = findSpace(save, space);
  own.youngest = queueOf(save, space).youngest;
  const parts: BranchParts = { save, space, own, lineage, size };
  const driver = new BranchDevice(parts);
  const device = checked(driver);
  save.join(own);
  showBranch(save, id, { device: driver, parts });
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= driver.finish().finally(async () => {
      lineage.close();
      dropBranch(save, id);
      await device.close();
    });
    return closing;
  };
  return {
    id,
    device,
    metrics: () => ({
      users: { ...device.metrics },
      storedBlocks: own.counts.stored,
      zeroBlocks: own.counts.zeros,
    }),
    createSnapshot: (attributes, alongside) =>
      createBranchSnapshot(save, id, attributes, alongside),
    close,
    [Symbol.asyncDispose]: close,
  };
}
