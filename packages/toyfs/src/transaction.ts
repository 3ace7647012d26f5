/**
 * Transaction: what operations have changed since the last commit began, to be durable together.
 */
import type { Block } from './block-cache.js';

/** A run of blocks. */
export interface Run {
  readonly start: number;
  readonly count: number;
}

/** What is collected until the next commit. */
export interface Transaction {
  readonly number: number;
  /** Changed blocks of metadata. */
  readonly blocks: Set<Block>;
  /** Freed blocks that may have images in the ring. */
  readonly revoked: Set<number>;
  readonly freed: Run[];
}

/** Told by the core when an operation ends badly, and when freed blocks may be used again. */
export interface CoreListener {
  /** The operation was good. */
  settled(): void;
  /** What the operation did beyond blocks is to be undone. */
  undone(): void;
  /** The blocks may be taken again (O3). */
  released(runs: readonly Run[]): void;
  /** Changes what every transaction ends with: totals in the superblock. Runs as an operation. */
  closing(): void;
}

/** A transaction in which nothing was done yet. */
export function emptyTransaction(number: number): Transaction {
  return { number, blocks: new Set(), revoked: new Set(), freed: [] };
}

/** Runs in order, with neighbours joined. */
export function mergeRuns(runs: readonly Run[]): Run[] {
  const merged: { start: number; count: number }[] = [];
  for (const { start, count } of [...runs].sort((a, b) => a.start - b.start)) {
    const last = merged.at(-1);
    if (last !== undefined && last.start + last.count === start) last.count += count;
    else merged.push({ start, count });
  }
  return merged;
}
