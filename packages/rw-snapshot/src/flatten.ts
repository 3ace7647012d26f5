/**
 * Flatten: making a branch independent of its base, in the background. What it reads from beneath is
 * copied in, then the base is let go in one commit.
 *
 *   F1  No version of the branch reads anything else than before, at no time: a copy is put at the
 *       youngest version that reads the block from beneath, and answers for the older ones too.
 *   F2  Where it has got to is kept with the branch's space, so that it goes on after a pause, a close
 *       or a crash. Going over a block twice changes nothing.
 *   F3  While a restore reads through the branch, nothing is copied in and the base stays: which blocks
 *       the restore may have to write must not change under it (ro-snapshot, RS5).
 */
import { StorageError, together } from '@palimpsest/block-device';
import { type Alongside, queueOf, restoreSources } from '@palimpsest/ro-snapshot';
import {
  atLevel,
  type Batch,
  BENEATH,
  encodeObject,
  LEVELS_MAX,
  LIVE,
  type MapEntry,
  type SaveVolume,
  ZERO,
} from '@palimpsest/save-volume';
import { type Beneath, Lineage } from './lineage.js';
import { openBranchOf, openLineages } from './open-branches.js';
import type { OwnBlocks } from './own-blocks.js';
import { countOwned, overQuota } from './quota.js';
import { findBranch, findSpace, lineageOf } from './records.js';
import { spanBlocks } from './zero-spans.js';

/** Blocks looked at, and copied, by one commit: a MiB with 4 KiB blocks. */
const STEP = 256;

/** How to flatten. */
export interface FlattenOptions {
  /** Pauses it: it goes on when it is called again. */
  readonly signal?: AbortSignal;
  /** Awaited after so many bytes were copied, to slow it down. */
  readonly pace?: (bytes: number) => Promise<void>;
  /** Blocks. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Carried out by the commit that lets the base go. */
  readonly alongside?: Alongside;
}

/**
 * Makes a branch, open or not, independent of its base. Durable when it resolves.
 * @throws {StorageError} ERR_NOT_FOUND; ERR_BUSY when the branch is refreshed meanwhile, or while a
 * restore reads through it (`assertNotRestoredFrom`): call it again when that has ended;
 * ERR_NO_SPACE, also for want of quota; the signal's reason when it is paused.
 */
export async function flattenBranch(
  save: SaveVolume,
  id: number,
  beneath: Beneath,
  options: FlattenOptions = {},
): Promise<void> {
  const { space, quotaBytes } = findBranch(save, id);
  if (findSpace(save, space).base === null) return;
  const lineage = await Lineage.beneathSpace(save, space, beneath);
  try {
    const { size, flattened } = findSpace(save, space);
    const owned = quotaBytes === undefined ? 0 : await countOwned(save, space);
    const source: Source = { save, branch: id, space, lineage, owned };
    const total = Math.ceil(size / save.blockSize);
    for (let from = flattened ?? 0; from < total; ) {
      options.signal?.throwIfAborted();
      const next = Math.min(total, await nextBeneath(lineage, from, total));
      const to = Math.min(total, next + STEP);
      const copied = next < to ? await copyIn(source, next, to) : 0;
      source.owned += copied;
      from = to;
      options.onProgress?.(from, total);
      await options.pace?.(copied * save.blockSize);
    }
    options.signal?.throwIfAborted();
    await letGo(save, id, space, options.alongside);
  } finally {
    lineage.close();
  }
}

/** Lets the base go, in one commit. */
async function letGo(
  save: SaveVolume,
  id: number,
  space: number,
  alongside: Alongside | undefined,
): Promise<void> {
  await save.transact((batch) => {
    assertSame(save, id, space);
    assertNotRestoredFrom(save, id, batch);
    const stored = findSpace(save, space, batch);
    const { flattened: _done, ...rest } = stored;
    batch.object(space, encodeObject({ ...rest, base: null }));
    alongside?.(batch);
  });
  // In the same turn, before anybody can delete the old base.
  for (const lineage of openLineages(save)) lineage.endAt(space);
}

/** What is copied, and to where. */
interface Source {
  readonly save: SaveVolume;
  readonly branch: number;
  readonly space: number;
  readonly lineage: Lineage;
  /** Blocks that the branch has, when there is a quota and it is not open. */
  owned: number;
}

/** The first block from `from` on that may not be zeros beneath. */
async function nextBeneath(lineage: Lineage, from: number, total: number): Promise<number> {
  const window = Math.min(total, from + 2 ** 20);
  let at = from;
  for (const { length, zero } of await lineage.extents(from, window)) {
    if (!zero) return at;
    at += length / lineage.blockSize;
  }
  return window;
}

/** F1, for some blocks, by one commit that also notes how far it is. Tells how many were copied. */
async function copyIn(source: Source, from: number, to: number): Promise<number> {
  const { save, branch, space, lineage } = source;
  const { blockSize } = save;
  const bytes = new Uint8Array((to - from) * blockSize);
  await together((waits) => lineage.read(from, bytes, waits));
  let copied = 0;
  await save.transact(async (batch) => {
    copied = 0;
    assertSame(save, branch, space);
    assertNotRestoredFrom(save, branch, batch);
    const stored = findSpace(save, space, batch);
    const versions = [...queueOf(save, space).records.map((record) => record.id), LIVE];
    for (let block = from; block < to; block += 1) {
      const part = bytes.subarray((block - from) * blockSize, (block - from + 1) * blockSize);
      if (part.every((byte) => byte === 0)) continue; // beneath nothing, zeros are read
      const version = await youngestBeneath(save, space, versions, block);
      if (version === undefined) continue;
      batch.put(space, block, version, part);
      copied += 1;
    }
    assertWithinQuota(source, copied);
    batch.object(space, encodeObject({ ...stored, flattened: to }));
  });
  openOwn(source)?.adopted(copied);
  return copied;
}

/** @throws {StorageError} ERR_NO_SPACE when the branch would have more than its quota. */
function assertWithinQuota(source: Source, copied: number): void {
  const { save, branch, owned } = source;
  const { quotaBytes } = findBranch(save, branch);
  if (quotaBytes === undefined || copied === 0) return;
  const blocks = Math.floor(quotaBytes / save.blockSize);
  const left = openOwn(source)?.quotaLeft ?? blocks - owned;
  if (copied > left) throw overQuota(save, { blocks, used: blocks - left }, copied);
}

function openOwn({ save, branch, space }: Source): OwnBlocks | undefined {
  const open = openBranchOf(save, branch);
  return open?.parts.space === space ? open.parts.own : undefined;
}

/** The youngest version that reads the block from beneath; `undefined` when none does. */
async function youngestBeneath(
  save: SaveVolume,
  space: number,
  versions: readonly number[],
  block: number,
): Promise<number | undefined> {
  for (const version of [...versions].reverse()) {
    if (await isBeneath(save, space, version, block)) return version;
  }
  return undefined;
}

async function isBeneath(
  save: SaveVolume,
  space: number,
  version: number,
  block: number,
): Promise<boolean> {
  const isOpen = (entry: MapEntry | undefined): boolean =>
    entry === undefined || (entry.flags & BENEATH) !== 0;
  if (!isOpen(await save.find(space, block, version))) return false;
  for (let level = 1; level <= LEVELS_MAX; level += 1) {
    const first = Math.floor(block / spanBlocks(level)) * spanBlocks(level);
    const span = await save.find(space, first, atLevel(level, version));
    if (span !== undefined && (span.flags & ZERO) !== 0) return false;
  }
  return true;
}

/**
 * F3.
 * @throws {StorageError} ERR_NOT_FOUND; ERR_BUSY while a restore reads what the branch has, as the
 * source or beneath it.
 */
export function assertNotRestoredFrom(save: SaveVolume, id: number, batch?: Batch): void {
  const { space } = findBranch(save, id, batch);
  for (const { volume, snapshot } of restoreSources(save, batch)) {
    if (!lineageOf(save, volume, batch).includes(space)) continue;
    throw new StorageError(
      'ERR_BUSY',
      `branch ${id} cannot be flattened while a restore from snapshot ${snapshot} reads through it: ` +
        'try again when that has ended',
    );
  }
}

function assertSame(save: SaveVolume, branch: number, space: number): void {
  if (findBranch(save, branch).space === space) return;
  throw new StorageError('ERR_BUSY', `branch ${branch} was refreshed while it was flattened`);
}
