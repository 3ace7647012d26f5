/**
 * Dependants: what stands on a snapshot, and so keeps it: branches based on it, kept states of
 * branches that were, restores that read it. Told by reference, so that a refusal says what is in
 * the way.
 */
import type { StoredSpace } from '@palimpsest/rw-snapshot';
import { storedObjects } from '@palimpsest/save-volume';
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
  return storedObjects(context.save, undefined).flatMap(({ id, object }) => {
    const stands = object.base?.snapshot === snapshot || object.needs?.includes(snapshot);
    if (stands !== true) return [];
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
  const { volumes, branches } = context.index.everything();
  const branch = branches.find((each) => each.id === id);
  const volume = volumes.find((each) => each.id === branch?.volume);
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
  const found = context.index.everything().volumes.find((each) => each.id === volume);
  return `the restore of ${found === undefined ? 'a volume' : volumeAttributes(found).name}`;
}
