/**
 * changedBlocks: the difference of two states of one lineage (US 7,567,991), from the block map alone;
 * no block is read. States lie in a tree of spaces, each as of a version:
 *
 *   branch, LIVE -> space 9 as of snapshot 12 -> production as of snapshot 5
 *   snapshot 14 of another branch            -> production as of snapshot 8
 *                                               ^ the first space that both stand on
 *
 *   DF1 Every block that differs is told: what either state has of its own above the space that both
 *       stand on; in that space, what was recorded at the older version or later and before the younger
 *       one (E1); and what only one of them is large enough to have.
 *   DF2 Nothing else is told: a block is told because something recorded a change of it between the
 *       two, if only of a span around it, or a running restore has still to write it.
 *   DF3 Entries that a deletion or the end of one moves to an older snapshot are not missed: a step
 *       during which the snapshots of the space change is taken again, with commits kept out.
 *   DF4 Memory does not grow with the difference: a step's blocks, and one range of each list.
 */
import { StorageError } from '@palimpsest/block-device';
import type { StoredSnapshot } from '@palimpsest/ro-snapshot';
import {
  atLevel,
  LEVELS_MAX,
  LIVE,
  type SaveVolume,
  type StoredObject,
  storedObject,
  storedObjectsOf,
} from '@palimpsest/save-volume';
import { type BlockRange, mergedRanges, oneRange, rangesOf } from './block-ranges.js';
import { ownRuns } from './own-runs.js';
import { type Base, findBranch, findSnapshot, findSpace, type StoredSpace } from './records.js';
import { spanBlocks, ZeroSpans } from './zero-spans.js';

/** A state of a lineage: the present of a production volume or a branch, or a snapshot of either. */
export interface StateReference {
  readonly kind: 'volume' | 'snapshot' | 'branch';
  readonly id: number;
}

/** A space as of a version, in blocks. */
interface SpaceState {
  readonly space: number;
  readonly version: number;
  readonly size: number;
}

/** What a running restore is told by (docs/adr/0016). */
interface StoredRestore extends StoredObject {
  readonly volume: number;
  readonly source: Base;
  readonly undo: number;
  readonly ended?: boolean;
}

/** Blocks of one step. */
const STEP = 4096;

/**
 * The blocks that may differ between two states of one lineage, ascending and merged. What a live
 * state holds in memory is not in the map yet: commit first (`SaveVolume.commit`), or it is not told.
 * @throws {StorageError} ERR_NOT_FOUND, also when a snapshot on the way goes; ERR_INVALID when the
 * two are not of one lineage.
 */
export async function* changedBlocks(
  save: SaveVolume,
  a: StateReference,
  b: StateReference,
): AsyncGenerator<BlockRange> {
  const [chainA, chainB] = [chainOf(save, a), chainOf(save, b)];
  if (chainA.root !== chainB.root) {
    throw new StorageError(
      'ERR_INVALID',
      `${a.kind} ${a.id} is of volume ${chainA.root} and ${b.kind} ${b.id} of volume ${chainB.root}: ` +
        'only states of one volume and its branches can be compared',
    );
  }
  yield* differing(save, chainA.states, chainB.states);
}

/** DF1, for two chains of one lineage. */
function differing(
  save: SaveVolume,
  a: readonly SpaceState[],
  b: readonly SpaceState[],
): AsyncGenerator<BlockRange> {
  const end = Math.max(a[0]?.size ?? 0, b[0]?.size ?? 0);
  const lists: AsyncIterable<BlockRange>[] = [oneRange(Math.min(sizeOf(a[0]), sizeOf(b[0])), end)];
  const sharedA = a.findIndex(({ space }) => b.some((state) => state.space === space));
  const sharedB = b.findIndex(({ space }) => space === a[sharedA]?.space);
  for (const state of sharedA < 0 ? a : a.slice(0, sharedA)) lists.push(own(save, state));
  for (const state of sharedB < 0 ? b : b.slice(0, sharedB)) lists.push(own(save, state));
  const [stateA, stateB] = [a[sharedA], b[sharedB]];
  if (stateA === undefined || stateB === undefined) {
    // One of them is independent of the image: nothing tells how that differs from nothing.
    if (standsOnImage(save, a) || standsOnImage(save, b)) lists.push(oneRange(0, end));
  } else {
    const sizes = [stateA.size, stateB.size].sort((x, y) => x - y) as [number, number];
    const versions = [stateA.version, stateB.version].sort((x, y) => x - y) as [number, number];
    lists.push(oneRange(...sizes), recorded(save, stateA.space, versions, sizes[1]));
  }
  return mergedRanges(lists, end);
}

/** What a space as of a version has of its own. */
async function* own(save: SaveVolume, { space, version, size }: SpaceState) {
  const spans = new ZeroSpans(save, space, version);
  await spans.load();
  yield* ownRuns(save, { space, version, spans }, 0, size);
}

/** What was recorded in a space from version `from` on and below `to`. */
function recorded(
  save: SaveVolume,
  space: number,
  [from, to]: readonly [number, number],
  end: number,
): AsyncGenerator<BlockRange> {
  const lists = [rangesOf(recordedBlocks(save, space, from, to, end))];
  for (let level = 1; level <= LEVELS_MAX; level += 1) {
    lists.push(recordedSpans(save, space, level, from, to));
  }
  for (const { object } of storedObjectsOf<StoredRestore>(save, 'restore', space)) {
    if (object.ended === true) continue;
    if (object.undo < from || object.undo >= to) continue;
    // What is not written yet differs from the state before as the source does (DF2).
    const source = chainOf(save, { kind: 'snapshot', id: object.source.snapshot });
    const undo = chainOf(save, { kind: 'snapshot', id: object.undo });
    lists.push(differing(save, source.states, undo.states));
  }
  return mergedRanges(lists, end);
}

async function* recordedBlocks(
  save: SaveVolume,
  space: number,
  from: number,
  to: number,
  end: number,
): AsyncGenerator<readonly number[]> {
  if (from >= to) return;
  for (let block = 0; block < end; ) {
    const blocks = await undisturbed(save, space, () =>
      save.map.blocksBetween(space, from, to, block, STEP),
    );
    yield blocks;
    if (blocks.length < STEP) return;
    block = (blocks.at(-1) as number) + 1;
  }
}

/** Spans of one level, which are few: those of each version in turn, merged. */
async function* recordedSpans(
  save: SaveVolume,
  space: number,
  level: number,
  from: number,
  to: number,
): AsyncGenerator<BlockRange> {
  const [first, last] = [atLevel(level, from), atLevel(level, to)];
  if (from >= to || !(await save.map.hasVersions(space, first, last))) return;
  for (let block = 0; ; ) {
    const blocks = await undisturbed(save, space, async () => {
      const found = new Set<number>();
      for (const { id } of storedObjectsOf<StoredSnapshot>(save, 'snapshot', space)) {
        if (id < from || id >= to) continue;
        for (const each of await save.map.listSaved(space, atLevel(level, id), block, STEP)) {
          found.add(each);
        }
      }
      return Float64Array.from(found).sort().subarray(0, STEP);
    });
    for (const each of blocks) yield { first: each, count: spanBlocks(level) };
    if (blocks.length < STEP) return;
    block = (blocks.at(-1) as number) + 1;
  }
}

/** DF3. */
async function undisturbed<Result>(
  save: SaveVolume,
  space: number,
  step: () => Promise<Result>,
): Promise<Result> {
  const before = snapshotsOf(save, space);
  if (!before.includes('-')) {
    const result = await step();
    if (snapshotsOf(save, space) === before) return result;
  }
  let result: { readonly value: Result } | undefined;
  await save.quiesced(async () => {
    result = { value: await step() };
  });
  return (result as { readonly value: Result }).value;
}

/** Which snapshots a space has, and which of them are going ("-"). */
function snapshotsOf(save: SaveVolume, space: number): string {
  return storedObjectsOf<StoredSnapshot>(save, 'snapshot', space)
    .map(({ id, object }) => (object.deleting === true ? `-${id}` : `${id}`))
    .join();
}

/** A state and what it stands on, nearest first, and the production volume at the root. */
/** The spaces that a state is made of, nearest first, and the volume at their root. */
export function chainOf(
  save: SaveVolume,
  { kind, id }: StateReference,
): { readonly root: number; readonly states: readonly SpaceState[] } {
  const blocks = (bytes: number): number => Math.ceil(bytes / save.blockSize);
  if (kind === 'volume') {
    const volume = storedObject<StoredObject & { readonly size: number }>(save, 'volume', id);
    if (volume === undefined) {
      throw new StorageError('ERR_NOT_FOUND', `the store has no volume ${id}`);
    }
    return { root: id, states: [{ space: id, version: LIVE, size: blocks(volume.size) }] };
  }
  const states: SpaceState[] = [];
  let next: Base | null;
  if (kind === 'branch') {
    const { space } = findBranch(save, id);
    const { size, base } = findSpace(save, space);
    states.push({ space, version: LIVE, size: blocks(size) });
    next = base;
  } else {
    const volume = storedObject<StoredSnapshot>(save, 'snapshot', id)?.volume ?? 0;
    next = { volume, snapshot: id };
  }
  while (next !== null) {
    const { size } = findSnapshot(save, next);
    states.push({ space: next.volume, version: next.snapshot, size: blocks(size) });
    next = storedObject<StoredSpace>(save, 'space', next.volume)?.base ?? null;
  }
  return { root: rootOfSpace(save, states[0]?.space as number), states };
}

function rootOfSpace(save: SaveVolume, space: number): number {
  const found = storedObject<StoredSpace>(save, 'space', space);
  return found === undefined ? space : findBranch(save, found.branch).volume;
}

function standsOnImage(save: SaveVolume, states: readonly SpaceState[]): boolean {
  const last = states.at(-1);
  return last !== undefined && storedObject<StoredSpace>(save, 'space', last.space) === undefined;
}

function sizeOf(state: SpaceState | undefined): number {
  return state?.size ?? 0;
}
