/**
 * ZeroSpans: large aligned runs of a branch that were zeroed or discarded, one entry of the block map
 * each, so that discarding a whole disk costs a few entries and not one a block.
 *
 *   level   1: 512 blocks      2: 512 x 512 blocks      3: 512 x 512 x 512 blocks
 *   entry   (space, first block of the span, a version at that level), flagged as zeros or BENEATH
 *
 *   Z1  A block of its own always counts more than a span over it, and a smaller span more than a
 *       larger: whatever a span covers when it is made is taken out of the present by the same
 *       operation, so what is found there is newer.
 *   Z2  Which levels exist is known without looking at a block, so that branches without spans, which
 *       is most of them, pay nothing.
 *   Z3  A span is a register with versions as a block is: what it was under the youngest snapshot is
 *       recorded before it changes (E1).
 */
import { atLevel, LIVE, MISS, type SaveVolume, ZERO } from '@palimpsest/save-volume';

const FAN_OUT = 512;
const LEVELS = [1, 2, 3] as const;

/** One span of zeros. */
export interface Span {
  readonly first: number;
  readonly level: number;
}

/** Blocks in a span of that level. */
export function spanBlocks(level: number): number {
  return FAN_OUT ** level;
}

/** The smallest run that is worth looking for spans in. */
export const SPAN_LEAST: number = FAN_OUT;

/** The largest aligned spans inside a run, in order; what they leave at both ends is not covered. */
export function spansWithin(first: number, count: number): Span[] {
  const spans: Span[] = [];
  const end = first + count;
  for (let at = Math.ceil(first / FAN_OUT) * FAN_OUT; at + FAN_OUT <= end; ) {
    const level = LEVELS.findLast(
      (l) => at % spanBlocks(l) === 0 && at + spanBlocks(l) <= end,
    ) as number;
    spans.push({ first: at, level });
    at += spanBlocks(level);
  }
  return spans;
}

/** The spans of one space as of one version. See the file header. */
export class ZeroSpans {
  readonly #save: SaveVolume;
  readonly #space: number;
  readonly #version: number;
  /** Levels of which there may be spans. */
  #levels: readonly number[] = [];

  /** `version`: a snapshot's id, or LIVE. */
  constructor(save: SaveVolume, space: number, version: number) {
    this.#save = save;
    this.#space = space;
    this.#version = version;
  }

  /** Finds out which levels exist (Z2). Call it before the first look-up. */
  async load(): Promise<void> {
    const levels: number[] = [];
    for (const level of LEVELS) {
      const from = atLevel(level, this.#version);
      const to = atLevel(level, LIVE) + 1;
      if (await this.#save.map.hasVersions(this.#space, from, to)) levels.push(level);
    }
    this.expect(levels);
  }

  /** True while there is no span at all. */
  get none(): boolean {
    return this.#levels.length === 0;
  }

  /** Notes that spans of these levels are being made. */
  expect(levels: readonly number[]): void {
    this.#levels = LEVELS.filter((l) => this.#levels.includes(l) || levels.includes(l));
  }

  /** The block after the end of the longest span over `block`; 0 when there is none. */
  endOf(block: number): number | typeof MISS {
    let end = 0;
    for (const level of this.#levels) {
      const size = spanBlocks(level);
      const first = Math.floor(block / size) * size;
      const entry = this.#save.map.lookUp(this.#space, first, atLevel(level, this.#version));
      if (entry === MISS) return MISS;
      if (entry !== undefined && (entry.flags & ZERO) !== 0) end = first + size;
    }
    return end;
  }

  /** The same, bringing pages in as needed. */
  findEndOf(block: number): Promise<number> {
    return this.#save.map.withPages(() => this.endOf(block));
  }
}
