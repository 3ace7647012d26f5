/**
 * Recording: a case is run once, checked as it goes, on disks that keep a trace; and the model's
 * events are kept with the points of the trace at which they happened.
 */
import {
  type CrashWorld,
  createCrashWorld,
  createRandom,
  type SaveFirstMonitor,
  watchSaveFirst,
} from '@palimpsest/block-device/testing';
import { createProductionVolume } from '@palimpsest/ro-snapshot';
import { formatSaveVolume, openSaveVolume } from '@palimpsest/save-volume';
import type { Case } from './case.js';
import { type Geometry, JOURNAL_BYTES } from './geometry.js';
import { History } from './history.js';
import type { ModelEvent } from './model/event.js';
import { Model } from './model/model.js';
import { SECTOR } from './payload.js';
import { cloneDisk, payload, SAVE_DISK, Session } from './session.js';
import { Failure, type Place, type Tally } from './tally.js';

/** A case that ran. */
export interface Recording {
  readonly case: Case;
  readonly world: CrashWorld;
  /** The model when the recording starts, at `start`. */
  readonly initial: Model;
  readonly start: number;
  readonly events: readonly { readonly event: ModelEvent; readonly point: number }[];
  readonly ids: { next: number };
}

/** How to record. */
export interface RecordOptions {
  readonly place: Place;
  readonly tally: Tally;
  readonly onStep?: (words: string) => void;
}

/** Runs a case. @throws {Failure} */
export async function record(run: Case, options: RecordOptions): Promise<Recording> {
  const { seed, geometry } = run;
  const { place, tally } = options;
  const world = createCrashWorld({ seed });
  try {
    const ids = { next: 1 };
    const initial = await build(world, geometry, ids);
    const model = initial.copy();
    const start = world.point;
    const monitors = watch(world, geometry, model);
    const stall = { chance: run.stallChance, maxTurns: 400 };
    const random = createRandom(seed);
    const slow = geometry.jittered ? { random: random.fork('jitter'), stall } : undefined;
    const open = (): Promise<Session> => Session.open(world, geometry, slow);
    const events: { event: ModelEvent; point: number }[] = [];
    const history = new History(await open(), {
      ...{ model, ids, open },
      log: (event, point) => void events.push({ event, point }),
      onSnapshots: (volume, state) => {
        if (state === 'just made') monitors.get(volume)?.protect();
        else monitors.get(volume)?.release();
      },
      ...(options.onStep === undefined ? {} : { onStep: options.onStep }),
    });
    await history.run(run.operations);
    await history.check();
    if (geometry.failing) {
      history.broken = true;
      const disks = [SAVE_DISK, ...model.volumes.map(cloneDisk)];
      world.failNextFlush(random.fork('failure').pick(disks));
      await history.run(run.afterFailure);
    } else if (run.closes) {
      await history.session.close();
    }
    for (const monitor of monitors.values()) tally.firstOverwrites += monitor.seen;
    tally.histories++;
    tally.operations += history.operations;
    tally.refusals += history.refusals;
    return { case: run, world, initial, start, events, ids };
  } catch (error) {
    throw new Failure(place, world.violations[0] ?? error, run);
  }
}

/** Makes the disks, volumes that hold something already, and the store. */
export async function build(
  world: CrashWorld,
  geometry: Geometry,
  ids: { next: number },
): Promise<Model> {
  const { blockSize, volumeBlocks, saveBytes } = geometry;
  const disk = world.device(SAVE_DISK, { blockSize, size: saveBytes });
  const names = Array.from({ length: geometry.volumes }, (_, index) => `v${index}`);
  const clones = names.map((name) =>
    world.device(cloneDisk(name), { blockSize, size: blockSize * volumeBlocks }),
  );
  const volumes = new Map<string, Int32Array>();
  const perBlock = blockSize / SECTOR;
  const sectors = perBlock * volumeBlocks;
  for (const [index, clone] of clones.entries()) {
    const id = ids.next++;
    const content = new Int32Array(sectors);
    // The rest is zeros, which are recorded and not copied.
    const adopted = Math.ceil((volumeBlocks * 2) / 3) * perBlock;
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
