/** Whose the saved blocks are, and what deleting things gives back, by reference. */
import type { SnapshotRecord, StoredSnapshot } from '@palimpsest/ro-snapshot';
import { gainOfDeleting, usageOfSpace, type VersionUsage } from '@palimpsest/rw-snapshot';
import { LIVE, storedObject } from '@palimpsest/save-volume';
import type { Found } from './catalog.js';
import { find } from './catalog.js';
import type { StoreContext } from './context.js';
import type { DeletionGain, SpaceInfo } from './exchange-types.js';
import { branchAttributes, snapshotAttributes, volumeAttributes } from './records.js';
import { branchReference, snapshotReference } from './references.js';

/** Something that space is counted for. */
interface Counted {
  readonly reference: string;
  readonly kind: SpaceInfo['kind'];
  readonly id: number;
  readonly size: number;
  /** The space of the block map and the version; none of production's present, which is the image. */
  readonly at?: { readonly space: number; readonly version: number };
  readonly quotaBytes?: number;
}

/** See `ExchangeVerbs.spaceOf`. */
export async function spaceInfos(
  context: StoreContext,
  references: readonly string[] | undefined,
): Promise<SpaceInfo[]> {
  const counted = selected(context, references);
  await context.save.commit();
  const usages = new Map<number, ReadonlyMap<number, VersionUsage>>();
  const infos: SpaceInfo[] = [];
  for (const { reference, kind, size, at, quotaBytes } of counted) {
    context.assertGoingOn();
    let usage: VersionUsage | undefined;
    if (at !== undefined) {
      let versions = usages.get(at.space);
      if (versions === undefined) {
        const list = await usageOfSpace(context.save, at.space);
        versions = new Map(list.map((each) => [each.version, each]));
        usages.set(at.space, versions);
      }
      usage = versions.get(at.version);
    }
    infos.push({
      reference,
      kind,
      logicalBytes: size,
      sharedBytes: usage?.sharedBytes ?? 0,
      exclusiveBytes: usage?.exclusiveBytes ?? 0,
      ...(quotaBytes === undefined ? {} : { quotaBytes }),
    });
  }
  return infos;
}

/** See `ExchangeVerbs.deletionGain`. */
export async function deletionGain(
  context: StoreContext,
  references: readonly string[],
): Promise<DeletionGain> {
  const { index, environment, save } = context;
  const goes = new Map<number, Counted>();
  for (const text of references) {
    const found = find(index, text, environment.now());
    const whole =
      found.kind === 'volume' ? everythingOf(context, found) : [countedOf(context, found)];
    for (const each of whole) goes.set(each.id, each);
  }
  const things = [...goes.values()];
  await save.commit();
  const bytes = await gainOfDeleting(
    save,
    things.filter(({ kind }) => kind !== 'volume').map(({ id }) => id),
  );
  return { references: things.map(({ reference }) => reference), bytes };
}

/** Everything, or what is named with all that hangs on it; each once, in order. */
function selected(context: StoreContext, references: readonly string[] | undefined): Counted[] {
  const { index, environment } = context;
  const texts = references ?? index.volumes().map((volume) => volumeAttributes(volume).name);
  const things = new Map<number, Counted>();
  for (const text of texts) {
    for (const each of everythingOf(context, find(index, text, environment.now()))) {
      things.set(each.id, each);
    }
  }
  return [...things.values()];
}

function everythingOf(context: StoreContext, found: Found): Counted[] {
  const { index } = context;
  if (found.kind === 'snapshot') return [countedOf(context, found)];
  const snapshots = (reference: string, records: readonly SnapshotRecord[]): Counted[] =>
    records.map((snapshot) =>
      countedSnapshot(
        context,
        snapshotReference(reference, snapshotAttributes(snapshot).name),
        snapshot,
      ),
    );
  if (found.kind === 'branch') {
    return [countedOf(context, found), ...snapshots(found.reference, found.branch.snapshots)];
  }
  const { name } = volumeAttributes(found.volume);
  return [
    countedOf(context, found),
    ...snapshots(name, found.volume.snapshots),
    ...index.branchesOf(found.volume).flatMap((branch) => {
      const reference = branchReference(name, branchAttributes(branch).name);
      return everythingOf(context, { kind: 'branch', reference, volume: found.volume, branch });
    }),
  ];
}

function countedOf(context: StoreContext, found: Found): Counted {
  const { reference, kind } = found;
  if (found.kind === 'snapshot') return countedSnapshot(context, reference, found.snapshot);
  if (found.kind === 'volume') {
    return { reference, kind, id: found.volume.id, size: found.volume.size };
  }
  const { id, size, space, quotaBytes } = found.branch;
  const quota = quotaBytes === undefined ? {} : { quotaBytes };
  return { reference, kind, id, size, at: { space, version: LIVE }, ...quota };
}

function countedSnapshot(
  { save }: StoreContext,
  reference: string,
  { id, size }: SnapshotRecord,
): Counted {
  const stored = storedObject<StoredSnapshot>(save, 'snapshot', id);
  const at = stored === undefined ? {} : { at: { space: stored.volume, version: id } };
  return { reference, kind: 'snapshot', id, size, ...at };
}
