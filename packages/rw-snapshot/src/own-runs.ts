/**
 * What a space has of its own in a range of blocks, as of a version: runs in order; what lies between
 * them is read from beneath.
 */
import {
  type HeldBlocks,
  levelOf,
  type MapEntry,
  NO_BYTES,
  type SaveVolume,
  versionOf,
  ZERO,
} from '@palimpsest/save-volume';
import { spanBlocks, type ZeroSpans } from './zero-spans.js';

/** A run of blocks that are the space's own. */
export interface OwnRun {
  readonly first: number;
  readonly count: number;
  readonly zero: boolean;
}

/** Entries looked at together. */
const LIST_STEP = 4096;

interface Piece {
  readonly block: number;
  readonly zero: boolean;
  /** Where a span ends; 0 for a single block. */
  readonly spanEnd: number;
}

/** `held`: blocks that are not in the map yet and count more than it. */
export async function* ownRuns(
  save: SaveVolume,
  layer: { readonly space: number; readonly version: number; readonly spans: ZeroSpans },
  first: number,
  end: number,
  held?: HeldBlocks,
): AsyncGenerator<OwnRun> {
  const { space, version, spans } = layer;
  let zeroUntil = spans.none ? 0 : await spans.findEndOf(first);
  let done = first;
  for (let from = first; from < end; ) {
    const entries = await save.map.listEntries(space, from, end, LIST_STEP);
    const last = entries.length < LIST_STEP ? end : (entries.at(-1)?.block as number) + 1;
    for (const { block, zero, spanEnd } of piecesOf(entries, version, from, last, held)) {
      const covered = Math.min(block, zeroUntil);
      if (covered > done) yield { first: done, count: covered - done, zero: true };
      if (spanEnd > 0) {
        done = Math.max(done, block);
        zeroUntil = Math.max(zeroUntil, spanEnd);
      } else {
        yield { first: block, count: 1, zero };
        done = block + 1;
      }
    }
    const covered = Math.min(last, zeroUntil);
    if (covered > done) yield { first: done, count: covered - done, zero: true };
    done = last;
    from = last;
  }
}

/** The states as of `version`, in order; a span comes before a block of its own at its start. */
function piecesOf(
  entries: readonly { block: number; entry: MapEntry }[],
  version: number,
  from: number,
  to: number,
  held: HeldBlocks | undefined,
): Piece[] {
  const pieces: Piece[] = [];
  let seenBlock = -1;
  let seenLevel = -1;
  for (const { block, entry } of entries) {
    const level = levelOf(entry.version);
    if (versionOf(entry.version) < version) continue;
    // The first one at or after the version answers (E2); later ones of its level do not.
    if (block === seenBlock && level === seenLevel) continue;
    seenBlock = block;
    seenLevel = level;
    const zero = (entry.flags & ZERO) !== 0;
    if (level > 0) {
      if (zero) pieces.push({ block, zero, spanEnd: block + spanBlocks(level) });
    } else if (held?.get(block) === undefined && (zero || (entry.flags & NO_BYTES) === 0)) {
      pieces.push({ block, zero, spanEnd: 0 });
    }
  }
  for (const block of held?.blocks() ?? []) {
    if (block < from || block >= to) continue;
    pieces.push({ block, zero: held?.get(block) === null, spanEnd: 0 });
  }
  return pieces.sort((a, b) => a.block - b.block || b.spanEnd - a.spanEnd);
}
