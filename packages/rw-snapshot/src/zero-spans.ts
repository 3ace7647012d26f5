/**
 * ZeroSpans: large aligned runs of a branch that were zeroed or discarded, one entry of the block map
 * each, so that discarding a whole disk costs a few entries and not one a block.
 *
 *   level   1: 512 blocks      2: 512 x 512 blocks      3: 512 x 512 x 512 blocks
 *   entry   (branch, first block of the span, LIVE at that level), flagged as zeros
 *
 *   Z1  A block of its own always counts more than a span over it: whatever a span covers when it is
 *       made is taken out of the map by the same operation, so what is found there is newer.
 *   Z2  Which levels exist is known without looking at a block, so that branches without spans, which
 *       is most of them, pay nothing.
 */
import { atLevel, LIVE, levelOf, MISS, type SaveVolume } from '@palimpsest/save-volume';

const FAN_OUT = 512;
const LEVELS = [3, 2, 1] as const;

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
    const level = LEVELS.find(
      (l) => at % spanBlocks(l) === 0 && at + spanBlocks(l) <= end,
    ) as number;
    spans.push({ first: at, level });
    at += spanBlocks(level);
  }
  return spans;
}

/** See the file header. */
export class ZeroSpans {
  readonly #save: SaveVolume;
  readonly #branch: number;
  /** Levels of which there may be spans, largest first. */
  #levels: readonly number[] = [];

  constructor(save: SaveVolume, branch: number) {
    this.#save = save;
    this.#branch = branch;
  }

  /** Finds out which levels exist (Z2). Call it before the first look-up. */
  async load(): Promise<void> {
    const levels: number[] = [];
    for (const level of LEVELS) {
      const [some] = await this.#save.map.listSaved(this.#branch, atLevel(level, LIVE), 0, 1);
      if (some !== undefined) levels.push(level);
    }
    this.#levels = levels;
  }

  /** True while the branch has no span at all. */
  get none(): boolean {
    return this.#levels.length === 0;
  }

  /** Notes that spans of these levels are being made. */
  expect(spans: readonly Span[]): void {
    this.#levels = LEVELS.filter(
      (level) => this.#levels.includes(level) || spans.some((span) => span.level === level),
    );
  }

  /** The block after the end of the longest span over `block`; 0 when there is none. */
  endOf(block: number): number | typeof MISS {
    for (const level of this.#levels) {
      const size = spanBlocks(level);
      const first = Math.floor(block / size) * size;
      const entry = this.#save.map.lookUp(this.#branch, first, atLevel(level, LIVE));
      if (entry === MISS) return MISS;
      if (entry !== undefined) return first + spanBlocks(levelOf(entry.version));
    }
    return 0;
  }

  /** The same, bringing pages in as needed. */
  async findEndOf(block: number): Promise<number> {
    for (;;) {
      const end = this.endOf(block);
      if (end !== MISS) return end;
      await this.#save.map.fetch();
    }
  }
}
