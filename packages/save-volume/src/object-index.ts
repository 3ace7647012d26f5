/**
 * ObjectIndex: the objects of a store by type, by what they are of, and by which snapshots they need;
 * in order of id. So finding the few of one kind does not cost a look at all of ten thousand, and
 * neither does adding one.
 *
 *   OI1 A list that was handed out never changes (BI1).
 *   OI2 Objects are parsed when a list is asked for, so that a damaged one fails its reader, not the
 *       commit that changed it.
 */
import { ById } from './by-id.js';

/** An object with its id. */
export interface Indexed<Shape> {
  readonly id: number;
  readonly object: Shape;
}

/** Where the objects come from. */
export interface ObjectSource {
  object(id: number): Uint8Array | undefined;
  objects(): readonly { readonly id: number }[];
  watchObjects(hear: (id: number) => void): void;
}

/** What the index goes by. */
export interface Reading<Shape> {
  parse(id: number, bytes: Uint8Array): Shape;
  /** The object that this one is of. */
  ownerOf(object: Shape): number | undefined;
  /** The snapshots that it needs. */
  needsOf(object: Shape): readonly number[];
}

/** See the file header. */
export class ObjectIndex<Shape extends { readonly type: string }> {
  readonly #source: ObjectSource;
  readonly #reading: Reading<Shape>;
  readonly #all = new ById<Indexed<Shape>>();
  /** By type; and by type and owner. */
  readonly #groups = new Map<string, ById<Indexed<Shape>>>();
  /** By the id of a snapshot, the ids of those that need it. */
  readonly #needing = new Map<number, Set<number>>();
  /** Changed since they were last put into lists. */
  readonly #changed: Set<number>;

  constructor(source: ObjectSource, reading: Reading<Shape>) {
    this.#source = source;
    this.#reading = reading;
    this.#changed = new Set(source.objects().map(({ id }) => id));
    source.watchObjects((id) => this.#changed.add(id));
  }

  /** Objects of one type, or of all, in order of id. */
  list(type: string | undefined): readonly Indexed<Shape>[] {
    this.#follow();
    if (type === undefined) return this.#all.list();
    return this.#groups.get(type)?.list() ?? [];
  }

  /** Objects of one type that are of one other object. */
  listOf(type: string, owner: number): readonly Indexed<Shape>[] {
    this.#follow();
    return this.#groups.get(groupOf(type, owner))?.list() ?? [];
  }

  /** Objects that need a snapshot, in order of id. */
  needing(snapshot: number): readonly Indexed<Shape>[] {
    this.#follow();
    const ids = [...(this.#needing.get(snapshot) ?? [])].sort((a, b) => a - b);
    return ids.map((id) => this.#all.get(id) as Indexed<Shape>);
  }

  #follow(): void {
    for (const id of this.#changed) {
      const bytes = this.#source.object(id);
      const object = bytes === undefined ? undefined : this.#reading.parse(id, bytes);
      const before = this.#all.get(id);
      const now = object === undefined ? undefined : { id, object };
      this.#regroup(id, before?.object, now);
      this.#changed.delete(id);
    }
  }

  #regroup(id: number, before: Shape | undefined, now: Indexed<Shape> | undefined): void {
    if (before !== undefined) {
      for (const snapshot of this.#reading.needsOf(before)) this.#forgetNeed(snapshot, id);
      for (const name of this.#groupsOf(before)) {
        const group = this.#groups.get(name);
        group?.delete(id);
        if (group?.size === 0) this.#groups.delete(name);
      }
    }
    if (now === undefined) {
      this.#all.delete(id);
      return;
    }
    this.#all.set(now);
    for (const name of this.#groupsOf(now.object)) {
      const group = this.#groups.get(name) ?? new ById<Indexed<Shape>>();
      group.set(now);
      this.#groups.set(name, group);
    }
    for (const snapshot of this.#reading.needsOf(now.object)) {
      const ids = this.#needing.get(snapshot) ?? new Set();
      this.#needing.set(snapshot, ids.add(id));
    }
  }

  #forgetNeed(snapshot: number, id: number): void {
    const ids = this.#needing.get(snapshot);
    ids?.delete(id);
    if (ids?.size === 0) this.#needing.delete(snapshot);
  }

  #groupsOf(object: Shape): string[] {
    const owner = this.#reading.ownerOf(object);
    return owner === undefined ? [object.type] : [object.type, groupOf(object.type, owner)];
  }
}

const groupOf = (type: string, owner: number): string => `${type} of ${owner}`;
