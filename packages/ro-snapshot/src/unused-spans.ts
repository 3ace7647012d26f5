/**
 * UnusedSpans: runs of a snapshot that held nothing worth keeping when it was taken, as a file system
 * said (US 6,792,518). They read as zeros from that snapshot and need no copy-out.
 *
 *   U1  They are states of whole spans (512 blocks and its powers, aligned), flagged ZERO at the
 *       version of the snapshot; what is left of a run at its ends is ignored. The next older snapshot
 *       gets a state BENEATH in the same commit, or the zeros would be its own.
 *   U2  Hence a span of zeros speaks of exactly one snapshot, and which ones have any stands in
 *       their objects: all others never look for spans.
 *   U3  A block's own state counts more than a span over it. The first change of a block records it
 *       for every snapshot whose state differs (saved-states.ts).
 */
import { atLevel, type Batch, type SaveVolume, ZERO } from '@palimpsest/save-volume';

const FAN_OUT = 512;
const LEVELS = [3, 2, 1] as const;
/** Spans that one snapshot records at most, the largest first: they share its commit. */
const SPANS_MAX = 4096;

/** Neighbouring blocks. */
export interface BlockRun {
  readonly first: number;
  readonly count: number;
}

/** A span as one entry of the block map names it. */
interface Span {
  readonly first: number;
  readonly level: number;
}

/** See the file header. */
export class UnusedSpans {
  readonly #save: SaveVolume;
  readonly #space: number;
  /** Snapshots that have spans of zeros (U2). */
  #snapshots: ReadonlySet<number> = new Set();

  constructor(save: SaveVolume, space: number) {
    this.#save = save;
    this.#space = space;
  }

  /** True when the snapshot has spans of zeros. */
  isIn(snapshot: number): boolean {
    return this.#snapshots.has(snapshot);
  }

  reset(snapshots: Iterable<number>): void {
    this.#snapshots = new Set(snapshots);
  }

  /** Whether a span of zeros of the snapshot covers the block. */
  async isZero(snapshot: number, block: number): Promise<boolean> {
    if (!this.#snapshots.has(snapshot)) return false;
    for (const level of LEVELS) {
      if (await this.#has(snapshot, { first: alignDown(block, level), level })) return true;
    }
    return false;
  }

  /** Visits the blocks from `from` on and below `to` that the snapshot has as zeros in spans. */
  async eachZero(
    snapshot: number,
    from: number,
    to: number,
    visit: (block: number) => void,
  ): Promise<void> {
    if (!this.#snapshots.has(snapshot)) return;
    for (let block = alignDown(from, 1); block < to; block += FAN_OUT) {
      if (!(await this.isZero(snapshot, block))) continue;
      const end = Math.min(to, block + FAN_OUT);
      for (let each = Math.max(from, block); each < end; each += 1) visit(each);
    }
  }

  /**
   * The spans of zeros that a new snapshot is to have, with what the youngest one before it needs
   * (`previous`, 0 for none). Nothing is written by this: call `put` in the snapshot's commit.
   */
  async plan(runs: Iterable<BlockRun>, blocks: number, previous: number): Promise<UnusedPlan> {
    const most = Math.min(SPANS_MAX, Math.floor(this.#save.operationsMax / 8));
    const spans = largest(runs, blocks, most);
    const beneath: Span[] = [];
    for (const span of previous === 0 ? [] : spans) {
      const version = atLevel(span.level, previous);
      if ((await this.#save.find(this.#space, span.first, version)) === undefined) {
        beneath.push(span);
      }
    }
    return { spans, beneath, previous };
  }

  /** Puts the states into the batch of the commit that makes `snapshot` exist (U1). */
  put(batch: Batch, snapshot: number, { spans, beneath, previous }: UnusedPlan): void {
    for (const { first, level } of spans) {
      batch.putZero(this.#space, first, atLevel(level, snapshot));
    }
    for (const { first, level } of beneath) {
      batch.putBeneath(this.#space, first, atLevel(level, previous));
    }
  }

  async #has(snapshot: number, { first, level }: Span): Promise<boolean> {
    const version = atLevel(level, snapshot);
    const entry = await this.#save.find(this.#space, first, version);
    return entry?.version === version && (entry.flags & ZERO) !== 0;
  }
}

/** What a snapshot's commit records of unused spans. */
export interface UnusedPlan {
  readonly spans: readonly Span[];
  readonly beneath: readonly Span[];
  readonly previous: number;
}

function alignDown(block: number, level: number): number {
  const size = FAN_OUT ** level;
  return Math.floor(block / size) * size;
}

/** The largest aligned spans inside the runs, `most` of them at most. */
function largest(runs: Iterable<BlockRun>, blocks: number, most: number): Span[] {
  const byLevel: Span[][] = LEVELS.map(() => []);
  for (const { first, count } of runs) {
    const end = Math.min(blocks, first + count);
    for (let at = Math.ceil(first / FAN_OUT) * FAN_OUT; at + FAN_OUT <= end; ) {
      const fits = LEVELS.find((l) => at % FAN_OUT ** l === 0 && at + FAN_OUT ** l <= end) ?? 1;
      const list = byLevel[LEVELS.indexOf(fits)] as Span[];
      if (list.length < most) list.push({ first: at, level: fits });
      at += FAN_OUT ** fits;
    }
  }
  const spans = byLevel.flat().slice(0, most);
  return [...new Map(spans.map((span) => [`${span.level}:${span.first}`, span])).values()];
}
