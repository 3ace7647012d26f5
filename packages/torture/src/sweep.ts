/**
 * Sweep: cuts the power at every point of a recording, with several outcomes each, recovers by the
 * way that users do, and compares with the model. Recovery is recorded too, and crashes in turn.
 * What a crash leaves must be fit to live on: some survivors continue with a history of their own.
 *
 * A failure names seed, point, image and, when recovery itself crashed, where; that is all it takes
 * to run it again.
 */
import {
  type CrashPolicy,
  type CrashWorld,
  createRandom,
  type PolicyOptions,
  type Random,
} from '@palimpsest/block-device/testing';
import { compare } from './compare.js';
import { History } from './history.js';
import type { Model, Observation } from './model/model.js';
import { drawOperations } from './operation.js';
import type { Recording } from './record.js';
import { SAVE_DISK, Session } from './session.js';
import { Failure, type Place, type Tally } from './tally.js';

/** How much to do with each recording. */
export interface SweepOptions {
  /** Every n-th point is crashed at, from a random one of the first n. */
  readonly everyPoint: number;
  /** Outcomes of a crash at a point. */
  readonly policies: number;
  /** Recovery of every n-th image crashes too; 0 is never. */
  readonly nestedEvery: number;
  /** Every n-th survivor lives on; 0 is none. */
  readonly continueEvery: number;
  /** Operations of a survivor. */
  readonly continueOperations: number;
}

/** What is kept from one recording to the next. */
export interface SweepTotals {
  /** Hashes of images that were recovered before. */
  readonly seen: Set<number>;
  readonly tally: Tally;
  /** What recovery made of images, kept when recordings are so small that they have many in common. */
  readonly recovered?: Map<number, Observation>;
}

/** Bytes at the start of the save volume that hold the two superblocks. */
const SUPERBLOCKS = 8192;

/** Crashes a recording from point `from` on. @throws {Failure} with the first thing that is wrong. */
export async function sweep(
  recording: Recording,
  place: Place,
  options: SweepOptions,
  totals: SweepTotals,
  from: number = recording.start,
): Promise<void> {
  await new Sweep(recording, place, options, totals).run(from);
}

class Sweep {
  readonly #recording: Recording;
  readonly #place: Place;
  readonly #options: SweepOptions;
  readonly #seen: Set<number>;
  readonly #tally: Tally;
  readonly #random: Random;
  /** What users were told so far: the same image may be right before a promise and wrong after. */
  #promises = 0;
  #crashes = 0;
  readonly #checked = new Set<string>();
  /** What recovery makes of an image depends on the image alone, so it is found out once. */
  readonly #recovered: Map<number, Observation>;

  constructor(recording: Recording, place: Place, options: SweepOptions, totals: SweepTotals) {
    this.#recording = recording;
    this.#place = place;
    this.#options = options;
    this.#seen = totals.seen;
    this.#tally = totals.tally;
    this.#recovered = totals.recovered ?? new Map();
    this.#random = createRandom(recording.case.seed).fork('sweep');
    if (options.nestedEvery > 0) this.#crashes = this.#random.below(options.nestedEvery);
  }

  async run(from: number): Promise<void> {
    const { world, initial, events } = this.#recording;
    const model = initial.copy();
    let next = 0;
    const { everyPoint } = this.#options;
    const offset = this.#random.below(everyPoint);
    for (let point = from; point <= world.point; point++) {
      // What happened by this point may have been told to users before the power went.
      for (; next < events.length; next++) {
        const { event, point: at } = events[next] as (typeof events)[number];
        if (at > point) break;
        model.apply(event);
        if (event.kind === 'answer') this.#promises++;
      }
      if ((point - from) % everyPoint !== offset && point !== world.point) continue;
      await this.#crashAt(point, model);
    }
  }

  async #crashAt(point: number, model: Model): Promise<void> {
    const { world } = this.#recording;
    for (const policy of this.#policies(world, point)) {
      const image = JSON.stringify(policy);
      const place = { ...this.#place, point, image };
      const survivor = world.crash(point, policy);
      if (this.#isKnown(survivor)) continue;
      const known = this.#recovered.get(survivor.hash);
      if (known !== undefined) {
        this.#compare(model, known, place);
        continue;
      }
      if (this.#isNew(survivor)) this.#tally.images++;
      const turn = ++this.#crashes;
      const seen = await this.#recover(survivor, model, place);
      if (this.#isTurn(turn, this.#options.nestedEvery)) {
        await this.#crashRecovery(world.crash(point, policy), model, place);
      }
      if (this.#isTurn(turn, this.#options.continueEvery)) {
        await this.#liveOn(world.crash(point, policy), model.rebase(seen), place);
      }
    }
    // After a failed flush the cache holds what the disk will never have: see README, Limits.
    const isTrue = world.pending(point).every(({ lost }) => !lost);
    if (isTrue && this.#isTurn(point, this.#options.nestedEvery)) {
      this.#tally.kills++;
      const place = { ...this.#place, point, image: 'killed' };
      await this.#crashRecovery(world.kill(point), model, place);
    }
  }

  /** Recovers, once more at each point of the recovery. */
  async #crashRecovery(survivor: CrashWorld, model: Model, place: Place): Promise<void> {
    const start = survivor.point;
    await this.#recover(survivor, model, place);
    for (let point = start; point <= survivor.point; point++) {
      for (const policy of this.#policies(survivor, point)) {
        const again = survivor.crash(point, policy);
        if (this.#isKnown(again)) continue;
        const known = this.#recovered.get(again.hash);
        if (known !== undefined) {
          this.#compare(model, known, { ...place, recoveryPoint: point });
          continue;
        }
        if (this.#isNew(again)) this.#tally.recoveryImages++;
        await this.#recover(again, model, {
          ...place,
          recoveryPoint: point,
          recoveryImage: JSON.stringify(policy),
        });
      }
    }
  }

  async #recover(world: CrashWorld, model: Model, place: Place): Promise<Observation> {
    try {
      const { hash } = world;
      const session = await Session.open(world, this.#recording.case.geometry);
      const seen = await session.check(model, 'after a crash');
      await session.audit();
      this.#recovered.set(hash, seen);
      return seen;
    } catch (error) {
      throw new Failure(place, error, this.#recording.case);
    }
  }

  #compare(model: Model, seen: Observation, place: Place): void {
    try {
      compare(model, seen, 'after a crash');
    } catch (error) {
      throw new Failure(place, error, this.#recording.case);
    }
  }

  /** Goes on with the store as users would: some damage shows only in what is done next. */
  async #liveOn(world: CrashWorld, model: Model, place: Place): Promise<void> {
    const { case: run, ids } = this.#recording;
    this.#tally.survivors++;
    try {
      const open = (): Promise<Session> => Session.open(world, run.geometry);
      const history = new History(await open(), {
        ...{ model, open, ids: { next: ids.next } },
        log: () => undefined,
      });
      const random = createRandom(`${run.seed}/${place.point}/${place.image}`);
      await history.run(drawOperations(random, this.#options.continueOperations));
      await history.check();
      await history.session.close();
      const session = await open();
      await session.check(model, 'now');
      await session.audit();
      this.#tally.operations += history.operations;
    } catch (error) {
      throw new Failure({ ...place, image: `${place.image} then lived on` }, error, run);
    }
  }

  /**
   * Outcomes at a point. Tears inside a sector are for the save volume alone: production is not
   * checksummed, so there a torn sector is what its user wrote and did not flush. A blast of 4 KiB
   * may hit no block but the one written, which superblocks and blocks of 4 KiB see to.
   */
  #policies(world: CrashWorld, point: number): CrashPolicy[] {
    const { geometry } = this.#recording.case;
    const options: PolicyOptions = { most: this.#options.policies, exhaustive: 3, random: 2 };
    const policies = world.policies(point, options);
    const pending = world.pending(point);
    const saves = pending.flatMap(({ change }, index) =>
      change.device === SAVE_DISK && change.kind !== 'resize' ? [index] : [],
    );
    const newest = saves.at(-1);
    if (newest !== undefined) {
      policies.push({ kind: 'torn', index: newest, tear: 'inside' });
      policies.push({ kind: 'torn', index: this.#random.pick(saves), tear: 'zeros' });
      const { position } = (pending[newest] as (typeof pending)[number]).change;
      if (geometry.blockSize >= 4096 || position < SUPERBLOCKS) {
        policies.push({ kind: 'torn', index: newest, tear: 'blast' });
      }
    }
    return policies;
  }

  #isNew(world: CrashWorld): boolean {
    const { hash } = world;
    if (this.#seen.has(hash)) return false;
    this.#seen.add(hash);
    return true;
  }

  #isKnown(world: CrashWorld): boolean {
    const key = `${world.hash}/${this.#promises}`;
    if (this.#checked.has(key)) return true;
    this.#checked.add(key);
    return false;
  }

  #isTurn(count: number, every: number): boolean {
    return every > 0 && count % every === 0;
  }
}
