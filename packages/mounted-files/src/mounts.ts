/**
 * Mounts: the file systems on a store's volumes, snapshots and branches, open here, each once.
 *
 *   MO1  One reference has one file system, which all its users share: there are never two writers of a
 *        device in a process, nor one beside an NBD client's. A volume or branch is had alone, to read
 *        too, as what others write would not be seen; a snapshot, which never changes, is shared.
 *   MO2  It closes, and is clean, when the last user has left and a quiet time has passed; at once when
 *        the store wants its device for something else (a client, a restore, a refresh). So nothing that
 *        was kept in memory of an older content is ever written over a newer one.
 *   MO3  Before a snapshot of a volume or branch that is mounted, it is frozen, with a deadline.
 */
import { isStorageError, StorageError } from '@palimpsest/block-device';
import type { OpenExport, Store } from '@palimpsest/control';
import type { FileSystem, OpenOptions, Timer } from '@palimpsest/toyfs';
import { isAtRest } from './at-rest.js';
import { Mounted, type MountedMeans } from './mounted.js';
import { type ImageChoice, openImage } from './open-image.js';

/** How file systems are mounted. */
export interface MountsOptions {
  /** Milliseconds that one stays open after its last user. @default 2000 */
  readonly idleMs?: number;
  /** Milliseconds that bringing one to rest for a snapshot may take, and the rest last. @default 10000 */
  readonly freezeMs?: number;
  /** @default the system's timers */
  readonly timer?: Timer;
  /** For the file systems. @default as those of toyfs */
  readonly files?: Pick<OpenOptions, 'cacheBytes' | 'now' | 'commitMs'>;
  /** Told of failures that no user hears of. @default nobody is */
  readonly warn?: (message: string) => void;
}

/** A user's share of a mounted file system. */
export interface Mount extends AsyncDisposable {
  /** What the reference meant: `prod@latest` becomes `prod@monday`. */
  readonly reference: string;
  readonly fs: FileSystem;
  /** Leaves it. Idempotent. */
  release(): Promise<void>;
}

/** See the head of the file. */
export interface Mounts extends AsyncDisposable {
  /**
   * The file system on a volume, snapshot or branch.
   * @throws {StorageError} ERR_NOT_FOUND; ERR_IN_USE while an NBD client has the volume or branch, or
   * another part of it is mounted; ERR_FORMAT when there is none; ERR_CLOSED
   */
  mount(reference: string, choice?: ImageChoice): Promise<Mount>;
  /**
   * Lets `use` have the device itself, with no file system of it mounted.
   * @throws {StorageError} as `mount`
   */
  withDevice<T>(reference: string, use: (opened: OpenExport) => Promise<T>): Promise<T>;
  /** Closes every file system, whoever uses it, and attends the store no more. Idempotent. */
  close(): Promise<void>;
}

/** Mounts file systems of a store. Close it before the store. */
export function createMounts(store: Store, options: MountsOptions = {}): Mounts {
  return new StoreMounts(store, options);
}

class StoreMounts implements Mounts {
  readonly #store: Store;
  readonly #mounted = new Map<string, Mounted>();
  readonly #means: MountedMeans;
  readonly #files: OpenOptions;
  readonly #stopAttending: () => void;
  #closing: Promise<void> | undefined;

  constructor(store: Store, options: MountsOptions) {
    const { timer = systemTimer, idleMs = 2_000, freezeMs = 10_000 } = options;
    const { warn = () => undefined } = options;
    this.#store = store;
    this.#files = { ...options.files, timer };
    const forget = (each: Mounted): void => {
      if (this.#mounted.get(each.reference) === each) this.#mounted.delete(each.reference);
    };
    this.#means = { timer, idleMs, freezeMs, warn, forget };
    this.#stopAttending = store.attend({
      quiesce: (targets) => this.#quiesce(targets),
      judge: async (snapshot) => ((await isAtRest(snapshot)) ? 'clean' : 'crash-consistent'),
    });
  }

  async mount(text: string, asked: ImageChoice = {}): Promise<Mount> {
    for (;;) {
      if (this.#closing !== undefined)
        throw new StorageError('ERR_CLOSED', 'the mounts are closed');
      const reference = this.#store.resolve(text);
      // Nobody writes to a snapshot; who means to is told so by its file system.
      const choice = reference.includes('@') ? { ...asked, write: false } : asked;
      const found = this.#mounted.get(reference) ?? this.#begin(reference, choice);
      found.enter();
      const fs = await found.opened.catch(async (error) => {
        await found.leave();
        throw error;
      });
      if (serves(found, fs, choice)) return share(found, fs);
      await found.leave();
      if (found.users > 0) throw usedOtherwise(reference);
      await found.end();
    }
  }

  async withDevice<T>(text: string, use: (opened: OpenExport) => Promise<T>): Promise<T> {
    const reference = this.#store.resolve(text);
    const opened = await openAlone(this.#store, reference, async () => false);
    try {
      return await use(opened);
    } finally {
      await opened.release();
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #begin(reference: string, choice: ImageChoice): Mounted {
    const made = new Mounted(reference, choice, this.#means, async (each) => {
      const opened = await openAlone(this.#store, reference, (force) => each.letGo(force));
      return { share: opened, image: openImage(opened.device, reference, choice, this.#files) };
    });
    this.#mounted.set(reference, made);
    return made;
  }

  /** MO3. What cannot be frozen is snapshotted as it is. */
  async #quiesce(targets: readonly string[]): Promise<() => Promise<void>> {
    const goOn = await Promise.all(
      targets.map((target) =>
        this.#mounted
          .get(target)
          ?.freeze()
          .catch((error) => {
            this.#means.warn(`${target} could not be frozen for a snapshot: ${String(error)}`);
          }),
      ),
    );
    return async () => {
      for (const each of goOn) await each?.();
    };
  }

  async #closeAll(): Promise<void> {
    this.#stopAttending();
    await Promise.all([...this.#mounted.values()].map((each) => each.end()));
  }
}

/** Whether a file system that is open is what is asked for. */
function serves(found: Mounted, fs: FileSystem, { partition, write }: ImageChoice): boolean {
  if (found.choice.partition !== partition) return false;
  // Opened for reading because it was not clean: who means to write replays its journal first (OI1).
  return write !== true || found.choice.write === true || !fs.readOnly;
}

function share(found: Mounted, fs: FileSystem): Mount {
  let released: Promise<void> | undefined;
  const release = (): Promise<void> => {
    released ??= found.leave();
    return released;
  };
  const { reference } = found;
  return { reference, fs, release, [Symbol.asyncDispose]: release };
}

/** MO1. */
async function openAlone(
  store: Store,
  reference: string,
  letGo: (force: boolean) => Promise<boolean>,
): Promise<OpenExport> {
  const alone = !reference.includes('@');
  try {
    return await store.openExport(reference, { alone, letGo });
  } catch (error) {
    if (!isStorageError(error, 'ERR_IN_USE')) throw error;
    throw new StorageError(
      'ERR_IN_USE',
      `${error.message}; its file system is theirs to change, and what they have in memory is not ` +
        `seen here. Look at it as it is now: pal snapshot create ${reference}, then ` +
        `${reference}@latest`,
      { cause: error },
    );
  }
}

function usedOtherwise(reference: string): StorageError {
  return new StorageError(
    'ERR_IN_USE',
    `another part of ${reference} is in use, or it is being read as it was found; try again when ` +
      'that is done',
  );
}

const systemTimer: Timer = (callback, milliseconds) => {
  const timer = setTimeout(callback, milliseconds);
  timer.unref();
  return () => clearTimeout(timer);
};
