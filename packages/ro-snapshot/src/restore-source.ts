/**
 * RestoreSource: what a restore reads from: a snapshot of the volume itself, or a snapshot of a
 * branch, whose own blocks lie over a snapshot of the volume (its root).
 */
import type { Completion } from '@palimpsest/block-device';

/** Names a snapshot: of a production volume, or of a branch by the id of its space. */
export interface SnapshotReference {
  readonly volume: number;
  readonly snapshot: number;
}

/** Content that a production volume can be restored to. It never changes and is read only. */
export interface RestoreSource {
  readonly ref: SnapshotReference;
  /**
   * The snapshot of the restored volume that the content is, or is based on in the end. What the
   * volume changed since is compared by the restore itself; the source speaks of the rest. 0 for a
   * source that stands on nothing: then every block may differ.
   */
  readonly root: number;
  /** Bytes. */
  readonly size: number;
  /** Fills `target`, whole blocks of the store, with the bytes at `position`. */
  readInto(target: Uint8Array, position: number): Completion;
  /**
   * The first `limit` blocks from `from` on (and below `before`, when given) that may differ from
   * the root, in order; fewer only when there are no more. More than the limit may come. None lies
   * beyond the end of the source but where it stands on nothing.
   */
  nextDiffering(from: number, limit: number, before?: number): Promise<readonly number[]>;
  /**
   * No fewer than the blocks that `nextDiffering` tells of in all, found without looking at each: a
   * restore starts at once however many there are. Not asked of a source that stands on nothing.
   */
  countDiffering(): Promise<number>;
  /** Called once nothing is restored from it any more, also when the restore does not start. */
  close?(): void;
}

/** A running restore, as listed. */
export interface RestoreProgress {
  /** Unique in the store. */
  readonly id: number;
  readonly source: SnapshotReference;
  /** The snapshot of the state before. */
  readonly undo: number;
  /** Blocks that hold what they should. */
  readonly doneBlocks: number;
  /** About how many there are to do in all; at least `doneBlocks`. */
  readonly totalBlocks: number;
  readonly attributes: Readonly<Record<string, unknown>>;
}
