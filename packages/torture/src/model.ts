/**
 * Model: what a store must hold, as plain arrays of write numbers, one a sector. It is told when an
 * operation was asked for and when it was answered, and says at any instant what may be read, now
 * and after a crash. It knows nothing of how a store works.
 *
 *   B1  A sector may hold any write that no durable later write has superseded (R1, R2); a write
 *       supersedes another when it was asked for after the other was answered.
 *   B2  A flush makes durable what was answered before it was asked for, once it is answered.
 *   B3  A snapshot is there when it was answered, and may be when it was asked for; its content is
 *       that of one instant and never changes (R4, R5). The same holds of branches, whose content
 *       at first is their snapshot's.
 *   B4  What was refused has changed nothing outside its range, and in it each sector is old or new.
 */

/** What has become of something that was to be made. */
const PRESENCE: Readonly<Record<Result, Presence>> = {
  done: 'there',
  refused: 'gone',
  weak: 'gone',
  unknown: 'coming',
};
const NEVER = Number.POSITIVE_INFINITY;

/** A write that a sector may hold. Times are numbers of events. */
interface Candidate {
  readonly id: number;
  readonly asked: number;
  answered: number;
  /** Refused, or a discard that may have done nothing: possible, but it supersedes nothing. */
  weak: boolean;
}

/** A volume's or branch's sectors, each with what it may hold, in the order asked for. */
interface Space {
  readonly sectors: Candidate[][];
}

/** Whether something exists. */
export type Presence = 'coming' | 'there' | 'going' | 'gone';

/** A snapshot or a branch of the model. */
export interface Thing {
  readonly name: string;
  /** Volume of a snapshot; snapshot of a branch. */
  readonly parent: string;
  presence: Presence;
}

interface Snapshot extends Thing {
  /** Known once the snapshot was read after its creation. */
  content: Int32Array | undefined;
  /** What each sector may hold: what could be read when it was asked for, and what came since. */
  readonly possible: ReadonlySet<number>[];
}

/**
 * How an operation ended. `weak`: a discard that left everything as it was. `unknown`: with an
 * error after which nobody knows (B4 does not hold).
 */
export type Result = 'done' | 'refused' | 'weak' | 'unknown';

/** What happens to a store. `key` of an answer is the event that asked. */
export type ModelEvent =
  | {
      readonly kind: 'write';
      readonly space: string;
      readonly first: number;
      readonly count: number;
      /** 0 writes zeros. */
      readonly id: number;
    }
  | { readonly kind: 'flush'; readonly spaces: readonly string[] }
  | {
      readonly kind: 'create-snapshot';
      readonly name: string;
      readonly volume: string;
      /** Filled in by who read it; the same object is replayed later. */
      content?: Int32Array;
    }
  | { readonly kind: 'create-branch'; readonly name: string; readonly snapshot: string }
  | { readonly kind: 'delete-snapshot' | 'delete-branch'; readonly name: string }
  | {
      readonly kind: 'answer';
      readonly key: ModelEvent;
      readonly result: Result;
    };

/** See the file header. */
export class Model {
  readonly #spaces = new Map<string, Space>();
  readonly #snapshots = new Map<string, Snapshot>();
  readonly #branches = new Map<string, Thing>();
  readonly #asked = new Map<ModelEvent, number>();
  #time = 1;

  /** The volumes with what they hold at first, durable. */
  constructor(volumes: ReadonlyMap<string, Int32Array>) {
    for (const [name, content] of volumes) this.#spaces.set(name, spaceOf(content));
  }

  /** Names of volumes. */
  get volumes(): string[] {
    return [...this.#spaces.keys()].filter((name) => !this.#branches.has(name));
  }

  snapshots(): readonly Snapshot[] {
    return [...this.#snapshots.values()];
  }

  branches(): readonly Thing[] {
    return [...this.#branches.values()];
  }

  snapshot(name: string): Snapshot | undefined {
    return this.#snapshots.get(name);
  }

  branch(name: string): Thing | undefined {
    return this.#branches.get(name);
  }

  /** Takes note of an event. */
  apply(event: ModelEvent): void {
    const now = this.#time++;
    if (event.kind === 'answer') this.#answer(event.key, event.result, now);
    else {
      this.#asked.set(event, now);
      this.#ask(event, now);
    }
  }

  /** The first sector of `ids` that cannot be, at this instant, in words; else `undefined`. */
  complain(space: string, ids: Int32Array, instant: 'now' | 'after a crash'): string | undefined {
    const sectors = this.#space(space).sectors;
    for (let sector = 0; sector < ids.length; sector++) {
      const id = ids[sector];
      const all = sectors[sector] as Candidate[];
      if (all.some((each) => each.id === id && (instant !== 'now' || isVisible(each, all)))) {
        continue;
      }
      const may = all.filter((each) => instant !== 'now' || isVisible(each, all));
      const list = may.map((each) => each.id).join(' or ');
      return `sector ${sector} of ${space} holds ${id}, which should be ${list} (${instant})`;
    }
    return undefined;
  }

  /** The same for a snapshot, whose content is fixed. */
  complainOfSnapshot(name: string, ids: Int32Array): string | undefined {
    const { content, possible, presence } = this.#snapshots.get(name) ?? {};
    if (possible === undefined || presence === 'gone') return `${name} should not be there`;
    for (let sector = 0; sector < ids.length; sector++) {
      const id = ids[sector] as number;
      if (content === undefined ? possible[sector]?.has(id) : content[sector] === id) continue;
      const should = content?.[sector] ?? [...(possible[sector] ?? [])].join(' or ');
      return `R4: sector ${sector} of snapshot ${name} holds ${id}, which should be ${should}`;
    }
    return undefined;
  }

  /** A model that goes its own way from here. */
  copy(): Model {
    const copy = new Model(new Map());
    for (const [name, { sectors }] of this.#spaces) {
      copy.#spaces.set(name, {
        sectors: sectors.map((all) => all.map((each) => ({ ...each }))),
      });
    }
    for (const [name, each] of this.#snapshots) copy.#snapshots.set(name, { ...each });
    for (const [name, each] of this.#branches) copy.#branches.set(name, { ...each });
    for (const [event, time] of this.#asked) copy.#asked.set(event, time);
    copy.#time = this.#time;
    return copy;
  }

  /**
   * The model after a crash, from what was read then: exactly that is durable, and what was not
   * there is gone.
   */
  rebase(seen: ReadonlyMap<string, Int32Array>, snapshots: ReadonlyMap<string, Int32Array>): Model {
    const volumes = this.volumes.map((name) => [name, seen.get(name) as Int32Array] as const);
    const based = new Model(new Map(volumes));
    for (const snapshot of this.#snapshots.values()) {
      const content = snapshots.get(snapshot.name);
      if (content === undefined) continue;
      based.#snapshots.set(snapshot.name, { ...snapshot, content, presence: 'there' });
    }
    for (const branch of this.#branches.values()) {
      const content = seen.get(branch.name);
      if (content === undefined) continue;
      based.#branches.set(branch.name, { ...branch, presence: 'there' });
      based.#spaces.set(branch.name, spaceOf(content));
    }
    return based;
  }

  #ask(event: Exclude<ModelEvent, { kind: 'answer' }>, now: number): void {
    switch (event.kind) {
      case 'write': {
        const { sectors } = this.#space(event.space);
        for (let sector = event.first; sector < event.first + event.count; sector++) {
          sectors[sector]?.push({ id: event.id, asked: now, answered: NEVER, weak: false });
        }
        for (const { parent, presence, possible } of this.#snapshots.values()) {
          if (parent !== event.space || presence !== 'coming') continue;
          for (let sector = event.first; sector < event.first + event.count; sector++) {
            (possible[sector] as Set<number>).add(event.id);
          }
        }
        return;
      }
      case 'create-snapshot': {
        const { name, volume, content } = event;
        const possible = this.#space(volume).sectors.map(
          (all) => new Set(all.filter((each) => isVisible(each, all)).map(({ id }) => id)),
        );
        this.#snapshots.set(name, { name, parent: volume, presence: 'coming', content, possible });
        return;
      }
      case 'create-branch': {
        const { name, snapshot } = event;
        this.#branches.set(name, { name, parent: snapshot, presence: 'coming' });
        const content = this.#snapshots.get(snapshot)?.content;
        if (content === undefined) throw new Error(`the content of ${snapshot} is not known`);
        this.#spaces.set(name, spaceOf(content));
        return;
      }
      case 'delete-snapshot':
      case 'delete-branch':
        this.#thing(event.name).presence = 'going';
    }
  }

  #answer(key: ModelEvent, result: Result, now: number): void {
    const asked = this.#asked.get(key);
    if (asked === undefined) throw new Error('an answer to nothing');
    switch (key.kind) {
      case 'write':
        for (const all of this.#space(key.space).sectors.slice(key.first, key.first + key.count)) {
          const own = all.find((each) => each.asked === asked) as Candidate | undefined;
          if (own === undefined) continue; // superseded and forgotten already
          own.answered = now;
          own.weak = result !== 'done';
        }
        return;
      case 'flush':
        if (result === 'done') for (const space of key.spaces) this.#flush(space, asked);
        return;
      case 'create-snapshot':
        this.#thing(key.name).presence = PRESENCE[result];
        (this.#snapshots.get(key.name) as Snapshot).content = key.content;
        if (result === 'done') this.#flush(key.volume, asked);
        return;
      case 'create-branch':
        this.#thing(key.name).presence = PRESENCE[result];
        return;
      case 'delete-snapshot':
      case 'delete-branch':
        if (result === 'done') this.#thing(key.name).presence = 'gone';
    }
  }

  /** B2. */
  #flush(space: string, asked: number): void {
    const found = this.#spaces.get(space);
    if (found === undefined) return; // a branch that was deleted meanwhile
    for (let sector = 0; sector < found.sectors.length; sector++) {
      const all = found.sectors[sector] as Candidate[];
      if (all.length === 1) continue;
      let latest = 0;
      for (const each of all) {
        if (!each.weak && each.answered < asked && each.asked > latest) latest = each.asked;
      }
      if (latest > 0) found.sectors[sector] = all.filter((each) => each.answered >= latest); // B1
    }
  }

  #space(name: string): Space {
    const space = this.#spaces.get(name);
    if (space === undefined) throw new Error(`the model has no ${name}`);
    return space;
  }

  #thing(name: string): Thing {
    const thing = this.#snapshots.get(name) ?? this.#branches.get(name);
    if (thing === undefined) throw new Error(`the model has no ${name}`);
    return thing;
  }
}

/** Nothing that was answered, and asked for after it was answered, has come in its place. */
function isVisible(candidate: Candidate, all: readonly Candidate[]): boolean {
  return !all.some(
    (each) => !each.weak && each.answered !== NEVER && each.asked > candidate.answered,
  );
}

/** Everything durable: as asked for and answered before time began. */
function spaceOf(content: Int32Array): Space {
  return { sectors: Array.from(content, (id) => [{ id, asked: 0, answered: 0, weak: false }]) };
}
