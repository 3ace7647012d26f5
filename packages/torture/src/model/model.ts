/**
 * Model: what a store must hold, as plain arrays of write numbers, one a sector. It is told when an
 * operation was asked for and when it was answered, and says at any instant what may be read, now
 * and after a crash. It knows nothing of how a store works.
 *
 *   B1, B2, B5  Of sectors: see register.ts.
 *   B3  A snapshot is there when it was answered, and may be when it was asked for; its content is
 *       that of one instant and never changes (R4, R5). The same holds of branches, whose content
 *       at first is their snapshot's.
 *   B4  What was refused has changed nothing outside its range, and in it each sector is old or new.
 *   B6  What happens together (a group of snapshots; a swap and the snapshot of what was before; a
 *       branch and its snapshots that are deleted) has all happened after a crash, or none (R7).
 *   B7  Members of a group are of one instant: no member has a write that was asked for after a
 *       write was answered which another member lacks (R5).
 */
import type { Asked, ModelEvent, Result } from './event.js';
import { type Instant, Registers } from './register.js';

/** What has become of something that was to be made. */
const PRESENCE: Readonly<Record<Result, Presence>> = {
  done: 'there',
  refused: 'gone',
  weak: 'gone',
  unknown: 'coming',
};

/** Whether something exists. */
export type Presence = 'coming' | 'there' | 'going' | 'gone';

/** A snapshot of a volume or branch. */
export interface Snapshot {
  readonly name: string;
  /** The volume or branch. */
  readonly parent: string;
  /** What the branch stood on when it was taken: `undefined` of a volume, and once flattened. */
  base: string | undefined;
  /** Which of the branch's spaces it is of: counted from 0, by swaps. */
  readonly generation: number;
  presence: Presence;
  /** Known once the snapshot was read after its creation. */
  content: Int32Array | undefined;
  /** What each sector may hold: what could be read when it was asked for, and what came since. */
  readonly possible: Set<number>[];
}

/** A branch. */
export interface Branch {
  readonly name: string;
  /** The volume that it comes from in the end. */
  readonly root: string;
  /** Swaps so far. */
  generation: number;
  /** The snapshot it stands on; `undefined` once it is independent. */
  base: string | undefined;
  /** Where the base is going to: of a refresh or flatten that is under way. */
  nextBase?: { readonly base: string | undefined } | undefined;
  presence: Presence;
  /** Has, or had, a quota: it may be refused what others get. */
  limited: boolean;
}

/** What can be read of a store, by the model's names: the write in each sector. */
export interface Observation {
  /** Volumes and branches. */
  readonly spaces: ReadonlyMap<string, Int32Array>;
  readonly snapshots: ReadonlyMap<string, Int32Array>;
  /** What each branch stands on. */
  readonly bases: ReadonlyMap<string, string | undefined>;
}

/** See the file header. */
export class Model {
  readonly #spaces = new Map<string, Registers>();
  readonly #snapshots = new Map<string, Snapshot>();
  readonly #branches = new Map<string, Branch>();
  readonly #asked = new Map<ModelEvent, number>();
  /** B6: what is under way together. */
  readonly #together = new Map<number, ModelEvent[]>();
  #time = 1;

  /** The volumes with what they hold at first, durable. */
  constructor(volumes: ReadonlyMap<string, Int32Array>) {
    for (const [name, content] of volumes) this.#spaces.set(name, Registers.of(content));
  }

  /** Names of volumes. */
  get volumes(): string[] {
    return [...this.#spaces.keys()].filter((name) => !this.#branches.has(name));
  }

  snapshots(): readonly Snapshot[] {
    return [...this.#snapshots.values()];
  }

  branches(): readonly Branch[] {
    return [...this.#branches.values()];
  }

  snapshot(name: string): Snapshot | undefined {
    return this.#snapshots.get(name);
  }

  branch(name: string): Branch | undefined {
    return this.#branches.get(name);
  }

  /** Sectors of a volume or branch. */
  length(space: string): number {
    return this.#space(space).length;
  }

  /** Takes note of an event. */
  apply(event: ModelEvent): void {
    const now = this.#time++;
    if (event.kind === 'answer') {
      this.#answer(event.key, event.result, now);
      return;
    }
    this.#asked.set(event, now);
    if (event.together !== undefined) {
      const others = this.#together.get(event.together) ?? [];
      this.#together.set(event.together, [...others, event]);
    }
    this.#ask(event, now);
  }

  /** What cannot be in a volume or branch, at this instant, in words; else `undefined`. */
  complain(space: string, ids: Int32Array, instant: Instant): string | undefined {
    const complaint = this.#space(space).complain(ids, instant);
    return complaint && `${space}: ${complaint} (${instant})`;
  }

  /** The same for a snapshot, whose content is fixed. */
  complainOfSnapshot(name: string, ids: Int32Array): string | undefined {
    const { content, possible, presence } = this.#snapshots.get(name) ?? {};
    if (possible === undefined || presence === 'gone') return `${name} should not be there`;
    const length = content?.length ?? possible.length;
    if (length !== ids.length) return `R4: ${name} has ${ids.length} sectors, not ${length}`;
    for (let sector = 0; sector < ids.length; sector++) {
      const id = ids[sector] as number;
      if (content === undefined ? possible[sector]?.has(id) : content[sector] === id) continue;
      const should = content?.[sector] ?? [...(possible[sector] ?? [])].join(' or ');
      return `R4: sector ${sector} of snapshot ${name} holds ${id}, which should be ${should}`;
    }
    return undefined;
  }

  /** B6, of what is under way: something that happened without what belongs to it, in words. */
  complainOfHalves(seen: Observation): string | undefined {
    for (const events of this.#together.values()) {
      const fates = events.map((event) => this.#hasHappened(event, seen));
      if (!fates.includes(true) || !fates.includes(false)) continue;
      const words = events.map((event, index) => `${describe(event)}: ${fates[index]}`);
      return `R7: only a part of what belongs together has happened: ${words.join(', ')}`;
    }
    return undefined;
  }

  /** Whether a swap was asked for whose outcome is not known. */
  isSwapping(space: string): boolean {
    return this.#space(space).isSwapping;
  }

  /** B7, of a group just taken: a member that is of another instant than the others, in words. */
  complainOfInstant(
    members: readonly { space: string; content: Int32Array }[],
  ): string | undefined {
    const times = members.map(({ space, content }) => this.#space(space).youngestIn(content));
    const youngest = Math.max(...times);
    for (const { space, content } of members) {
      const sector = this.#space(space).lacksAt(youngest, content);
      if (sector >= 0) return `R5: sector ${sector} of ${space} is older than another in its group`;
    }
    return undefined;
  }

  /** What stands on a snapshot, by name, so that it must not be deleted. */
  dependants(snapshot: string): string[] {
    const branches = this.branches()
      .filter(({ presence }) => presence !== 'gone')
      .filter(({ base, nextBase }) => base === snapshot || nextBase?.base === snapshot);
    const snapshots = this.snapshots().filter(
      ({ presence, base }) => presence !== 'gone' && base === snapshot,
    );
    return [...branches, ...snapshots].map(({ name }) => name);
  }

  /** A model that goes its own way from here. */
  copy(): Model {
    const copy = new Model(new Map());
    for (const [name, registers] of this.#spaces) copy.#spaces.set(name, registers.copy());
    for (const [name, each] of this.#snapshots) copy.#snapshots.set(name, { ...each });
    for (const [name, each] of this.#branches) copy.#branches.set(name, { ...each });
    for (const [event, time] of this.#asked) copy.#asked.set(event, time);
    for (const [key, events] of this.#together) copy.#together.set(key, events);
    copy.#time = this.#time;
    return copy;
  }

  /**
   * The model after a crash, from what was read then: exactly that is durable, and what was not
   * there is gone.
   */
  rebase(seen: Observation): Model {
    const volumes = this.volumes.map(
      (name) => [name, seen.spaces.get(name) as Int32Array] as const,
    );
    const based = new Model(new Map(volumes));
    for (const branch of this.#branches.values()) {
      const content = seen.spaces.get(branch.name);
      if (content === undefined) continue;
      const { name, root, limited, nextBase } = branch;
      const base = seen.bases.get(name);
      // A branch is never refreshed with what it stands on, so the base tells.
      const swapped = nextBase?.base !== undefined && nextBase.base === base;
      const generation = branch.generation + (swapped ? 1 : 0);
      based.#branches.set(name, { name, root, limited, base, generation, presence: 'there' });
      based.#spaces.set(name, Registers.of(content));
    }
    for (const snapshot of this.#snapshots.values()) {
      const content = seen.snapshots.get(snapshot.name);
      if (content === undefined) continue;
      const flattened = this.#wasFlattened(snapshot, seen);
      const base = flattened ? undefined : snapshot.base;
      based.#snapshots.set(snapshot.name, { ...snapshot, base, content, presence: 'there' });
    }
    return based;
  }

  /** A crash in a flatten may have left its branch, and what is of the same space, independent. */
  #wasFlattened({ parent, generation }: Snapshot, seen: Observation): boolean {
    const branch = this.#branches.get(parent);
    if (branch?.nextBase === undefined || branch.nextBase.base !== undefined) return false;
    return branch.generation === generation && seen.bases.get(parent) === undefined;
  }

  #ask(event: Asked, now: number): void {
    switch (event.kind) {
      case 'write':
        this.#space(event.space).write(event, event.id, now);
        this.#mayBeIn(event.space, event.first, new Array(event.count).fill(event.id));
        return;
      case 'grow':
        this.#space(event.space).grow(event.length);
        return;
      case 'swap': {
        this.#space(event.space).swap(event.content, now);
        this.#mayBeIn(event.space, 0, event.content);
        const branch = this.#branches.get(event.space);
        if (branch !== undefined) branch.nextBase = { base: event.source };
        return;
      }
      case 'flatten':
        this.#branch(event.branch).nextBase = { base: undefined };
        return;
      case 'limit':
        this.#branch(event.branch).limited = true;
        return;
      case 'create-snapshot': {
        const { name, space, content } = event;
        const possible = this.#space(space).visible();
        const { base, generation = 0 } = this.#branches.get(space) ?? {};
        this.#snapshots.set(name, {
          ...{ name, parent: space, base, generation, content, possible },
          presence: 'coming',
        });
        return;
      }
      case 'create-branch': {
        const { name, snapshot } = event;
        const { content, parent = '' } = this.#snapshots.get(snapshot) ?? {};
        if (content === undefined) throw new Error(`the content of ${snapshot} is not known`);
        const root = this.#branches.get(parent)?.root ?? parent;
        this.#branches.set(name, {
          ...{ name, root, base: snapshot, generation: 0, limited: false },
          presence: 'coming',
        });
        this.#spaces.set(name, Registers.of(content));
        return;
      }
      case 'delete-snapshot':
        (this.#snapshots.get(event.name) as Snapshot).presence = 'going';
        return;
      case 'delete-branch':
        this.#branch(event.name).presence = 'going';
    }
  }

  #answer(key: Asked, result: Result, now: number): void {
    const asked = this.#asked.get(key);
    if (asked === undefined) throw new Error('an answer to nothing');
    this.#asked.delete(key);
    const done = result === 'done';
    if (result !== 'unknown') this.#endTogether(key);
    switch (key.kind) {
      case 'write':
        this.#space(key.space).answerWrite(key, asked, now, !done);
        return;
      case 'flush':
        // One may have been deleted meanwhile.
        if (done) for (const space of key.spaces) this.#spaces.get(space)?.flush(asked);
        return;
      case 'create-snapshot': {
        const snapshot = this.#snapshots.get(key.name) as Snapshot;
        snapshot.presence = PRESENCE[result];
        snapshot.content = key.content;
        if (done) this.#spaces.get(key.space)?.flush(asked);
        return;
      }
      case 'create-branch':
        this.#branch(key.name).presence = PRESENCE[result];
        return;
      default:
        // Of what ended with an error that leaves open what it did, both stay possible.
        if (result !== 'unknown') this.#settle(key, asked, now, done);
    }
  }

  /** It was answered what became of a change of something as a whole. */
  #settle(key: Asked, asked: number, now: number, done: boolean): void {
    switch (key.kind) {
      case 'grow':
        this.#space(key.space).answerGrow(done);
        return;
      case 'swap':
        this.#space(key.space).answerSwap(asked, now, done);
        this.#settleBase(this.#branches.get(key.space), done, 1);
        return;
      case 'flatten': {
        const branch = this.#branch(key.branch);
        for (const snapshot of done ? this.#snapshots.values() : []) {
          const { parent, generation } = snapshot;
          if (parent === branch.name && generation === branch.generation) snapshot.base = undefined;
        }
        this.#settleBase(branch, done, 0);
        return;
      }
      case 'delete-snapshot':
        (this.#snapshots.get(key.name) as Snapshot).presence = done ? 'gone' : 'there';
        return;
      case 'delete-branch':
        this.#branch(key.name).presence = done ? 'gone' : 'there';
    }
  }

  #settleBase(branch: Branch | undefined, done: boolean, generations: number): void {
    if (branch?.nextBase === undefined) return;
    if (done) {
      branch.base = branch.nextBase.base;
      branch.generation += generations;
    }
    branch.nextBase = undefined;
  }

  #endTogether(key: ModelEvent): void {
    for (const [together, events] of this.#together) {
      if (events.includes(key)) this.#together.delete(together);
    }
  }

  /** Whether something under way has happened; `undefined` when it cannot be told. */
  #hasHappened(event: ModelEvent, seen: Observation): boolean | undefined {
    switch (event.kind) {
      case 'create-snapshot':
        return seen.snapshots.has(event.name);
      case 'delete-snapshot':
        return !seen.snapshots.has(event.name);
      case 'delete-branch':
        return !seen.spaces.has(event.name);
      case 'swap': {
        const ids = seen.spaces.get(event.space);
        if (ids === undefined) return undefined;
        const { before, after } = this.#space(event.space).fate(ids, 'after a crash');
        return before === after ? undefined : after;
      }
      default:
        return undefined;
    }
  }

  /** Snapshots that are being taken of `space` may have what is written meanwhile. */
  #mayBeIn(space: string, first: number, ids: ArrayLike<number>): void {
    for (const { parent, presence, possible } of this.#snapshots.values()) {
      if (parent !== space || presence !== 'coming') continue;
      for (let index = 0; index < ids.length; index++) {
        possible[first + index]?.add(ids[index] as number);
      }
    }
  }

  #space(name: string): Registers {
    const space = this.#spaces.get(name);
    if (space === undefined) throw new Error(`the model has no ${name}`);
    return space;
  }

  #branch(name: string): Branch {
    const branch = this.#branches.get(name);
    if (branch === undefined) throw new Error(`the model has no branch ${name}`);
    return branch;
  }
}

function describe(event: ModelEvent): string {
  if (event.kind === 'answer' || event.kind === 'flush') return event.kind;
  if ('name' in event) return `${event.kind} ${event.name}`;
  return `${event.kind} ${'space' in event ? event.space : event.branch}`;
}
