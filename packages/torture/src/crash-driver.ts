/**
 * Crash driver: runs a history once, then cuts the power at every point of its trace, with several
 * outcomes each, recovers by the way that users do, and compares with the model. Recovery is
 * recorded too, and crashes in turn. What a crash leaves must be fit to live on: some survivors
 * continue with a history of their own.
 *
 * A failure names seed, point, image and, when recovery itself crashed, where; that is all it takes
 * to run it again.
 */
import {
  type CrashPolicy,
  type CrashWorld,
  createCrashWorld,
  createRandom,
  type PolicyOptions,
  type Random,
  type SaveFirstMonitor,
  watchSaveFirst,
} from '@palimpsest/block-device/testing';
import { createProductionVolume } from '@palimpsest/ro-snapshot';
import { formatSaveVolume, openSaveVolume } from '@palimpsest/save-volume';
import { drawGeometry, type Geometry, JOURNAL_BYTES } from './geometry.js';
import { History } from './history.js';
import { Model, type ModelEvent } from './model.js';
import { SECTOR } from './payload.js';
import { cloneDisk, type Observation, payload, SAVE_DISK, Session } from './session.js';

/** How much to do with each history. */
export interface SweepOptions {
  /** Operations of a history. */
  readonly operations: number;
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

/** What was done. Images that were seen before do not count. */
export interface Tally {
  histories: number;
  operations: number;
  /** Distinct images after a crash of a history, each recovered and compared. */
  images: number;
  /** The same, after a crash of a recovery. */
  recoveryImages: number;
  /** Recoveries in the cache of a process that was killed. */
  kills: number;
  /** Survivors that lived on. */
  survivors: number;
  /** Histories without a crash, all calls delayed at random. */
  interleaved: number;
  /** Operations refused because the store was full. */
  refusals: number;
  /** First overwrites that the monitor of I3 saw. */
  firstOverwrites: number;
}

export function newTally(): Tally {
  return {
    histories: 0,
    operations: 0,
    images: 0,
    recoveryImages: 0,
    kills: 0,
    survivors: 0,
    interleaved: 0,
    refusals: 0,
    firstOverwrites: 0,
  };
}

/** Where in a run something went wrong. */
export interface Place {
  readonly seed: number;
  readonly interleaved?: boolean;
  readonly point?: number;
  readonly image?: string;
  readonly recoveryPoint?: number;
  readonly recoveryImage?: string;
}

/** A failure, and all it takes to run it again. */
export class Failure extends Error {
  readonly place: Place;

  constructor(place: Place, cause: unknown) {
    const where = Object.entries(place)
      .map(([name, value]) => `${name}=${value}`)
      .join(' ');
    super(`${where}: ${cause instanceof Error ? `${cause.name}: ${cause.message}` : cause}`, {
      cause,
    });
    this.name = 'Failure';
    this.place = place;
  }
}

interface Recording {
  readonly seed: number;
  readonly geometry: Geometry;
  readonly world: CrashWorld;
  /** The model when the recording starts, at `start`. */
  readonly initial: Model;
  readonly start: number;
  readonly events: readonly { event: ModelEvent; point: number }[];
  readonly ids: { next: number };
}

/** Runs one seed from beginning to end. @throws {Failure} with the first thing that is wrong. */
export async function torture(
  seed: number,
  options: SweepOptions,
  seen: Set<number>,
  tally: Tally,
): Promise<void> {
  const recording = await record(seed, options, tally);
  await new Sweep(recording, options, seen, tally).run();
}

/** Runs a history whose calls all take their time, without any crash. @throws {Failure} */
export async function interleave(seed: number, operations: number, tally: Tally): Promise<void> {
  await record(seed, { operations, slowly: true }, tally);
  tally.interleaved++;
}

/** Runs a history, checked as it goes. */
async function record(
  seed: number,
  options: { readonly operations: number; readonly slowly?: boolean },
  tally: Tally,
): Promise<Recording> {
  const place = options.slowly === true ? { seed, interleaved: true } : { seed };
  const random = createRandom(options.slowly === true ? `${seed} slowly` : seed);
  const drawn = drawGeometry(random.fork('geometry'));
  const geometry = options.slowly === true ? { ...drawn, jittered: true, failing: false } : drawn;
  const world = createCrashWorld({ seed });
  try {
    const ids = { next: 1 };
    const initial = await build(world, geometry, ids);
    const model = initial.copy();
    const start = world.point;
    const monitors = watch(world, geometry, model);
    const stall = { chance: options.slowly === true ? 0.2 : 0.04, maxTurns: 400 };
    const slow = geometry.jittered ? { random: random.fork('jitter'), stall } : undefined;
    const open = (): Promise<Session> => Session.open(world, geometry, slow);
    const events: { event: ModelEvent; point: number }[] = [];
    const history = new History(await open(), {
      random: random.fork('history'),
      model,
      ids,
      open,
      log: (event, point) => void events.push({ event, point }),
      onSnapshots: (volume, state) => {
        if (state === 'just made') monitors.get(volume)?.protect();
        else monitors.get(volume)?.release();
      },
    });
    await history.run(options.operations);
    await history.check();
    if (geometry.failing) {
      history.broken = true;
      const disks = [SAVE_DISK, ...model.volumes.map(cloneDisk)];
      world.failNextFlush(random.fork('failure').pick(disks));
      await history.run(8);
    } else if (random.fork('end').chance(0.5)) {
      await history.session.close();
    }
    for (const monitor of monitors.values()) tally.firstOverwrites += monitor.seen;
    tally.histories++;
    tally.operations += history.operations;
    tally.refusals += history.refusals;
    return { seed, geometry, world, initial, start, events, ids };
  } catch (error) {
    throw new Failure(place, world.violations[0] ?? error);
  }
}

/** Makes the disks, volumes that hold something already, and the store. */
async function build(world: CrashWorld, geometry: Geometry, ids: { next: number }): Promise<Model> {
  const { blockSize, volumeBlocks, saveBytes } = geometry;
  const disk = world.device(SAVE_DISK, { blockSize, size: saveBytes });
  const names = Array.from({ length: geometry.volumes }, (_, index) => `v${index}`);
  const clones = names.map((name) =>
    world.device(cloneDisk(name), { blockSize, size: blockSize * volumeBlocks }),
  );
  const volumes = new Map<string, Int32Array>();
  const sectors = (blockSize * volumeBlocks) / SECTOR;
  for (const [index, clone] of clones.entries()) {
    const id = ids.next++;
    const content = new Int32Array(sectors);
    const adopted = (sectors * 3) / 4; // the rest is zeros, which are recorded and not copied
    await clone.write(payload(id, 0, adopted), 0);
    await clone.flush();
    volumes.set(names[index] as string, content.fill(id, 0, adopted));
  }
  await formatSaveVolume(disk, { blockSize, journalBytes: JOURNAL_BYTES, storeId: STORE_ID });
  const save = await openSaveVolume(disk);
  for (const [index, clone] of clones.entries()) {
    const volume = await createProductionVolume(save, clone, { name: names[index] });
    await volume.close();
  }
  await save.close();
  return new Model(volumes);
}

/** Bytes at the start of the save volume that hold the two superblocks. */
const SUPERBLOCKS = 8192;
const STORE_ID = Uint8Array.from({ length: 16 }, (_, index) => index * 7 + 1);

function watch(world: CrashWorld, geometry: Geometry, model: Model): Map<string, SaveFirstMonitor> {
  const { blockSize } = geometry;
  return new Map(
    model.volumes.map((name) => {
      const disks = { clone: cloneDisk(name), save: SAVE_DISK, blockSize };
      return [name, watchSaveFirst(world, disks)];
    }),
  );
}

class Sweep {
  readonly #recording: Recording;
  readonly #options: SweepOptions;
  readonly #seen: Set<number>;
  readonly #tally: Tally;
  readonly #random: Random;
  /** What users were told so far: the same image may be right before a promise and wrong after. */
  #promises = 0;
  #crashes = 0;
  readonly #checked = new Set<string>();

  constructor(recording: Recording, options: SweepOptions, seen: Set<number>, tally: Tally) {
    this.#recording = recording;
    this.#options = options;
    this.#seen = seen;
    this.#tally = tally;
    this.#random = createRandom(recording.seed).fork('sweep');
  }

  async run(): Promise<void> {
    const { world, initial, start, events } = this.#recording;
    const model = initial.copy();
    let next = 0;
    const { everyPoint } = this.#options;
    const offset = this.#random.below(everyPoint);
    for (let point = start; point <= world.point; point++) {
      // What happened by this point may have been told to users before the power went.
      for (; next < events.length; next++) {
        const { event, point: at } = events[next] as (typeof events)[number];
        if (at > point) break;
        model.apply(event);
        if (event.kind === 'answer') this.#promises++;
      }
      if ((point - start) % everyPoint !== offset && point !== world.point) continue;
      await this.#crashAt(point, model);
    }
  }

  async #crashAt(point: number, model: Model): Promise<void> {
    const { world, seed } = this.#recording;
    for (const policy of this.#policies(world, point)) {
      const image = JSON.stringify(policy);
      const place = { seed, point, image };
      const survivor = world.crash(point, policy);
      if (this.#isKnown(survivor)) continue;
      if (this.#isNew(survivor)) this.#tally.images++;
      const turn = ++this.#crashes;
      const seen = await this.#recover(survivor, model, place);
      if (this.#isTurn(turn, this.#options.nestedEvery)) {
        await this.#crashRecovery(world.crash(point, policy), model, place);
      }
      if (this.#isTurn(turn, this.#options.continueEvery)) {
        await this.#liveOn(
          world.crash(point, policy),
          model.rebase(seen.spaces, seen.snapshots),
          place,
        );
      }
    }
    // After a failed flush the cache holds what the disk will never have: see README, Limits.
    const isTrue = world.pending(point).every(({ lost }) => !lost);
    if (isTrue && this.#isTurn(point, this.#options.nestedEvery)) {
      this.#tally.kills++;
      await this.#crashRecovery(world.kill(point), model, { seed, point, image: 'killed' });
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
      const session = await Session.open(world, this.#recording.geometry);
      const seen = await session.check(model, 'after a crash');
      await session.audit();
      return seen;
    } catch (error) {
      throw new Failure(place, error);
    }
  }

  /** Goes on with the store as users would: some damage shows only in what is done next. */
  async #liveOn(world: CrashWorld, model: Model, place: Place): Promise<void> {
    const { geometry, seed, ids } = this.#recording;
    this.#tally.survivors++;
    try {
      const open = (): Promise<Session> => Session.open(world, geometry);
      const history = new History(await open(), {
        random: createRandom(`${seed}/${place.point}/${place.image}`),
        model,
        ids: { next: ids.next },
        open,
        log: () => undefined,
      });
      await history.run(this.#options.continueOperations);
      await history.check();
      await history.session.close();
      const session = await open();
      await session.check(model, 'now');
      await session.audit();
      this.#tally.operations += history.operations;
    } catch (error) {
      throw new Failure({ ...place, image: `${place.image} then lived on` }, error);
    }
  }

  /**
   * Outcomes at a point. Tears inside a sector are for the save volume alone: production is not
   * checksummed, so there a torn sector is what its user wrote and did not flush. A blast of 4 KiB
   * may hit no block but the one written, which superblocks and blocks of 4 KiB see to.
   */
  #policies(world: CrashWorld, point: number): CrashPolicy[] {
    const { geometry } = this.#recording;
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
