/**
 * Opening a store: its lock, then its save volume, then its volumes; and making a new one.
 *
 * A new save volume is made under another name and moved into place when it is complete, so that
 * a crash leaves either no store or a whole one.
 */
import { isStorageError, StorageError } from '@palimpsest/block-device';
import { formatSaveVolume, openSaveVolume } from '@palimpsest/save-volume';
import type { ControlEnvironment, StoreLock } from './environment.js';
import { createLocalStore } from './local-store.js';
import { SpacePolicy } from './space-policy.js';
import type { Store } from './store.js';
import * as volumes from './volume-operations.js';

/** Bytes in a block of the save volume's file: a page. Every store's block size is a multiple. */
const FILE_BLOCK = 4096;
/** Bytes a new save volume starts with; it grows as it fills. */
const DEFAULT_SAVE_SIZE = 64 << 20;
/** Bytes of a store's id: no two stores have the same. */
const STORE_ID_BYTES = 16;
/** The shape of a new store. */
export interface CreateStoreOptions {
  /** Bytes in a block. @default 4096, the page size of most machines and file systems */
  readonly blockSize?: number;
  /** Bytes the save volume starts with, whole blocks. @default 64 MiB; it grows as it fills */
  readonly saveSize?: number;
}

/** How to open a store. */
export interface OpenStoreOptions {
  /** Names the clients that have a reference open, for messages. @default none, they are counted */
  readonly clientsOf?: (reference: string) => readonly string[];
  /**
   * Ends the sessions of the clients that have a reference open; resolves when they have let go.
   * @default nobody is ended, and `force` is refused while there are clients
   */
  readonly endClients?: (reference: string) => Promise<void>;
  /** Who is meant in the log when nobody is named. @default local */
  readonly by?: string;
}

/**
 * Makes an empty store in a directory, which may exist.
 * @throws {StorageError} ERR_EXISTS when it holds a store; ERR_NO_SPACE; ERR_IO.
 */
export async function createStore(
  given: string,
  options: CreateStoreOptions,
  environment: ControlEnvironment,
): Promise<void> {
  const { files } = environment;
  const directory = await files.resolve('/', given);
  const path = `${directory}/${volumes.SAVE_FILE}`;
  if ((await files.status(path)) !== undefined) {
    throw new StorageError(
      'ERR_EXISTS',
      `${directory} holds a store already; serve it: pal serve --store ${directory}`,
    );
  }
  await files.makeDirectory(directory);
  await files.makeDirectory(`${directory}/${volumes.VOLUMES_DIRECTORY}`);
  const draft = `${path}.new`;
  await files.remove(draft); // What a crash left half-made.
  const device = await files.create(draft, options.saveSize ?? DEFAULT_SAVE_SIZE, FILE_BLOCK);
  try {
    await formatSaveVolume(device, {
      ...(options.blockSize === undefined ? {} : { blockSize: options.blockSize }),
      storeId: environment.random(STORE_ID_BYTES),
    });
    await device.flush();
    await device.close();
    await files.rename(draft, path);
  } catch (error) {
    await device.close();
    await files.remove(draft);
    throw error;
  }
}

/**
 * Opens the store in a directory, for us alone, and recovers it if need be.
 * @throws {StorageError} ERR_NOT_FOUND when there is none; ERR_BUSY when it is open elsewhere;
 * ERR_FORMAT, ERR_CORRUPT when its save volume is not one or is damaged.
 */
export async function openStore(
  given: string,
  environment: ControlEnvironment,
  options: OpenStoreOptions = {},
): Promise<Store> {
  // Links followed: images inside are known by where they really are.
  const directory = await environment.files.resolve('/', given);
  const path = `${directory}/${volumes.SAVE_FILE}`;
  const status = await environment.files.status(path);
  if (status === undefined) {
    throw new StorageError(
      'ERR_NOT_FOUND',
      `there is no store in ${directory}; make one: pal init ${directory}`,
    );
  }
  if (status.size % FILE_BLOCK !== 0) {
    throw new StorageError(
      'ERR_CORRUPT',
      `cannot open the save volume ${path}: it was truncated, for it has ${status.size} bytes, ` +
        `which is not a whole number of ${FILE_BLOCK}-byte blocks; bring back the whole file`,
    );
  }
  const lock = await lockStore(environment, directory, path);
  try {
    const device = await environment.files.open(path, FILE_BLOCK);
    try {
      const policy = new SpacePolicy();
      const save = await openSaveVolume(device, {
        turn: environment.turn,
        ...policy.saveOptions,
      }).catch((error) => {
        throw explained(path, error);
      });
      return await createLocalStore(directory, environment, options, {
        lock,
        device,
        save,
        policy,
      });
    } catch (error) {
      await device.close();
      throw error;
    }
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function lockStore(
  environment: ControlEnvironment,
  directory: string,
  path: string,
): Promise<StoreLock> {
  try {
    return await environment.files.lock(path);
  } catch (error) {
    if (!isStorageError(error, 'ERR_BUSY')) throw error;
    throw new StorageError(
      'ERR_BUSY',
      `the store ${directory} is open in another process: ${error.message}; stop that one first`,
      { cause: error },
    );
  }
}

/** The same failure, told with the file it is about. */
function explained(path: string, error: unknown): unknown {
  if (!isStorageError(error)) return error;
  return new StorageError(error.code, `cannot open the save volume ${path}: ${error.message}`, {
    cause: error,
  });
}
