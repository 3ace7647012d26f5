/**
 * What the policy `drop-oldest` drops: as few snapshots as give space back, oldest first.
 *
 *   FC1 A snapshot goes only when its going, with that of older ones of its space that go too, gives
 *       blocks back. The oldest may share all it has with the next: then both go, or neither.
 *   FC2 One that only another volume's or branch's space would be helped by stays.
 */
import { gainOfDeleting } from '@palimpsest/rw-snapshot';
import type { SaveVolume } from '@palimpsest/save-volume';

/** A snapshot that may be dropped. */
export interface Droppable {
  /** The engine's id. */
  readonly id: number;
  /** What it is a snapshot of: a volume, or what a branch has of its own. */
  readonly space: number;
}

/** What to drop, and what comes back. */
export interface Drops<Candidate> {
  /** Oldest first; empty when no choice gives anything back. */
  readonly snapshots: readonly Candidate[];
  readonly bytes: number;
}

/** Chooses among `candidates`, oldest first. Exact as of the last commit. */
export async function chooseDrops<Candidate extends Droppable>(
  save: SaveVolume,
  candidates: readonly Candidate[],
): Promise<Drops<Candidate>> {
  const bySpace = new Map<number, Candidate[]>();
  for (const candidate of candidates) {
    const snapshots = bySpace.get(candidate.space) ?? [];
    bySpace.set(candidate.space, snapshots);
    snapshots.push(candidate);
    const bytes = await gainOfDeleting(
      save,
      snapshots.map(({ id }) => id),
    );
    if (bytes > 0) return { snapshots, bytes }; // FC1, FC2
  }
  return { snapshots: [], bytes: 0 };
}
