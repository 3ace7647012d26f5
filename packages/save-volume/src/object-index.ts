/**
 * ObjectIndex: the objects of a store by type, in order of id, so that finding the few of one kind
 * does not cost a look at all of ten thousand.
 *
 *   OI1 A list that was handed out never changes: the next change makes another.
 *   OI2 Objects are parsed when a list is asked for, so that a damaged one fails its reader, not the
 *       commit that changed it.
 */

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

/** See the file header. */
export class ObjectIndex<Shape extends { readonly type: string }> {
  readonly #source: ObjectSource;
  readonly #parse: (id: number, bytes: Uint8Array) => Shape;
  readonly #lists = new Map<string | undefined, Indexed<Shape>[]>();
  readonly #types = new Map<number, string>();
  /** Changed since they were last put into lists. */
  readonly #changed: Set<number>;

  constructor(source: ObjectSource, parse: (id: number, bytes: Uint8Array) => Shape) {
    this.#source = source;
    this.#parse = parse;
    this.#changed = new Set(source.objects().map(({ id }) => id));
    source.watchObjects((id) => this.#changed.add(id));
  }

  /** Objects of one type, or of all, in order of id. */
  list(type: string | undefined): readonly Indexed<Shape>[] {
    if (this.#changed.size > 0) this.#follow();
    return this.#lists.get(type) ?? [];
  }

  #follow(): void {
    const copied = new Set<string | undefined>();
    const listOf = (type: string | undefined): Indexed<Shape>[] => {
      let list = this.#lists.get(type) ?? [];
      if (!copied.has(type)) list = [...list]; // OI1
      copied.add(type);
      this.#lists.set(type, list);
      return list;
    };
    for (const id of this.#changed) {
      const bytes = this.#source.object(id);
      const object = bytes === undefined ? undefined : this.#parse(id, bytes);
      const before = this.#types.get(id);
      if (before !== undefined && before !== object?.type) put(listOf(before), id, undefined);
      if (object !== undefined) put(listOf(object.type), id, object);
      if (object !== undefined || before !== undefined) put(listOf(undefined), id, object);
      if (object === undefined) this.#types.delete(id);
      else this.#types.set(id, object.type);
      this.#changed.delete(id);
    }
  }
}

/** Puts an object where it belongs, or takes it out. New ids are the highest, so at the end. */
function put<Shape>(list: Indexed<Shape>[], id: number, object: Shape | undefined): void {
  let low = 0;
  let high = list.length;
  const last = list.at(-1);
  if (last === undefined || last.id < id) low = high;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((list[middle] as Indexed<Shape>).id < id) low = middle + 1;
    else high = middle;
  }
  const found = list[low]?.id === id ? 1 : 0;
  if (object === undefined) list.splice(low, found);
  else if (found === 1) list[low] = { id, object };
  else list.splice(low, 0, { id, object });
}
