/**
 * Volume operations: create, adopt, release. Every check comes before the first change (C3), and a
 * change that fails half-way takes back what it did.
 */
import { StorageError } from '@palimpsest/block-device';
import {
  createProductionVolume,
  removeProductionVolume,
  type VolumeRecord,
} from '@palimpsest/ro-snapshot';
import { deleteBranches } from '@palimpsest/rw-snapshot';
import {
  type AttachedVolume,
  type HeldImage,
  holdImage,
  imagePath,
  releaseImage,
} from './attached-volumes.js';
import { findVolume } from './catalog.js';
import { assertUnused, listed, type StoreContext } from './context.js';
import type { FileStatus } from './environment.js';
import { volumeInfo } from './listing.js';
import { assertName, quote } from './names.js';
import {
  branchAttributes,
  snapshotAttributes,
  type VolumeAttributes,
  volumeAttributes,
} from './records.js';
import { branchReference, snapshotReference } from './references.js';
import type {
  CreateVolumeRequest,
  OnProgress,
  ReleaseOptions,
  Removal,
  VolumeInfo,
} from './store-types.js';

/** The save volume's file in a store's directory. */
export const SAVE_FILE = 'save.pal';
/** The folder of images made by a store. */
export const VOLUMES_DIRECTORY = 'volumes';
/** Bytes of space taken at a time: small enough for progress to be seen. */
const ALLOCATION_STEP = 64 << 20;

/** See `Store.createVolume`. */
export async function createVolume(
  context: StoreContext,
  request: CreateVolumeRequest,
): Promise<VolumeInfo> {
  const { environment, directory, save } = context;
  const { name, size } = request;
  assertName('volume', name);
  assertNewVolume(context, name);
  assertWholeBlocks(size, save.blockSize, quote(name));
  await environment.files.makeDirectory(`${directory}/${VOLUMES_DIRECTORY}`);
  const relative = `${VOLUMES_DIRECTORY}/${name}.img`;
  const path = `${directory}/${relative}`;
  if ((await environment.files.status(path)) !== undefined) {
    throw new StorageError(
      'ERR_EXISTS',
      `the file ${path} is in the way; make it a volume as it is: ` +
        `pal volume adopt ${path} --name ${name}`,
    );
  }
  const device = await environment.files.create(path, size, save.blockSize);
  try {
    const lock = await environment.files.lock(path);
    const image = { device, lock };
    try {
      if (request.allocate === true) await allocate(context, image, size, request.onProgress);
      await device.flush();
      return await register(context, image, { name, path: relative, origin: 'created' });
    } catch (error) {
      await lock.release();
      throw error;
    }
  } catch (error) {
    await device.close();
    await environment.files.remove(path);
    throw error;
  }
}

/** See `Store.adoptVolume`. */
export async function adoptVolume(
  context: StoreContext,
  request: { readonly name: string; readonly path: string },
): Promise<VolumeInfo> {
  const { environment, directory, save } = context;
  assertName('volume', request.name);
  assertNewVolume(context, request.name);
  const path = await environment.files.resolve(directory, request.path);
  const status = await environment.files.status(path);
  if (status === undefined) {
    throw new StorageError('ERR_NOT_FOUND', `there is no file ${quote(path)}; check the path`);
  }
  if (status.kind !== 'file' && status.kind !== 'block-device') {
    throw new StorageError(
      'ERR_INVALID',
      `${path} is ${status.kind === 'directory' ? 'a directory' : 'not a file'}; ` +
        'a volume is made of a raw image file or a block device',
    );
  }
  await assertNotOurs(context, path, status);
  await assertNotOthers(context, path);
  if (status.kind === 'file') assertWholeBlocks(status.size, save.blockSize, path, path);
  const image = await holdImage(environment, path, save.blockSize);
  try {
    assertWholeBlocks(image.device.size, save.blockSize, path);
    const recorded = environment.files.within(directory, path) ?? path;
    return await register(context, image, {
      name: request.name,
      path: recorded,
      origin: 'adopted',
    });
  } catch (error) {
    await releaseImage(image);
    throw error;
  }
}

/** See `Store.releaseVolume`. */
export async function releaseVolume(
  context: StoreContext,
  name: string,
  options: ReleaseOptions,
): Promise<Removal> {
  const record = findVolume(context.index, name);
  const branches = context.index.branchesOf(record);
  const branchNames = branches.flatMap((each) => {
    const reference = branchReference(name, branchAttributes(each).name);
    const snapshots = each.snapshots.map((snapshot) =>
      snapshotReference(reference, snapshotAttributes(snapshot).name),
    );
    return [...snapshots, reference];
  });
  const snapshotNames = record.snapshots.map((each) =>
    snapshotReference(name, snapshotAttributes(each).name),
  );
  const dependants = [...branchNames, ...snapshotNames];
  await assertUnused(context, [name, ...dependants]);
  if (dependants.length > 0 && options.dropSnapshots !== true) {
    throw new StorageError(
      'ERR_IN_USE',
      `${name} has ${dependants.length} dependant${dependants.length === 1 ? '' : 's'}: ` +
        `${listed(dependants)}; delete them, or let them go with it: ` +
        `pal volume release ${name} --drop-snapshots`,
    );
  }
  const path = await imagePath(context.environment, context.directory, record);
  const removal = { removed: [...dependants, name], dryRun: options.dryRun === true, path };
  if (removal.dryRun) return removal;

  const volume = await openForRelease(context, record, path);
  try {
    // The image is complete when what a restore left to be copied back is there.
    await context.jobs.pause('restore', name).catch(() => undefined);
    await volume.production.copyBack();
    await dropDependants(context, record, volume, options.onProgress);
    options.onProgress?.({ phase: 'completing the image', done: 0, total: 1, unit: 'items' });
    // Everything a client wrote is in the raw file, durably, before the store forgets the volume.
    await volume.production.device.flush();
    await volume.production.close();
    await removeProductionVolume(context.save, record.id);
    await context.save.commit();
    await volume.image.device.flush();
    options.onProgress?.({ phase: 'completing the image', done: 1, total: 1, unit: 'items' });
  } finally {
    // Whatever happened, the volume is opened afresh when it is next asked for.
    context.attached.remove(record);
    try {
      await volume.production.close();
    } finally {
      await releaseImage(volume.image);
    }
  }
  return removal;
}

/** Forgets a volume that nothing depends on; its image goes too if the store made it. */
export async function letGo(context: StoreContext, record: VolumeRecord): Promise<void> {
  const path = await imagePath(context.environment, context.directory, record);
  const volume = await openForRelease(context, record, path);
  try {
    await volume.production.close();
    await removeProductionVolume(context.save, record.id);
  } finally {
    context.attached.remove(record);
    await releaseImage(volume.image);
  }
  if (volumeAttributes(record).origin === 'created') await context.environment.files.remove(path);
}

async function openForRelease(
  context: StoreContext,
  record: VolumeRecord,
  path: string,
): Promise<AttachedVolume> {
  if ((await context.environment.files.status(path)) === undefined) {
    return context.attached.openWithoutImage(record);
  }
  return context.attached.attach(record);
}

async function dropDependants(
  context: StoreContext,
  record: VolumeRecord,
  volume: AttachedVolume,
  onProgress: OnProgress | undefined,
): Promise<void> {
  // Those too that were deleted and could still be had back.
  const { branches: all } = context.index.everything();
  const branches = all.filter((branch) => branch.volume === record.id);
  const { snapshots = [] } = context.index.anyVolume(record.id) ?? {};
  const total = (branches.length > 0 ? 1 : 0) + snapshots.length;
  let done = 0;
  const step = (): void => {
    context.assertGoingOn();
    onProgress?.({ phase: 'dropping branches and snapshots', done, total, unit: 'items' });
    done += 1;
  };
  if (branches.length > 0) {
    step();
    // Together, as they may be based on each other's snapshots.
    const ids = branches.map(({ id }) => id);
    await deleteBranches(context.save, ids, { withSnapshots: true });
  }
  // Youngest first: then no block has to be handed on to an older snapshot.
  for (const snapshot of [...snapshots].reverse()) {
    step();
    await volume.production.deleteSnapshot(snapshot.id);
  }
}

async function register(
  context: StoreContext,
  image: HeldImage,
  part: Omit<VolumeAttributes, 'createdAt'>,
): Promise<VolumeInfo> {
  const attributes = { ...part, createdAt: context.environment.now() };
  const production = await createProductionVolume(context.save, image.device, attributes);
  context.attached.add(production, image);
  const record = findVolume(context.index, part.name);
  const path = await imagePath(context.environment, context.directory, record);
  return volumeInfo(context, record, path);
}

function assertNewVolume(context: StoreContext, name: string): void {
  if (context.index.volumeNamed(name) === undefined) return;
  throw new StorageError(
    'ERR_EXISTS',
    `there is a volume ${name} already; choose another name, or see it: pal volume list`,
  );
}

function assertWholeBlocks(size: number, blockSize: number, what: string, path?: string): void {
  if (Number.isSafeInteger(size) && size > 0 && size % blockSize === 0) return;
  if (size === 0) {
    throw new StorageError(
      'ERR_INVALID',
      `${what} has 0 bytes; a volume has at least ${blockSize}`,
    );
  }
  const whole = Math.ceil(size / blockSize) * blockSize;
  const fix =
    path === undefined ? `use ${whole}` : `make it longer first: truncate -s ${whole} ${path}`;
  throw new StorageError(
    'ERR_INVALID',
    `${what} has ${size} bytes, which is not a whole number of ${blockSize}-byte blocks; ${fix}`,
  );
}

async function assertNotOurs(
  context: StoreContext,
  path: string,
  status: FileStatus,
): Promise<void> {
  const { environment, directory } = context;
  for (const record of context.index.volumes()) {
    const other = await environment.files.status(await imagePath(environment, directory, record));
    if (other?.identity !== status.identity) continue;
    const { name } = volumeAttributes(record);
    throw new StorageError(
      'ERR_EXISTS',
      `${path} is the image of volume ${name} already; see it: pal volume list`,
    );
  }
}

/** Refuses a save volume, and the images that another store made for itself. */
async function assertNotOthers(context: StoreContext, path: string): Promise<void> {
  const { environment, directory } = context;
  const [parent, ...above] = environment.files.ancestors(path);
  for (const folder of [parent, ...above]) {
    if (folder === undefined) continue;
    const save = `${folder}/${SAVE_FILE}`;
    if (path === save) {
      throw new StorageError(
        'ERR_IN_USE',
        `${path} is the save volume of a store, not an image; adopt a raw disk image instead`,
      );
    }
    if (folder === directory) continue;
    const inside = environment.files.within(`${folder}/${VOLUMES_DIRECTORY}`, path);
    if (inside === undefined || (await environment.files.status(save)) === undefined) continue;
    throw new StorageError(
      'ERR_IN_USE',
      `${path} belongs to the store ${folder}; release it there first: ` +
        `pal volume release NAME --store ${folder}`,
    );
  }
}

async function allocate(
  context: StoreContext,
  image: HeldImage,
  size: number,
  onProgress: OnProgress | undefined,
): Promise<void> {
  for (let done = 0; done < size; ) {
    context.assertGoingOn();
    const length = Math.min(ALLOCATION_STEP, size - done);
    await image.device.zero(done, length, { allocate: true });
    done += length;
    onProgress?.({ phase: 'allocating', done, total: size, unit: 'bytes' });
  }
}
