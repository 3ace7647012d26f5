/**
 * Dependants: what stands on a snapshot, and so keeps it: branches based on it, kept states of
 * branches that were, restores that read it. Told by reference, so that a refusal says what is in
 * the way.
 */
import type { StoredSpace } from '@palimpsest/rw-snapshot';
import { storedDependants } from '@palimpsest/save-volume';
import type { StoreContext } from './context.js';
import { branchAttributes, isRemoved, snapshotAttributes, volumeAttributes } from './records.js';
import { branchReference } from './references.js';

/** One of them. */
export interface Dependant {
  /** For people. */
  readonly reference: string;
  /** Deleted already, though it can still be had back: no reason to refuse, but one to wait. */
  readonly isRemoved: boolean;
}

/**
 * What needs the snapshot; empty when it can go. What a branch needs of itself does not count when
 * that branch is `except`.
 */
export function dependantsOf(
  context: StoreContext,
  snapshot: number,
  except?: number,
): readonly Dependant[] {
  return storedDependants(context.save, snapshot).flatMap(({ id, object }) => {
    if (object.type !== 'space') {
      return [{ reference: nameOfRestore(context, object), isRemoved: false }];
    }
    const space = object as StoredSpace;
    return space.branch === except ? [] : [dependantSpace(context, id, space)];
  });
}

function dependantSpace(
  context: StoreContext,
  space: number,
  { branch: id }: StoredSpace,
): Dependant {
  const branch = context.index.anyBranch(id);
  const volume = branch && context.index.anyVolume(branch.volume);
  if (branch === undefined || volume === undefined) {
    return { reference: 'a branch that is being deleted', isRemoved: true };
  }
  const name = branchReference(volumeAttributes(volume).name, branchAttributes(branch).name);
  if (isRemoved(branch)) return { reference: `${name} (deleted)`, isRemoved: true };
  if (branch.space === space) return { reference: name, isRemoved: false };
  // A state that a refresh replaced: what is left of it are its snapshots.
  const kept = branch.snapshots.filter((each) => context.spaceOf(each.id) === space);
  const shown = kept.filter((each) => !isRemoved(each));
  const listed = shown.map((each) => `${name}@${snapshotAttributes(each).name}`).join(', ');
  return { reference: listed || `${name} (an older state)`, isRemoved: shown.length === 0 };
}

function nameOfRestore(context: StoreContext, object: object): string {
  const { volume } = object as { readonly volume?: number };
  const found = context.index.anyVolume(volume ?? 0);
  return `the restore of ${found === undefined ? 'a volume' : volumeAttributes(found).name}`;
}
