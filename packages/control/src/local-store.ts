/**
 * LocalStore: a store that is open in this process. It puts the operations in order (C6), keeps the
 * periodic commit going and closes everything in the order that loses nothing.
 */
import { type BlockDevice, isStorageError, StorageError } from '@palimpsest/block-device';
import type { VolumeRecord } from '@palimpsest/ro-snapshot';
import { resumeBranchDeletions } from '@palimpsest/rw-snapshot';
import { type SaveVolume, type StoredObject, storedObject } from '@palimpsest/save-volume';
import { createAttachedVolumes, imagePath, releaseImage } from './attached-volumes.js';
import { createAttendants } from './attendants.js';
import * as branches from './branch-operations.js';
import { find, findBranch, findVolume } from './catalog.js';
import { assertUnused, type StoreContext } from './context.js';
import { deletedInfos } from './deleted.js';
import * as edits from './edit-operations.js';
import type { ControlEnvironment, StoreLock } from './environment.js';
import { createEvents } from './events.js';
import { createExchange } from './exchange.js';
import * as flattening from './flatten-operations.js';
import { createJobs } from './jobs.js';
import { branchInfos, describe, exportInfos, snapshotInfos, volumeInfo } from './listing.js';
import { openDevice } from './open-device.js';
import type { OpenStoreOptions } from './open-store.js';
import { periodicCommit, periodicSweep, runAll } from './periodic.js';
import * as removal from './removal.js';
import * as restores from './restore-operations.js';
import * as schedules from './schedules.js';
import { createSerial } from './serial.js';
import { changeSettings, readSettings } from './settings.js';
import { createSharedExports } from './shared-exports.js';
import * as snapshots from './snapshot-operations.js';
import { type SpacePolicy, withRelief } from './space-policy.js';
import { spacePolicyParts } from './space-policy-drop.js';
import type { Store } from './store.js';
import { createStoreIndex } from './store-index.js';
import { Meter, storeMetrics } from './store-metrics.js';
import { sweep } from './sweep.js';
import * as undoing from './undo.js';
import { assertNoImport } from './unfinished-imports.js';
import * as volumes from './volume-operations.js';
import type { StoreEvent } from './work-types.js';

/** What a store stands on, opened by `openStore`. */
export interface Foundation {
  readonly lock: StoreLock;
  readonly device: BlockDevice;
  readonly save: SaveVolume;
  readonly policy: SpacePolicy;
}

/** Opens the volumes of a store and puts its methods together. */
export async function createLocalStore(
  directory: string,
  environment: ControlEnvironment,
  options: OpenStoreOptions,
  { lock, device, save, policy }: Foundation,
): Promise<Store> {
  const serial = createSerial();
  const shared = createSharedExports(serial);
  const index = createStoreIndex(save);
  const events = createEvents<StoreEvent>(environment.logger);
  const paths = new Map<number, string>();
  const jobs = createJobs(environment);
  const meter = new Meter();
  const openedAt = environment.now();
  const context: StoreContext = {
    environment,
    directory,
    save,
    index,
    attached: createAttachedVolumes(environment, directory, save, meter),
    shared,
    meter,
    clientsOf: options.clientsOf ?? (() => []),
    by: options.by ?? 'local',
    jobs,
    attendants: createAttendants(environment.logger),
    emit: (event) => events.emit(event),
    sweep: () => sweep(context),
    resumeRestores: () => restores.resumeAll(context),
    releaseImage: (record) => volumes.letGo(context, record),
    pathOf: (record) => paths.get(record.id) ?? '',
    spaceOf: (snapshot) =>
      storedObject<StoredObject & { readonly volume: number }>(save, 'snapshot', snapshot)?.volume,
    endClients: options.endClients ?? (async () => {}),
    assertGoingOn: () => assertOpen(),
  };
  for (const record of index.volumes()) await learn(record);

  async function learn(record: VolumeRecord): Promise<void> {
    paths.set(record.id, await imagePath(environment, directory, record));
    await context.attached.attach(record).catch((error) => {
      // C4: one volume's trouble is its own; the reason is in every listing.
      if (!isStorageError(error)) throw error;
      environment.logger.warn(error.message);
    });
  }

  const stopCommits = periodicCommit(environment, save);
  // Behind everything else; what closing interrupts is resumed at the next opening.
  resumeBranchDeletions(save).catch((error: unknown) => {
    if (isStorageError(error, 'ERR_CLOSED')) return;
    environment.logger.error('giving back the blocks of deleted branches failed', {
      error: String(error),
    });
  });
  let closing: Promise<void> | undefined;
  policy.begin(spacePolicyParts(context));
  restores.resumeAll(context);
  flattening.resumeFlattens(context);
  const stopSweeps = periodicSweep(environment, () => change(() => sweep(context)));

  /** Runs a change when its turn comes. */
  function change<T>(work: () => Promise<T>): Promise<T> {
    return serial(async () => {
      assertOpen();
      return await work();
    });
  }
  /** The same for what may need space that can be given back. */
  function spend<T>(work: () => Promise<T>): Promise<T> {
    return change(() => withRelief(save, work));
  }
  function assertOpen(): void {
    if (closing !== undefined) throw new StorageError('ERR_CLOSED', 'the store is closed');
  }
  function selected(volume: string | undefined): readonly VolumeRecord[] {
    assertOpen();
    if (volume !== undefined) return [findVolume(index, volume)];
    return index.volumes();
  }
  async function closeNow(): Promise<void> {
    await policy.end();
    stopCommits();
    stopSweeps();
    exchange.stop();
    const steps = [
      () => jobs.stop(),
      () => shared.closeAll(),
      ...context.attached.all().map(({ production }) => async () => {
        await production.device.flush();
        await production.close();
      }),
      () => save.close(),
      ...context.attached
        .all()
        .flatMap(({ image }) => [async () => image.device.flush(), () => releaseImage(image)]),
      () => device.close(),
      () => lock.release(),
    ];
    await runAll(steps);
  }

  const exchange = createExchange(context, {
    change,
    open: (reference) => store.openExport(reference),
    createVolume: async (request) => remember(await volumes.createVolume(context, request)),
  });
  const store: Store = {
    ...exchange.verbs,
    directory,
    blockSize: save.blockSize,
    status() {
      assertOpen();
      return {
        directory,
        storeId: save.storeId,
        blockSize: save.blockSize,
        space: save.space(),
        volumes: index.volumes().length,
        snapshots: index.volumes().reduce((sum, volume) => sum + volume.snapshots.length, 0),
        branches: index.branches().length,
        openExports: shared.count(),
      };
    },
    metrics() {
      assertOpen();
      return storeMetrics(context, openedAt);
    },
    createVolume: (request) =>
      change(async () => remember(await volumes.createVolume(context, request))),
    adoptVolume: (request) =>
      change(async () => remember(await volumes.adoptVolume(context, request))),
    releaseVolume: (name, release = {}) =>
      change(() => volumes.releaseVolume(context, name, release)),
    listVolumes: () =>
      selected(undefined).map((record) => volumeInfo(context, record, paths.get(record.id) ?? '')),
    createSnapshot: (request) => spend(() => snapshots.createSnapshot(context, request)),
    listSnapshots(target) {
      const records = selected(target?.split('/', 1)[0]);
      const all = snapshotInfos(context, records);
      if (target === undefined || !target.includes('/')) return all;
      const { reference } = findBranch(index, target);
      return all.filter((each) => each.reference.startsWith(`${reference}@`));
    },
    deleted: () => deletedInfos(context),
    deleteSnapshot: (reference, how = {}) =>
      change(() => removal.deleteSnapshot(context, reference, how)),
    createGroupSnapshot: (request) => spend(() => snapshots.createGroupSnapshot(context, request)),
    refreshSnapshot: (reference, how = {}) =>
      spend(() => snapshots.refreshSnapshot(context, reference, how)),
    hold: (reference, tag, how = {}) => spend(() => edits.hold(context, reference, tag, how)),
    unhold: (reference, tag, how = {}) => spend(() => edits.unhold(context, reference, tag, how)),
    edit: (reference, request) => spend(() => edits.edit(context, reference, request)),
    createBranch: (request) => change(() => branches.createBranch(context, request)),
    refreshBranch: (request) => change(() => branches.refreshBranch(context, request)),
    flattenBranch: (reference, how = {}) =>
      change(() => flattening.flattenBranch(context, reference, how)),
    pauseFlatten: (reference) => flattening.pauseFlatten(context, reference),
    setQuota: (reference, bytes) => change(() => branches.setQuota(context, reference, bytes)),
    listBranches: (volume) => branchInfos(context, selected(volume)),
    deleteBranch: (reference, how = {}) =>
      change(() => removal.deleteBranch(context, reference, how)),
    deleteVolume: (name, how = {}) => change(() => removal.deleteVolume(context, name, how)),
    restore: (request) => change(() => restores.restore(context, request)),
    restores() {
      assertOpen();
      return restores.restoreInfos(context);
    },
    pauseRestore: (target) => change(() => restores.pauseRestore(context, target)),
    resumeRestore: (target, how = {}) => change(() => restores.resumeRestore(context, target, how)),
    cancelRestore: (target, how = {}) => change(() => restores.cancelRestore(context, target, how)),
    jobs: () => jobs.list(),
    waitForJob: (id) => jobs.wait(id),
    undo: (request = {}) => change(() => undoing.undo(context, request)),
    log(limit) {
      assertOpen();
      return undoing.operationInfos(context, limit);
    },
    resize: (reference, size, how = {}) =>
      change(() => branches.resize(context, reference, size, how)),
    setSchedule: (target, schedule, how = {}) =>
      change(() => schedules.setSchedule(context, target, schedule, how)),
    schedules() {
      assertOpen();
      return schedules.listSchedules(context);
    },
    settings() {
      assertOpen();
      return readSettings(save);
    },
    configure: (changes) =>
      spend(async () => {
        const settings = await changeSettings(save, changes);
        policy.configured();
        return settings;
      }),
    subscribe: (listener) => events.subscribe(listener),
    attend: (attendant) => context.attendants.add(attendant),
    verify: (how = {}) => save.verify(how),
    resolve(reference) {
      assertOpen();
      return find(index, reference, environment.now()).reference;
    },
    exports() {
      assertOpen();
      return exportInfos(context);
    },
    openExport: (text, how = {}) =>
      serial(async () => {
        assertOpen();
        const found = find(index, text, environment.now());
        if (found.kind === 'volume') assertNoImport(found.volume);
        const { reference } = found;
        if (how.alone === true || shared.isAlone(reference))
          await assertUnused(context, [reference]);
        const share = await shared.acquire(reference, () => openDevice(context, reference), how);
        return { reference, description: describe(context, found), ...share };
      }),
    commit() {
      assertOpen();
      return save.commit();
    },
    close() {
      closing ??= serial(closeNow);
      return closing;
    },
    [Symbol.asyncDispose]: () => store.close(),
  };

  /** Keeps a new volume's path for the listings. */
  function remember<T extends { readonly name: string; readonly path: string }>(info: T): T {
    paths.set(findVolume(index, info.name).id, info.path);
    return info;
  }

  return store;
}
