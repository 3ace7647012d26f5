/**
 * Exact space: whose the saved blocks are, and how many come back when things are deleted, from the
 * block map alone.
 *
 *   U1  An entry answers for the versions after the entry before it (of its block and level) up to its
 *       own (E2). It is needed exactly while one of them is: a snapshot that is not deleted, or the
 *       present of a branch.
 *   U2  What a deletion gives back is what is needed before it and not after. Snapshots that are being
 *       deleted already are needed by nobody: what they give back is theirs.
 *   U3  Bytes are those of saved blocks. Pages of the map, lists and the journal shrink too, at
 *       checkpoints; they are not counted.
 */
import { StorageError } from '@palimpsest/block-device';
import type { StoredSnapshot } from '@palimpsest/ro-snapshot';
import {
  LIVE,
  levelOf,
  type MapEntry,
  type SaveVolume,
  storedObject,
  storedObjectsOf,
  versionOf,
} from '@palimpsest/save-volume';
import { findSpace, type StoredBranch, type StoredSpace } from './records.js';

/** What one version of a space, a snapshot or the present of a branch, needs. Bytes. */
export interface VersionUsage {
  /** Snapshot's id, or LIVE for the present. */
  readonly version: number;
  /** Saved blocks that it alone needs: what deleting just it gives back. */
  readonly exclusiveBytes: number;
  /** Saved blocks of its space that it needs, and another version too. */
  readonly sharedBytes: number;
}

/** Entries looked at together. */
const STEP = 4096;
/** Past the last block that the map can name. */
const EVERY_BLOCK = 2 ** 48 - 1;
/** An entry of the by-version tree takes two look-ups more than one that is passed over. */
const LOOK_UP_COST = 4;

/**
 * How many bytes of saved blocks come back when these snapshots and branches are deleted together
 * (a branch without its snapshots, unless they are named too). Exact as long as nothing is written or
 * deleted meanwhile: commit first.
 * @throws {StorageError} ERR_NOT_FOUND when one is neither.
 */
export async function gainOfDeleting(save: SaveVolume, ids: readonly number[]): Promise<number> {
  const spaces = new Map<number, Set<number>>();
  const add = (space: number, version: number): void => {
    const versions = spaces.get(space) ?? new Set();
    spaces.set(space, versions.add(version));
  };
  for (const id of ids) {
    const snapshot = storedObject<StoredSnapshot>(save, 'snapshot', id);
    const branch = storedObject<StoredBranch>(save, 'branch', id);
    if (snapshot !== undefined && snapshot.deleting !== true) add(snapshot.volume, id);
    else if (branch !== undefined) add(branch.space, LIVE);
    else throw new StorageError('ERR_NOT_FOUND', `the store has no snapshot or branch ${id}`);
  }
  let blocks = 0;
  for (const [space, gone] of spaces) blocks += await gainIn(save, space, gone);
  return blocks * save.blockSize;
}

/**
 * What each version of a space needs, by one pass over its entries: snapshots oldest first, then the
 * present, when the space is a branch's.
 */
export async function usageOfSpace(save: SaveVolume, space: number): Promise<VersionUsage[]> {
  const versions = versionsOf(save, space);
  // Differences between neighbours: an entry adds to all the versions it answers for in two steps.
  const needed = new Float64Array(versions.length + 1);
  const exclusive = new Float64Array(versions.length);
  await eachEntry(save, space, (entry, before) => {
    if (entry.address === 0) return;
    const first = firstAfter(versions, before);
    const end = firstAfter(versions, versionOf(entry.version));
    if (first >= end) return;
    needed[first] = (needed[first] as number) + 1;
    needed[end] = (needed[end] as number) - 1;
    if (end - first === 1) exclusive[first] = (exclusive[first] as number) + 1;
  });
  let sum = 0;
  return versions.map((version, index) => {
    sum += needed[index] as number;
    const alone = exclusive[index] as number;
    return {
      version,
      exclusiveBytes: alone * save.blockSize,
      sharedBytes: (sum - alone) * save.blockSize,
    };
  });
}

/** Blocks that `gone` versions of a space give back. */
async function gainIn(save: SaveVolume, space: number, gone: ReadonlySet<number>): Promise<number> {
  const before = versionsOf(save, space);
  const after = before.filter((version) => !gone.has(version));
  if (!gone.has(LIVE) && !isRetired(save, space) && !isDeleting(save, space)) {
    const counts = await Promise.all([...gone].map((version) => save.map.count(space, version)));
    const few = counts.reduce((sum, count) => sum + count, 0);
    if (few * LOOK_UP_COST < (await save.map.count(space))) {
      return gainByVersion(save, space, gone, after);
    }
  }
  let blocks = 0;
  await eachEntry(save, space, (entry, previous) => {
    if (entry.address === 0) return;
    const version = versionOf(entry.version);
    if (isNeeded(before, previous, version) && !isNeeded(after, previous, version)) blocks += 1;
  });
  return blocks;
}

/** The same, when few entries are concerned: they are of the versions that go. */
async function gainByVersion(
  save: SaveVolume,
  space: number,
  gone: ReadonlySet<number>,
  after: readonly number[],
): Promise<number> {
  let blocks = 0;
  for (const version of gone) {
    const heir = after.findLast((each) => each < version);
    for (let from = 0; ; ) {
      const listed = await save.map.listSaved(space, version, from, STEP);
      for (const block of listed) {
        const entry = await save.find(space, block, version);
        if (entry?.version !== version || entry.address === 0) continue;
        const heard = heir === undefined ? undefined : await save.find(space, block, heir);
        if (heard?.version !== version) blocks += 1;
      }
      if (listed.length < STEP) break;
      from = (listed.at(-1) as number) + 1;
    }
  }
  return blocks;
}

/** Visits every entry with the version of the one before it, of the same block and level; 0: none. */
async function eachEntry(
  save: SaveVolume,
  space: number,
  visit: (entry: MapEntry, before: number) => void,
): Promise<void> {
  for (let from = 0; ; ) {
    const entries = await save.map.listEntries(space, from, EVERY_BLOCK, STEP);
    for (const [index, { block, entry }] of entries.entries()) {
      const last = entries[index - 1];
      const follows =
        last?.block === block && levelOf(last.entry.version) === levelOf(entry.version);
      visit(entry, follows ? versionOf(last.entry.version) : 0);
    }
    const last = entries.at(-1);
    if (last === undefined || entries.length < STEP) return;
    from = last.block + 1;
  }
}

/** The versions of a space that are read: its snapshots, and the present of a branch; ascending. */
function versionsOf(save: SaveVolume, space: number): number[] {
  const versions = storedObjectsOf<StoredSnapshot>(save, 'snapshot', space)
    .filter(({ object }) => object.deleting !== true)
    .map(({ id }) => id);
  return isBranchSpace(save, space) && !isRetired(save, space) ? [...versions, LIVE] : versions;
}

function isBranchSpace(save: SaveVolume, space: number): boolean {
  return storedObject<StoredSpace>(save, 'space', space) !== undefined;
}

function isRetired(save: SaveVolume, space: number): boolean {
  return isBranchSpace(save, space) && findSpace(save, space).retired === true;
}

function isDeleting(save: SaveVolume, space: number): boolean {
  return storedObjectsOf<StoredSnapshot>(save, 'snapshot', space).some(
    ({ object }) => object.deleting === true,
  );
}

/** U1: whether one of the versions is after `before` and not after `version`. */
function isNeeded(versions: readonly number[], before: number, version: number): boolean {
  const next = versions[firstAfter(versions, before)];
  return next !== undefined && next <= version;
}

/** The index of the first version after `version`. */
function firstAfter(versions: readonly number[], version: number): number {
  let low = 0;
  let high = versions.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((versions[middle] as number) > version) high = middle;
    else low = middle + 1;
  }
  return low;
}
