/**
 * WriteCost: what a client's write takes, from counters alone. A first write to a block costs a data
 * block for its old bytes (none when they were zeros) and a share of the journal's and the map's bytes:
 * as large for each entry of the map that was committed. What never happened has no ratio: `null`.
 */
import type { DeviceMetrics } from '@palimpsest/block-device';
import type { VolumeMetrics } from '@palimpsest/ro-snapshot';
import type { BranchMetrics } from '@palimpsest/rw-snapshot';
import type { SaveVolumeMetrics, SpaceReport } from '@palimpsest/save-volume';

/** What writes to one volume or branch take. Zeroed and discarded bytes are on neither side. */
export interface WriteCost {
  /** Bytes handed to the devices for a byte that users wrote. */
  readonly writeAmplification: number | null;
  /** The same of blocks that were written for the first time since a snapshot; 2 and a bit at most. */
  readonly firstWriteAmplification: number | null;
  /** Bytes of the save volume that such a block takes: its old bytes, and its entries in the map. */
  readonly spacePerFirstWrite: number | null;
}

/** The same of everything, with the flushes that it shares. */
export interface StoreCost extends WriteCost {
  /** Bytes of journal, map, lists and superblocks written for an entry of the map. */
  readonly metadataPerEntry: number | null;
  /** Bytes that an entry takes in the map and the journal. */
  readonly spacePerEntry: number | null;
  /** Flushes of the save volume and of all clone volumes, for a first write. */
  readonly flushesPerFirstWrite: number | null;
  /** The same for a flush that a user asked for. */
  readonly flushesPerUserFlush: number | null;
}

/** What all volumes and branches did together. */
export interface WriteTotals {
  readonly users: DeviceMetrics;
  readonly clones: DeviceMetrics;
  /** Of production volumes: see `VolumeMetrics`. */
  readonly firstWrittenBlocks: number;
  readonly copiedOutBlocks: number;
  readonly savedAsZeroBlocks: number;
  /** Of branches: see `BranchMetrics`. */
  readonly storedBlocks: number;
  readonly zeroBlocks: number;
}

/** The shares of metadata that every entry bears. */
export type Shares = Pick<StoreCost, 'metadataPerEntry' | 'spacePerEntry'>;

const NO_DEVICE: DeviceMetrics = {
  reads: 0,
  readBytes: 0,
  writes: 0,
  writtenBytes: 0,
  zeroedBytes: 0,
  discardedBytes: 0,
  flushes: 0,
};

/** Nothing was done. */
export const NO_TOTALS: WriteTotals = {
  users: NO_DEVICE,
  clones: NO_DEVICE,
  firstWrittenBlocks: 0,
  copiedOutBlocks: 0,
  savedAsZeroBlocks: 0,
  storedBlocks: 0,
  zeroBlocks: 0,
};

/** Nothing was done to a branch. */
export const NO_BRANCH: BranchMetrics = { users: NO_DEVICE, storedBlocks: 0, zeroBlocks: 0 };

/** Number by number. */
function sum<Numbers extends object>(a: Numbers, b: Numbers): Numbers {
  const entries = Object.entries(a).map(([name, value]) => {
    const other = (b as Record<string, unknown>)[name];
    return [
      name,
      typeof value === 'number' ? value + (other as number) : sum(value, other as object),
    ];
  });
  return Object.fromEntries(entries) as Numbers;
}

/** What a branch did in two openings. */
export function sumOfBranch(a: BranchMetrics, b: BranchMetrics): BranchMetrics {
  return sum(a, b);
}

/** With what a volume did. */
export function withVolume(totals: WriteTotals, { clone, ...volume }: VolumeMetrics): WriteTotals {
  return sum(totals, { ...NO_TOTALS, ...volume, clones: clone });
}

/** With what a branch did. */
export function withBranch(totals: WriteTotals, branch: BranchMetrics): WriteTotals {
  return sum(totals, { ...NO_TOTALS, ...branch });
}

/** What an entry of the map costs, all of them alike. */
export function sharesOf(save: SaveVolumeMetrics, space: SpaceReport): Shares {
  return {
    metadataPerEntry: ratio(save.journalBytes + save.mapBytes, save.entries),
    spacePerEntry: ratio(space.mapBytes + space.journalBytes, space.mapEntries),
  };
}

/** Of a production volume: a first write goes to the image, after its old bytes were saved. */
export function costOfVolume(volume: VolumeMetrics, blockSize: number, shares: Shares): WriteCost {
  const { users, clone, firstWrittenBlocks, copiedOutBlocks, savedAsZeroBlocks } = volume;
  const entries = copiedOutBlocks + savedAsZeroBlocks;
  const saved = copiedOutBlocks * blockSize + entries * (shares.metadataPerEntry ?? 0);
  const first = firstWrittenBlocks * blockSize;
  return {
    writeAmplification: ratio(clone.writtenBytes + saved, users.writtenBytes),
    firstWriteAmplification: ratio(first + saved, first),
    spacePerFirstWrite: ratio(
      copiedOutBlocks * blockSize + entries * (shares.spacePerEntry ?? 0),
      firstWrittenBlocks,
    ),
  };
}

/** Of a branch: every block is stored in the save volume, and that is all. */
export function costOfBranch(branch: BranchMetrics, blockSize: number, shares: Shares): WriteCost {
  const { users, storedBlocks, zeroBlocks } = branch;
  const entries = storedBlocks + zeroBlocks;
  const stored = storedBlocks * blockSize;
  const written = stored + entries * (shares.metadataPerEntry ?? 0);
  return {
    writeAmplification: ratio(written, users.writtenBytes),
    firstWriteAmplification: ratio(written, entries * blockSize),
    spacePerFirstWrite: ratio(stored + entries * (shares.spacePerEntry ?? 0), entries),
  };
}

/** Of everything, all bytes and flushes counted. */
export function costOfStore(
  totals: WriteTotals,
  save: SaveVolumeMetrics,
  blockSize: number,
  shares: Shares,
): StoreCost {
  const { users, clones, firstWrittenBlocks, copiedOutBlocks, savedAsZeroBlocks } = totals;
  const production = {
    users,
    clone: clones,
    firstWrittenBlocks,
    copiedOutBlocks,
    savedAsZeroBlocks,
  };
  const first = costOfVolume(production, blockSize, shares);
  const toSave = save.dataBytes + save.journalBytes + save.mapBytes;
  const flushes = save.flushes + clones.flushes;
  return {
    ...shares,
    writeAmplification: ratio(toSave + clones.writtenBytes, users.writtenBytes),
    firstWriteAmplification: first.firstWriteAmplification,
    spacePerFirstWrite: first.spacePerFirstWrite,
    flushesPerFirstWrite: ratio(flushes, firstWrittenBlocks),
    flushesPerUserFlush: ratio(flushes, users.flushes),
  };
}

function ratio(part: number, whole: number): number | null {
  return whole === 0 ? null : part / whole;
}
