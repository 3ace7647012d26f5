/**
 * History: operations carried out on a session, told to and compared with a model. What each kind
 * does is in steps/; here is what they share.
 */
import { isStorageError } from '@palimpsest/block-device';
import { createRandom, type Random } from '@palimpsest/block-device/testing';
import { Violation } from './compare.js';
import type { Geometry } from './geometry.js';
import type { Asked, ModelEvent } from './model/event.js';
import type { Branch, Model, Snapshot } from './model/model.js';
import type { Operation } from './operation.js';
import { SECTOR } from './payload.js';
import { isFull, type Session } from './session.js';
import { STEPS } from './steps/steps.js';

/** Told of each event of the model, with the point of the trace at which it happened. */
export type Log = (event: ModelEvent, point: number) => void;

/** What a history runs with. */
export interface HistoryOptions {
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
  /** Hears in words what each operation comes to. */
  readonly onStep?: (words: string) => void;
}

/** What must work however full the store is (R11). */
const ALWAYS = ['delete-snapshot', 'delete-branch'];

/** Why work in the background ends early: it was asked to, and has changed nothing to be seen. */
export class Stopped extends Error {}

/** See the file header. */
export class History {
  session: Session;
  readonly model: Model;
  readonly geometry: Geometry;
  readonly ids: { next: number };
  /** Operations done: what was asked of the store, and reads that were compared. */
  operations = 0;
  /** Operations refused because the store was full. */
  refusals = 0;
  /** Errors are expected: a disk fails. */
  broken = false;
  /** Several operations are in flight at once. */
  bursting = false;
  readonly #options: HistoryOptions;

  constructor(session: Session, options: HistoryOptions) {
    this.session = session;
    this.model = options.model;
    this.geometry = session.geometry;
    this.ids = options.ids;
    this.#options = options;
  }

  /** Does operations, one after the other but for bursts. */
  async run(operations: readonly Operation[]): Promise<void> {
    for (const { kind, seed } of operations) {
      this.bursting = false;
      await STEPS[kind](this, createRandom(seed));
    }
  }

  /** Compares everything with the model, and lets the store audit itself. */
  async check(): Promise<void> {
    if (this.broken) return;
    this.operations++;
    const { spaces } = await this.session.check(this.model, 'now');
    await this.session.checkExtents(spaces.keys());
    await this.session.audit();
  }

  /** Ends the session properly, and starts another. */
  async reopen(): Promise<void> {
    this.session = await this.#options.open();
    await this.session.check(this.model, 'now');
  }

  /**
   * Asks, does, answers. A full store may refuse; a broken one may say anything. Several events are
   * one operation. Tells whether it was done.
   */
  async tell(
    events: Asked | readonly Asked[],
    work: () => Promise<unknown> | undefined,
  ): Promise<boolean> {
    const all = 'kind' in events ? [events] : events;
    this.operations++;
    for (const event of all) this.log(event);
    this.#options.onStep?.(JSON.stringify(all, (key, value) => (key === 'content' ? '' : value)));
    try {
      await work();
    } catch (error) {
      const result = isFull(error) || error instanceof Stopped ? 'refused' : 'unknown';
      for (const key of all) this.log({ kind: 'answer', key, result });
      for (const event of all)
        if (!this.#isLeaving(event, error)) this.admit(error, event, all.length === 1);
      return false;
    }
    for (const key of all) this.log({ kind: 'answer', key, result: 'done' });
    return true;
  }

  /** @throws what a store must not say, now. `alone`: nothing else was asked for with it. */
  admit(error: unknown, event: Asked, alone = true): void {
    if (error instanceof Violation) throw error;
    if (this.broken || error instanceof Stopped) return;
    const space = 'space' in event ? event.space : 'branch' in event ? event.branch : '';
    const limited = this.model.branch(space)?.limited === true;
    if (!isFull(error) || !(this.geometry.full || limited)) throw error;
    this.refusals++;
    // A refresh that keeps nothing gives space back; one that keeps something may need some.
    const refreshes = event.kind === 'swap' && space !== '' && !this.model.volumes.includes(space);
    if (ALWAYS.includes(event.kind) || (refreshes && alone)) {
      throw new Violation(`I8: ${event.kind} was refused when full: ${String(error)}`);
    }
  }

  log(event: ModelEvent): void {
    this.model.apply(event);
    this.#options.log(event, this.session.world.point);
  }

  onSnapshots(volume: string, state: 'just made' | 'uncertain'): void {
    if (this.model.volumes.includes(volume)) this.#options.onSnapshots?.(volume, state);
  }

  // ---- What there is to choose from ------------------------------------------------------------

  /** A name that nothing ever had. */
  newName(prefix: string): string {
    return `${prefix}${this.ids.next++}`;
  }

  /** A volume or branch. */
  space(random: Random): string {
    const branches = this.branches().map(({ name }) => name);
    const production = branches.length === 0 || random.chance(0.6);
    return random.pick(production ? this.model.volumes : branches);
  }

  branches(): readonly Branch[] {
    return this.model.branches().filter(({ presence }) => presence === 'there');
  }

  snapshots(): readonly Snapshot[] {
    return this.model.snapshots().filter(({ presence }) => presence === 'there');
  }

  /** Whole blocks, in sectors. Half of them among the first eight: hot blocks. */
  range(random: Random, space: string, most: number): { first: number; count: number } {
    const perBlock = this.geometry.blockSize / SECTOR;
    const total = this.model.length(space) / perBlock;
    const block = random.below(Math.min(total, random.chance(0.5) ? 8 : total));
    const blocks = Math.min(random.between(1, most), total - block);
    return { first: block * perBlock, count: blocks * perBlock };
  }

  /** A branch that is being deleted refuses what is still under way. */
  #isLeaving(event: Asked, error: unknown): boolean {
    const name = event.kind === 'write' ? event.space : undefined;
    const presence = name === undefined ? undefined : this.model.branch(name)?.presence;
    return isStorageError(error, 'ERR_CLOSED') && (presence === 'going' || presence === 'gone');
  }
}
