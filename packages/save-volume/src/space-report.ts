/**
 * Space: how it is used, and a watch that tells when the use crosses a threshold.
 */

/** What the space of a save volume is used for, in bytes. */
export interface SpaceReport {
  readonly totalBytes: number;
  readonly usedBytes: number;
  readonly freeBytes: number;
  /** Pages of the block map, part of `usedBytes`. */
  readonly mapBytes: number;
  /** How many entries the block map has, in its pages and in the journal. */
  readonly mapEntries: number;
  /** What of the journal, all of which is part of `usedBytes`, holds commits since the last checkpoint. */
  readonly journalBytes: number;
  /** Kept back so that deleting and checkpoints always work, part of `freeBytes`. */
  readonly reservedBytes: number;
  /** Set aside for work that must be able to end (`setAside`), part of `reservedBytes`. */
  readonly earmarkedBytes: number;
  /** Held in memory, not committed yet. */
  readonly dirtyBytes: number;
  /** What the save volume may grow to; `undefined` when nothing but its device limits it. */
  readonly maximumBytes: number | undefined;
  /** False when it was found that the device cannot grow, or may not. */
  readonly canGrow: boolean;
}

/** The use of space has crossed a threshold. */
export interface SpaceCrossing {
  /** The threshold, in percent. */
  readonly percent: number;
  /** True on the way up. */
  readonly rising: boolean;
  readonly report: SpaceReport;
}

/**
 * Percent of the space in use, of what there may be at most. `undefined` while the save volume grows
 * as it needs and no limit is known: then nothing is filling up.
 */
export function usedPercent({
  usedBytes,
  reservedBytes,
  totalBytes,
  maximumBytes,
  canGrow,
}: SpaceReport): number | undefined {
  if (maximumBytes === undefined && canGrow) return undefined;
  const most = Math.max(totalBytes, canGrow ? (maximumBytes ?? 0) : 0);
  return Math.min(100, ((usedBytes + reservedBytes) / most) * 100);
}

/** Tells its listener of each threshold that is crossed, once a crossing. */
export class SpaceWatch {
  readonly #tell: ((crossing: SpaceCrossing) => void) | undefined;
  #percents: readonly number[];
  #last = 0;

  constructor(percents: readonly number[], tell: ((crossing: SpaceCrossing) => void) | undefined) {
    this.#percents = percents;
    this.#tell = tell;
  }

  /** Other thresholds from now on; one that is passed already is told at once. */
  set(percents: readonly number[], report: SpaceReport): void {
    this.#percents = percents;
    this.#last = 0;
    this.look(report);
  }

  /** Compares the use with what it was. */
  look(report: SpaceReport): void {
    if (this.#tell === undefined) return;
    const now = usedPercent(report) ?? 0;
    const before = this.#last;
    this.#last = now;
    for (const percent of this.#percents) {
      if (before < percent && now >= percent) this.#tell({ percent, rising: true, report });
      if (before >= percent && now < percent) this.#tell({ percent, rising: false, report });
    }
  }
}
