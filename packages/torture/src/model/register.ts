/**
 * Registers: what the sectors of one volume or branch may hold, as plain arrays of write numbers.
 *
 *   B1  A sector may hold any write that no durable later write has superseded (R1, R2); a write
 *       supersedes another when it was asked for after the other was answered.
 *   B2  A flush makes durable what was answered before it was asked for, once it is answered.
 *   B5  A swap (a restore, a refresh) changes every sector at once: until it is answered a crash
 *       leaves all as before or all as after; once it is answered it is durable (R7, R8).
 */

/** Not answered yet. */
export const NEVER: number = Number.POSITIVE_INFINITY;

/** When a sector is looked at. */
export type Instant = 'now' | 'after a crash';

/** A write that a sector may hold. Times are numbers of events. */
interface Candidate {
  readonly id: number;
  readonly asked: number;
  answered: number;
  /** Refused, or a discard that may have done nothing: possible, but it supersedes nothing. */
  weak: boolean;
}

/** A range of sectors. */
export interface Range {
  readonly first: number;
  readonly count: number;
}

/** The sectors of a volume or branch. See the file header. */
export class Registers {
  #sectors: Candidate[][];
  /** What they are after a swap that is under way. */
  #next: Registers | undefined;
  /** Sectors after a growth that is under way. */
  #growing: number | undefined;

  private constructor(sectors: Candidate[][]) {
    this.#sectors = sectors;
  }

  /** Sectors that hold `content`, durable, as asked for and answered at the times given. */
  static of(content: Int32Array, asked = 0, answered = 0): Registers {
    return new Registers(Array.from(content, (id) => [{ id, asked, answered, weak: false }]));
  }

  get length(): number {
    return this.#sectors.length;
  }

  /** A swap is under way. */
  get isSwapping(): boolean {
    return this.#next !== undefined;
  }

  copy(): Registers {
    const copy = new Registers(this.#sectors.map((all) => all.map((each) => ({ ...each }))));
    copy.#next = this.#next?.copy();
    copy.#growing = this.#growing;
    return copy;
  }

  /** A write was asked for. */
  write(range: Range, id: number, asked: number): void {
    for (const all of this.#in(range)) all.push({ id, asked, answered: NEVER, weak: false });
    this.#next?.write(range, id, asked);
  }

  /** It was answered. */
  answerWrite(range: Range, asked: number, answered: number, weak: boolean): void {
    for (const all of this.#in(range)) {
      const own = all.find((each) => each.asked === asked);
      if (own === undefined) continue; // superseded and forgotten already
      own.answered = answered;
      own.weak = weak;
    }
    this.#next?.answerWrite(range, asked, answered, weak);
  }

  /** B2: a flush asked for at `asked` was answered. */
  flush(asked: number): void {
    for (let sector = 0; sector < this.#sectors.length; sector++) {
      const all = this.#sectors[sector] as Candidate[];
      if (all.length === 1) continue;
      let latest = 0;
      for (const each of all) {
        if (!each.weak && each.answered < asked && each.asked > latest) latest = each.asked;
      }
      if (latest > 0) this.#sectors[sector] = all.filter((each) => each.answered >= latest); // B1
    }
    this.#next?.flush(asked);
  }

  /** B5: every sector is to become `content`. */
  swap(content: Int32Array, asked: number): void {
    const next = Registers.of(content, asked, NEVER);
    for (const [sector, all] of next.#sectors.entries()) {
      // What is in flight may come after it.
      const flying = this.#sectors[sector]?.filter((each) => each.answered === NEVER) ?? [];
      for (const each of flying) all.push({ ...each });
    }
    this.#next = next;
  }

  /** The swap was answered. */
  answerSwap(asked: number, answered: number, done: boolean): void {
    const next = this.#next;
    this.#next = undefined;
    if (!done || next === undefined) return;
    this.#sectors = next.#sectors;
    for (const all of this.#sectors) {
      for (const each of all) if (each.asked === asked) each.answered = answered;
    }
  }

  /** More sectors, of zeros, were asked for. */
  grow(length: number): void {
    this.#growing = length;
  }

  answerGrow(done: boolean): void {
    const length = this.#growing;
    this.#growing = undefined;
    if (!done || length === undefined) return;
    while (this.#sectors.length < length) {
      this.#sectors.push([{ id: 0, asked: 0, answered: 0, weak: false }]);
    }
  }

  /** The writes that each sector may be read as now, those of a swap under way too. */
  visible(): Set<number>[] {
    const seen = this.#sectors.map(
      (all) => new Set(all.filter((each) => isVisible(each, all)).map(({ id }) => id)),
    );
    this.#next?.visible().forEach((ids, sector) => {
      seen[sector] ??= new Set();
      for (const id of ids) (seen[sector] as Set<number>).add(id);
    });
    return seen;
  }

  /** When the youngest write among `ids` was asked for. */
  youngestIn(ids: Int32Array): number {
    let youngest = 0;
    for (const [sector, all] of this.#sectors.entries()) {
      const asked = all
        .filter(({ id }) => id !== 0 && id === ids[sector])
        .map((each) => each.asked);
      youngest = Math.max(youngest, ...asked);
    }
    return youngest;
  }

  /** The first sector of `ids` in whose place a newer write was answered before `time`; else -1. */
  lacksAt(time: number, ids: Int32Array): number {
    return this.#sectors.findIndex((all, sector) => {
      const own = all.filter(({ id }) => id === ids[sector]);
      const isLate = ({ answered }: Candidate): boolean =>
        all.some((each) => !each.weak && each.answered < time && each.asked > answered);
      return own.length > 0 && own.every(isLate);
    });
  }

  /** Whether `ids` are the sectors before, or after, the swap that is under way. */
  fate(ids: Int32Array, instant: Instant): { readonly before: boolean; readonly after: boolean } {
    return {
      before: this.#complain(ids, instant) === undefined,
      after: this.#next !== undefined && this.#next.#complain(ids, instant) === undefined,
    };
  }

  /** The first sector of `ids` that cannot be, at this instant, in words; else `undefined`. */
  complain(ids: Int32Array, instant: Instant): string | undefined {
    const complaint = this.#complain(ids, instant);
    if (complaint === undefined || this.#next === undefined) return complaint;
    if (instant === 'now') {
      // Read sector by sector while it happens: each may be of either side.
      const visible = this.visible();
      const wrong = ids.findIndex((id, sector) => visible[sector]?.has(id) !== true);
      return wrong < 0 ? undefined : `sector ${wrong} holds ${ids[wrong]}, of neither side`;
    }
    const after = this.#next.#complain(ids, instant);
    return after && `neither before a swap (${complaint}) nor after it (${after})`;
  }

  #complain(ids: Int32Array, instant: Instant): string | undefined {
    const { length } = this.#sectors;
    if (ids.length !== length && ids.length !== this.#growing) {
      return `${ids.length} sectors, which should be ${length}`;
    }
    for (let sector = 0; sector < length; sector++) {
      const id = ids[sector];
      const all = this.#sectors[sector] as Candidate[];
      const isPossible = (each: Candidate): boolean => instant !== 'now' || isVisible(each, all);
      if (all.some((each) => each.id === id && isPossible(each))) continue;
      const list = all
        .filter(isPossible)
        .map((each) => each.id)
        .join(' or ');
      return `sector ${sector} holds ${id}, which should be ${list}`;
    }
    for (let sector = length; sector < ids.length; sector++) {
      if (ids[sector] !== 0) return `sector ${sector} is new and holds ${ids[sector]}, not zeros`;
    }
    return undefined;
  }

  #in({ first, count }: Range): Candidate[][] {
    return this.#sectors.slice(first, first + count);
  }
}

/** Nothing that was answered, and asked for after it was answered, has come in its place. */
function isVisible(candidate: Candidate, all: readonly Candidate[]): boolean {
  return !all.some(
    (each) => !each.weak && each.answered !== NEVER && each.asked > candidate.answered,
  );
}
