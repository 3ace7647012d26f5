/**
 * FollowedIndex: a store's index (I1..I3, store-index.ts) that is read from the engine's objects when
 * it is first asked for, and follows each commit that changes one. The objects are the only truth.
 */
import type { SnapshotRecord, VolumeRecord } from '@palimpsest/ro-snapshot';
import {
  type BranchRecord,
  branchRecord,
  lineageOf,
  type StoredSpace,
} from '@palimpsest/rw-snapshot';
import { ById, type SaveVolume, type StoredObject, storedObject } from '@palimpsest/save-volume';
import { OwnSnapshots } from './own-snapshots.js';
import { branchAttributes, isRemoved, volumeAttributes } from './records.js';
import type { OwnedSnapshot, RemovedThing, StoreIndex } from './store-index.js';

type Known =
  | { readonly kind: 'volume'; readonly name: string }
  | { readonly kind: 'branch'; readonly record: BranchRecord }
  | { readonly kind: 'snapshot'; readonly owner: number };

/** The branches of a volume that are not deleted. */
class NamedBranches {
  readonly byId = new ById<BranchRecord>();
  readonly byName = new Map<string, BranchRecord>();
}

/** See the file header. */
export class FollowedIndex implements StoreIndex {
  readonly #save: SaveVolume;
  readonly #changed: Set<number>;
  readonly #known = new Map<number, Known>();
  readonly #volumes = new ById<VolumeRecord>();
  readonly #allVolumes = new ById<VolumeRecord>();
  readonly #volumeNames = new Map<string, number>();
  readonly #branches = new ById<BranchRecord>();
  readonly #allBranches = new ById<BranchRecord>();
  /** By volume; by the snapshot they are based on. */
  readonly #branchesOf = new Map<number, NamedBranches>();
  readonly #branchesOn = new Map<number, ById<BranchRecord>>();
  /** By volume or branch. */
  readonly #snapshots = new Map<number, OwnSnapshots>();
  readonly #removed = new Set<number>();

  constructor(save: SaveVolume) {
    this.#save = save;
    this.#changed = new Set(save.objects().map(({ id }) => id));
    save.watchObjects((id) => this.#changed.add(id));
  }

  volumes(): readonly VolumeRecord[] {
    this.#follow();
    const names = [...this.#volumeNames.keys()].sort();
    return names.flatMap((name) => this.volumeNamed(name) ?? []);
  }

  volumeNamed(name: string): VolumeRecord | undefined {
    this.#follow();
    const id = this.#volumeNames.get(name);
    return id === undefined ? undefined : this.#volumes.get(id);
  }

  volumeWithId(id: number): VolumeRecord | undefined {
    this.#follow();
    return this.#volumes.get(id);
  }

  branches(): readonly BranchRecord[] {
    this.#follow();
    return this.#branches.list();
  }

  branchesOf({ id }: VolumeRecord): readonly BranchRecord[] {
    this.#follow();
    return this.#branchesOf.get(id)?.byId.list() ?? [];
  }

  branchNamed({ id }: VolumeRecord, name: string): BranchRecord | undefined {
    this.#follow();
    return this.#branchesOf.get(id)?.byName.get(name);
  }

  branchWithId(id: number): BranchRecord | undefined {
    this.#follow();
    return this.#branches.get(id);
  }

  branchesOn(snapshot: number): readonly BranchRecord[] {
    this.#follow();
    return this.#branchesOn.get(snapshot)?.list() ?? [];
  }

  snapshotNamed({ id }: { readonly id: number }, name: string): SnapshotRecord | undefined {
    return this.#snapshotsOf(id)?.named(name);
  }

  youngestSnapshot({ id }: { readonly id: number }): SnapshotRecord | undefined {
    return this.#snapshotsOf(id)?.youngest;
  }

  snapshotWithId(id: number): OwnedSnapshot | undefined {
    this.#follow();
    const known = this.#known.get(id);
    if (known?.kind !== 'snapshot') return undefined;
    const snapshot = this.#snapshots.get(known.owner)?.get(id);
    const branch = this.#allBranches.get(known.owner);
    const volume = this.#volumes.get(branch?.volume ?? known.owner);
    if (snapshot === undefined || volume === undefined) return undefined;
    return { volume, ...(branch === undefined ? {} : { branch }), snapshot };
  }

  anyVolume(id: number): VolumeRecord | undefined {
    this.#follow();
    return this.#allVolumes.get(id);
  }

  anyBranch(id: number): BranchRecord | undefined {
    this.#follow();
    return this.#allBranches.get(id);
  }

  removed(): readonly RemovedThing[] {
    this.#follow();
    const things = [...this.#removed].sort((a, b) => a - b).flatMap((id) => this.#thing(id) ?? []);
    return things.sort((a, b) => removedAt(a) - removedAt(b));
  }

  everything(): ReturnType<StoreIndex['everything']> {
    this.#follow();
    return { volumes: this.#allVolumes.list(), branches: this.#allBranches.list() };
  }

  #thing(id: number): RemovedThing | undefined {
    const known = this.#known.get(id);
    if (known?.kind === 'volume') {
      const volume = this.#allVolumes.get(id);
      return volume && { kind: 'volume', volume };
    }
    if (known?.kind === 'branch') {
      const branch = this.#allBranches.get(id);
      const volume = branch && this.#allVolumes.get(branch.volume);
      return volume && { kind: 'branch', volume, branch };
    }
    const found = this.snapshotWithId(id);
    return found && { kind: 'snapshot', ...found };
  }

  // ---- Following -----------------------------------------------------------------------------

  #follow(): void {
    for (const id of this.#changed) {
      const object = storedObject(this.#save, undefined, id);
      this.#forget(id);
      if (object !== undefined) this.#note(id, object);
      this.#changed.delete(id);
    }
  }

  #note(id: number, object: StoredObject): void {
    if (object.type === 'volume') this.#noteVolume(id, object);
    else if (object.type === 'branch') this.#noteBranch(id);
    else if (object.type === 'space') {
      this.#renew((object as StoredSpace).branch);
    } else if (object.type === 'snapshot' && object.deleting !== true) {
      this.#noteSnapshot(id, object);
    }
  }

  #noteVolume(id: number, object: StoredObject): void {
    const { attributes } = object;
    const { size } = object as StoredObject & { readonly size: number };
    const record = { id, size, attributes };
    const shown = withSnapshots(record, () => this.#snapshotsOf(id)?.shown);
    const { name } = volumeAttributes(shown);
    this.#volumes.set(shown);
    this.#allVolumes.set(withSnapshots(record, () => this.#snapshotsOf(id)?.all));
    this.#volumeNames.set(name, id);
    this.#known.set(id, { kind: 'volume', name });
    if (isRemoved(record)) this.#removed.add(id);
  }

  #noteBranch(id: number): void {
    const save = this.#save;
    const { snapshots: _, depth: __, ...record } = branchRecord(save, id, []);
    // What lies beneath may be flattened, which changes no object of this branch.
    const depth = (): number => lineageOf(save, record.space).length;
    const shown = withDepth(
      withSnapshots(record, () => this.#snapshotsOf(id)?.shown),
      depth,
    );
    const all = withDepth(
      withSnapshots(record, () => this.#snapshotsOf(id)?.all),
      depth,
    );
    const { name } = branchAttributes(shown);
    this.#allBranches.set(all);
    this.#known.set(id, { kind: 'branch', record: shown });
    if (isRemoved(record)) {
      this.#removed.add(id);
      return;
    }
    this.#branches.set(shown);
    const siblings = this.#branchesOf.get(record.volume) ?? new NamedBranches();
    this.#branchesOf.set(record.volume, siblings);
    siblings.byId.set(shown);
    siblings.byName.set(name, shown);
    if (record.base === null) return;
    const others = this.#branchesOn.get(record.base.snapshot) ?? new ById<BranchRecord>();
    this.#branchesOn.set(record.base.snapshot, others);
    others.set(shown);
  }

  #noteSnapshot(id: number, object: StoredObject): void {
    const { attributes, volume = 0 } = object;
    const { size } = object as StoredObject & { readonly size: number };
    const owner = storedObject<StoredSpace>(this.#save, 'space', volume)?.branch ?? volume;
    const record = { id, size, attributes };
    const own = this.#snapshots.get(owner) ?? new OwnSnapshots();
    this.#snapshots.set(owner, own);
    own.put(record);
    this.#known.set(id, { kind: 'snapshot', owner });
    if (isRemoved(record)) this.#removed.add(id);
  }

  #forget(id: number): void {
    const known = this.#known.get(id);
    this.#known.delete(id);
    this.#removed.delete(id);
    if (known?.kind === 'volume') {
      this.#volumes.delete(id);
      this.#allVolumes.delete(id);
      if (this.#volumeNames.get(known.name) === id) this.#volumeNames.delete(known.name);
    } else if (known?.kind === 'branch') this.#forgetBranch(id, known.record);
    else if (known?.kind === 'snapshot') {
      const own = this.#snapshots.get(known.owner);
      own?.delete(id);
      if (own?.isEmpty === true) this.#snapshots.delete(known.owner);
    }
  }

  #forgetBranch(id: number, record: BranchRecord): void {
    this.#branches.delete(id);
    this.#allBranches.delete(id);
    const siblings = this.#branchesOf.get(record.volume);
    siblings?.byId.delete(id);
    const { name } = branchAttributes(record);
    if (siblings?.byName.get(name)?.id === id) siblings.byName.delete(name);
    if (siblings?.byId.size === 0) this.#branchesOf.delete(record.volume);
    const others = record.base === null ? undefined : this.#branchesOn.get(record.base.snapshot);
    others?.delete(id);
    if (others?.size === 0) this.#branchesOn.delete(record.base?.snapshot as number);
  }

  /** A branch's record tells of its space too: a change of that is one of the branch. */
  #renew(branch: number): void {
    if (storedObject(this.#save, 'branch', branch) !== undefined) this.#changed.add(branch);
  }

  #snapshotsOf(owner: number): OwnSnapshots | undefined {
    this.#follow(); // I3
    return this.#snapshots.get(owner);
  }
}

/** I3. */
function withSnapshots<Record extends object>(
  record: Record,
  snapshots: () => readonly SnapshotRecord[] | undefined,
): Record & { readonly snapshots: readonly SnapshotRecord[] } {
  return Object.defineProperty({ ...record }, 'snapshots', {
    enumerable: true,
    get: () => snapshots() ?? [],
  }) as Record & { readonly snapshots: readonly SnapshotRecord[] };
}

function withDepth<Record extends object>(
  record: Record,
  depth: () => number,
): Record & { readonly depth: number } {
  return Object.defineProperty(record, 'depth', { enumerable: true, get: depth }) as Record & {
    readonly depth: number;
  };
}

function removedAt(thing: RemovedThing): number {
  const { attributes } =
    thing.kind === 'volume'
      ? thing.volume
      : thing.kind === 'branch'
        ? thing.branch
        : thing.snapshot;
  return (attributes as { readonly removed?: { readonly at: number } }).removed?.at ?? 0;
}
