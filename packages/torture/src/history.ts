/**
 * History: a seeded run of operations on a session. Weights are drawn anew for each seed (swarm
 * testing): a history of mostly deletes finds what an average one never does.
 */
import { isStorageError } from '@palimpsest/block-device';
import type { Random } from '@palimpsest/block-device/testing';
import type { Geometry } from './geometry.js';
import type { Model, ModelEvent } from './model.js';
import { SECTOR } from './payload.js';
import { cloneDisk, isFull, type Log, payload, type Session, Violation } from './session.js';

type Kind =
  | 'write'
  | 'zero'
  | 'discard'
  | 'flush'
  | 'commit'
  | 'burst'
  | 'race'
  | 'create-snapshot'
  | 'delete-snapshot'
  | 'create-branch'
  | 'delete-branch'
  | 'reopen'
  | 'check';

const KINDS: readonly Kind[] = [
  'write',
  'write',
  'write',
  'zero',
  'discard',
  'flush',
  'flush',
  'commit',
  'burst',
  'race',
  'create-snapshot',
  'delete-snapshot',
  'create-branch',
  'delete-branch',
  'reopen',
  'check',
];
/** More than these are deleted before another is made. */
const SNAPSHOTS_MAX = 6;
const BRANCHES_MAX = 4;

/** What runs, and where its numbers come from. */
export interface HistoryOptions {
  readonly random: Random;
  readonly model: Model;
  readonly log: Log;
  /** The number of the next write; numbers are never used twice. */
  readonly ids: { next: number };
  /** Opens the store again after it was closed. */
  readonly open: () => Promise<Session>;
  /**
   * Told when nothing is in flight and a snapshot was just made, and when it is no more certain
   * which blocks are saved; for the monitor of I3.
   */
  readonly onSnapshots?: (volume: string, state: 'just made' | 'uncertain') => void;
}

/** Runs operations on a session, told to and compared with a model. */
export class History {
  session: Session;
  /** Operations done. */
  operations = 0;
  /** Operations refused because the store was full. */
  refusals = 0;
  /** Errors are expected: a disk fails. */
  broken = false;
  #bursting = false;
  readonly #options: HistoryOptions;
  readonly #random: Random;
  readonly #model: Model;
  readonly #weights: readonly number[];
  readonly #geometry: Geometry;

  constructor(session: Session, options: HistoryOptions) {
    this.session = session;
    this.#options = options;
    this.#random = options.random;
    this.#model = options.model;
    this.#geometry = session.geometry;
    this.#weights = KINDS.map(() => options.random.pick([0, 1, 1, 3]));
    if (this.#weights.every((weight) => weight === 0)) this.#weights = KINDS.map(() => 1);
  }

  /** Does `count` operations, one after the other but for bursts. */
  async run(count: number): Promise<void> {
    for (let done = 0; done < count; done++) {
      this.operations++;
      await this.#step(this.#draw());
    }
  }

  /** Writes blocks of a volume or branch. */
  async write(space: string): Promise<void> {
    const { first, count } = this.#range(8);
    const id = this.#options.ids.next++;
    const event: ModelEvent = { kind: 'write', space, first, count, id };
    await this.#tell(event, () =>
      this.session.device(space).write(payload(id, first, count), first * SECTOR),
    );
  }

  /** Flushes one volume or branch. */
  async flush(space: string): Promise<void> {
    const { world } = this.session;
    const asked = world.point;
    await this.#tell({ kind: 'flush', spaces: [space] }, async () => {
      await this.session.device(space).flush();
      // A crash right here would tell too; looking at the trace tells each time, and says what.
      for (const { change, lost } of world.pending()) {
        if (change.device !== cloneDisk(space) || change.completeAt > asked || lost) continue;
        throw new Violation(`I5: a flush of ${space} was answered before event ${change.index}`);
      }
    });
  }

  /** Compares everything with the model, and lets the store audit itself. */
  async check(): Promise<void> {
    if (this.broken) return;
    await this.session.check(this.#model, 'now');
    await this.session.audit();
  }

  #draw(): Kind {
    let left = this.#random.below(this.#weights.reduce((sum, weight) => sum + weight, 0));
    for (const [index, weight] of this.#weights.entries()) {
      left -= weight;
      if (left < 0) return KINDS[index] as Kind;
    }
    return 'write';
  }

  async #step(kind: Kind): Promise<void> {
    const { session } = this;
    switch (kind) {
      case 'write':
        return this.write(this.#space());
      case 'zero':
        return this.#zero(this.#space());
      case 'discard':
        return this.#discard(this.#space());
      case 'flush':
        return this.flush(this.#space());
      case 'commit':
        return this.#tell({ kind: 'flush', spaces: this.#branchNames() }, () =>
          session.save.commit(),
        );
      case 'burst':
        return this.#burst();
      case 'race':
        return this.#race();
      case 'create-snapshot':
        return this.#createSnapshot();
      case 'delete-snapshot':
        return this.#deleteSnapshot();
      case 'create-branch':
        return this.#createBranch();
      case 'delete-branch':
        return this.#deleteBranch();
      case 'reopen':
        return this.#reopen();
      case 'check':
        return this.check();
    }
  }

  /** Several operations in flight at once. */
  async #burst(): Promise<void> {
    const work: Promise<void>[] = [];
    this.#bursting = true;
    for (let left = this.#random.between(2, 5); left > 0; left--) {
      const space = this.#space();
      work.push(this.#random.chance(0.75) ? this.write(space) : this.flush(space));
    }
    for (let left = this.#random.below(3); left > 0; left--) work.push(this.#readSnapshot());
    if (this.#random.chance(0.3)) work.push(this.#createSnapshot());
    if (this.#random.chance(0.2)) work.push(this.#createBranch());
    await allSettled(work);
    this.#bursting = false;
  }

  /**
   * Snapshots are read while first writes are committed, the race that the second look settles;
   * and flushes are asked for while others run, which cover less.
   */
  async #race(): Promise<void> {
    const volume = this.#random.pick(this.#model.volumes);
    const work: Promise<void>[] = [];
    for (let left = this.#random.between(2, 4); left > 0; left--) work.push(this.#readSnapshot());
    const chain = async (): Promise<void> => {
      for (let left = this.#random.between(1, 2); left > 0; left--) {
        await this.write(volume);
        await this.flush(volume);
      }
    };
    for (let left = this.#random.between(1, 3); left > 0; left--) work.push(chain());
    await allSettled(work);
  }

  /** A snapshot reads the same whatever goes on meanwhile (R4). */
  async #readSnapshot(): Promise<void> {
    const there = this.#model.snapshots().filter(({ presence }) => presence === 'there');
    if (there.length === 0 || this.broken) return;
    const { name, parent } = this.#random.pick(there);
    let ids: Int32Array;
    try {
      ids = await this.session.readSnapshot(name, parent);
    } catch (error) {
      // One that was deleted meanwhile says so.
      const { presence } = this.#model.snapshot(name) ?? {};
      if (isStorageError(error, 'ERR_NOT_FOUND') && presence !== 'there') return;
      throw error;
    }
    const complaint = this.#model.complainOfSnapshot(name, ids);
    if (complaint !== undefined) throw new Violation(`read amid writes: ${complaint}`);
  }

  async #zero(space: string): Promise<void> {
    const { first, count } = this.#range(12);
    const allocate = this.#random.chance(0.3);
    await this.#tell({ kind: 'write', space, first, count, id: 0 }, () =>
      this.session.device(space).zero(first * SECTOR, count * SECTOR, { allocate }),
    );
  }

  /** A discard may do nothing, block by block (D9): the model learns by reading which it did. */
  async #discard(space: string): Promise<void> {
    const perBlock = this.#geometry.blockSize / SECTOR;
    const { first, count } = this.#range(6);
    const events: ModelEvent[] = [];
    for (let at = first; at < first + count; at += perBlock) {
      const event: ModelEvent = { kind: 'write', space, first: at, count: perBlock, id: 0 };
      events.push(event);
      this.#log(event);
    }
    const device = this.session.device(space);
    const bytes = new Uint8Array(count * SECTOR);
    try {
      await device.discard(first * SECTOR, count * SECTOR);
      await device.readInto(bytes, first * SECTOR);
    } catch (error) {
      for (const key of events) this.#log({ kind: 'answer', key, result: 'refused' });
      this.#admit(error, 'write');
      return;
    }
    for (const [index, key] of events.entries()) {
      const start = index * perBlock * SECTOR;
      const block = bytes.subarray(start, start + perBlock * SECTOR);
      const zero = block.every((byte) => byte === 0);
      this.#log({ kind: 'answer', key, result: zero ? 'done' : 'weak' });
    }
  }

  async #createSnapshot(): Promise<void> {
    const volume = this.#random.pick(this.#model.volumes);
    const there = this.#snapshotsOf(volume);
    if (there.length >= SNAPSHOTS_MAX) return this.#deleteSnapshot();
    if (this.#bursting) this.#options.onSnapshots?.(volume, 'uncertain');
    const name = `s${this.#options.ids.next++}`;
    const event: ModelEvent & { kind: 'create-snapshot' } = {
      kind: 'create-snapshot',
      name,
      volume,
    };
    await this.#tell(event, async () => {
      const content = await this.session.createSnapshot(name, volume);
      event.content = content;
      const complaint = this.#model.complainOfSnapshot(name, content); // R5
      if (complaint !== undefined) throw new Violation(complaint);
    });
    if (this.#bursting || this.#model.snapshot(name)?.presence !== 'there') return;
    this.#options.onSnapshots?.(volume, 'just made');
  }

  async #deleteSnapshot(): Promise<void> {
    const based = new Set(
      this.#model
        .branches()
        .filter(({ presence }) => presence !== 'gone')
        .map(({ parent }) => parent),
    );
    const free = this.#model
      .snapshots()
      .filter(({ presence, name }) => presence === 'there' && !based.has(name));
    if (free.length === 0) return;
    const { name, parent } = this.#random.pick(free);
    this.#options.onSnapshots?.(parent, 'uncertain');
    await this.#tell({ kind: 'delete-snapshot', name }, () =>
      this.session.deleteSnapshot(name, parent),
    );
  }

  async #createBranch(): Promise<void> {
    if (this.#branchNames().length >= BRANCHES_MAX) return this.#deleteBranch();
    const bases = this.#model.snapshots().filter(({ presence }) => presence === 'there');
    if (bases.length === 0) return;
    const { name: snapshot, parent } = this.#random.pick(bases);
    const name = `b${this.#options.ids.next++}`;
    await this.#tell({ kind: 'create-branch', name, snapshot }, () =>
      this.session.createBranch(name, snapshot, parent),
    );
  }

  async #deleteBranch(): Promise<void> {
    const names = this.#branchNames();
    if (names.length === 0) return;
    const name = this.#random.pick(names);
    await this.#tell({ kind: 'delete-branch', name }, () => this.session.deleteBranch(name));
  }

  /** A proper end, and a new start. What was answered before is durable then. */
  async #reopen(): Promise<void> {
    if (this.broken) return;
    const spaces = [...this.#model.volumes, ...this.#branchNames()];
    await this.#tell({ kind: 'flush', spaces }, async () => {
      try {
        await this.session.close();
      } catch (cause) {
        throw new Violation(`a store that is full or not must close: ${String(cause)}`);
      }
    });
    this.session = await this.#options.open();
    await this.session.check(this.#model, 'now');
  }

  /** Asks, does, answers. A full store may refuse; a broken one may say anything. */
  async #tell(
    event: Exclude<ModelEvent, { kind: 'answer' }>,
    work: () => Promise<void> | undefined,
  ): Promise<void> {
    this.#log(event);
    try {
      await work();
    } catch (error) {
      const result = isFull(error) ? 'refused' : 'unknown';
      this.#log({ kind: 'answer', key: event, result });
      if (!this.#isLeaving(event, error)) this.#admit(error, event.kind);
      return;
    }
    this.#log({ kind: 'answer', key: event, result: 'done' });
  }

  /** A branch that is being deleted refuses what is still under way. */
  #isLeaving(event: ModelEvent, error: unknown): boolean {
    const name = event.kind === 'write' ? event.space : undefined;
    const presence = name === undefined ? undefined : this.#model.branch(name)?.presence;
    return isStorageError(error, 'ERR_CLOSED') && (presence === 'going' || presence === 'gone');
  }

  #admit(error: unknown, kind: ModelEvent['kind']): void {
    if (error instanceof Violation) throw error;
    if (this.broken) return;
    if (!this.#geometry.full || !isFull(error)) throw error;
    this.refusals++;
    if (kind === 'delete-snapshot' || kind === 'delete-branch') {
      throw new Violation(`I8: ${kind} was refused when full: ${String(error)}`);
    }
  }

  #log(event: ModelEvent): void {
    this.#model.apply(event);
    this.#options.log(event, this.session.world.point);
  }

  #space(): string {
    const branches = this.#branchNames();
    const production = branches.length === 0 || this.#random.chance(0.6);
    return this.#random.pick(production ? this.#model.volumes : branches);
  }

  #branchNames(): string[] {
    return this.#model
      .branches()
      .filter(({ presence }) => presence === 'there')
      .map(({ name }) => name);
  }

  #snapshotsOf(volume: string) {
    return this.#model
      .snapshots()
      .filter(({ parent, presence }) => parent === volume && presence !== 'gone');
  }

  /** Whole blocks, in sectors. Half of them among the first eight: hot blocks. */
  #range(most: number): { first: number; count: number } {
    const { blockSize, volumeBlocks } = this.#geometry;
    const perBlock = blockSize / SECTOR;
    const limit = this.#random.chance(0.5) ? 8 : volumeBlocks;
    const block = this.#random.below(limit);
    const blocks = Math.min(this.#random.between(1, most), volumeBlocks - block);
    return { first: block * perBlock, count: blocks * perBlock };
  }
}

/** Waits for all, also when one fails, and then fails as the first did. */
async function allSettled(work: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(work)) {
    if (result.status === 'rejected') throw result.reason;
  }
}
