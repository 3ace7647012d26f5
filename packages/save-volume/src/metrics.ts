/**
 * Metrics: what a save volume did since it was opened. Plain additions on the way, nothing more.
 */

/** Numbers that only grow. Bytes are those handed to the device. */
export interface SaveVolumeMetrics {
  /** Records written: one a commit. */
  readonly commits: number;
  readonly checkpoints: number;
  /** Entries of the map that records set, moved or took out. */
  readonly entries: number;
  /** Flushes of the device. */
  readonly flushes: number;
  /** Saved blocks and branch blocks. */
  readonly dataBytes: number;
  readonly journalBytes: number;
  /** Map pages, lists, bit maps and superblocks, which checkpoints write. */
  readonly mapBytes: number;
  readonly allocatedBlocks: number;
  readonly freedBlocks: number;
  /** Times that the device grew. */
  readonly growths: number;
  /** Free space that the device was told of. */
  readonly discardedBytes: number;
}

/** The numbers that the save volume counts itself. */
export type Counters = {
  -readonly [Name in Exclude<
    keyof SaveVolumeMetrics,
    'allocatedBlocks' | 'freedBlocks'
  >]: SaveVolumeMetrics[Name];
};

/** All zero. */
export function newCounters(): Counters {
  return {
    commits: 0,
    checkpoints: 0,
    entries: 0,
    flushes: 0,
    dataBytes: 0,
    journalBytes: 0,
    mapBytes: 0,
    growths: 0,
    discardedBytes: 0,
  };
}
