/** The source of a restore that is a snapshot of a branch. */
import type { ProductionVolume, RestoreSource, SnapshotReference } from '@palimpsest/ro-snapshot';
import { branchRestoreSource } from '@palimpsest/rw-snapshot';
import type { SaveVolume } from '@palimpsest/save-volume';

/** Opens it on its volume; also when a store is opened with the restore under way. */
export function openSource(
  save: SaveVolume,
  ref: SnapshotReference,
  production: ProductionVolume,
): Promise<RestoreSource> {
  return branchRestoreSource(save, ref.snapshot, ({ snapshot }) =>
    production.openSnapshot(snapshot),
  );
}
