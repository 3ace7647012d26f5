/**
 * ProductionVolume: a raw image in place (the clone volume), and the queue of its read-only
 * snapshots, oldest (head) to youngest (tail).
 *
 *   Q1  A snapshot is taken alone: writes that were answered before are in the clone volume and
 *       flushed, writes that come meanwhile wait; then one atomic commit makes it exist (R4, R5).
 *   Q2  Blocks are saved for the youngest snapshot only, whatever their number.
 *   Q3  Deleting snapshot k keeps every other: an entry saved for k also answers for the older ones
 *       back to the entry before it. If the next older snapshot p is among them the entry is moved
 *       to p, else its block is given back. k is hidden in one commit; its entries follow in as many
 *       as it takes, and a crash between them is resumed at the next opening (I6).
 */
import { type BlockDevice, checked, invariant, StorageError } from '@palimpsest/block-device';
import {
  type Attributes,
  type Batch,
  encodeObject,
  type SaveVolume,
  type StoredObject,
  storedObjects,
} from '@palimpsest/save-volume';
import { CopyOut } from './copy-out.js';
import { Exclusion } from './exclusion.js';
import { ProductionDevice } from './production-device.js';
import { openReadOnlySnapshot } from './read-only-snapshot.js';
import {
  findVolume,
  type SnapshotRecord,
  type StoredSnapshot,
  type StoredVolume,
  snapshotRecord,
  storedSnapshots,
} from './records.js';
import { SavedBlocks } from './saved-blocks.js';

/** Entries that one commit of a deletion moves or gives back at most. */
const DELETE_STEP = 4096;
/** A deletion may use what is kept for it when the store is full. */
const GIVES_BACK = { givesBack: true };

/** How to delete. */
export interface DeletionOptions {
  /** Hears how many saved blocks were dealt with, and about how many there are. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Takes a device on as a production volume, in place: no byte of it is changed or copied.
 * @throws {StorageError} ERR_INVALID when its size is not whole blocks of the store.
 */
export async function createProductionVolume(
  save: SaveVolume,
  clone: BlockDevice,
  attributes: Attributes = {},
): Promise<ProductionVolume> {
  assertFits(save, clone);
  const id = save.newObjectId();
  const volume: StoredVolume = { type: 'volume', size: clone.size, attributes };
  await save.transact((batch) => batch.object(id, encodeObject(volume)));
  return openProductionVolume(save, id, clone);
}

/**
 * Opens a production volume of the store on its clone volume, and resumes deletions of snapshots
 * that were under way. The clone volume and the store are the caller's to close, afterwards.
 * @throws {StorageError} ERR_NOT_FOUND; ERR_INVALID when the clone volume's size is not the recorded one.
 */
export async function openProductionVolume(
  save: SaveVolume,
  id: number,
  clone: BlockDevice,
): Promise<ProductionVolume> {
  assertFits(save, clone);
  const volume = findVolume(save, id);
  if (volume.size !== clone.size) {
    throw new StorageError(
      'ERR_INVALID',
      `the image has ${clone.size} bytes, the volume was ${volume.size}: ` +
        'its snapshots need the image as it was; put the right file back in its place',
    );
  }
  return new ProductionVolume(save, id, clone, volume.attributes);
}

/**
 * Forgets a production volume; its clone volume is left as it is, plain and complete.
 * @throws {StorageError} ERR_IN_USE while it has snapshots, also ones being deleted; ERR_NOT_FOUND.
 */
export async function removeProductionVolume(save: SaveVolume, id: number): Promise<void> {
  findVolume(save, id);
  const snapshots = storedSnapshots(save, id);
  if (snapshots.length > 0) {
    throw new StorageError(
      'ERR_IN_USE',
      `volume ${id} has ${snapshots.length} snapshots: delete them first`,
    );
  }
  await save.transact((batch) => batch.object(id, undefined));
}

/** See the file header. Made by `createProductionVolume` and `openProductionVolume`. */
export class ProductionVolume implements AsyncDisposable {
  readonly id: number;
  readonly attributes: Attributes;
  /** What users read and write. */
  readonly device: BlockDevice;
  readonly #save: SaveVolume;
  readonly #clone: BlockDevice;
  readonly #saved: SavedBlocks;
  readonly #copyOut: CopyOut;
  readonly #exclusion = new Exclusion();
  #queue: SnapshotRecord[] = [];
  /** Snapshots hidden but not gone yet, oldest first. */
  #deleting: number[] = [];
  #deletions: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(save: SaveVolume, id: number, clone: BlockDevice, attributes: Attributes) {
    this.id = id;
    this.attributes = attributes;
    this.#save = save;
    this.#clone = clone;
    this.#saved = new SavedBlocks(save, id);
    this.#copyOut = new CopyOut(save, clone, id, this.#saved);
    this.device = checked(
      new ProductionDevice({
        save,
        clone,
        copyOut: this.#copyOut,
        saved: this.#saved,
        exclusion: this.#exclusion,
      }),
    );
    this.#readQueue();
    save.join(this.#copyOut);
    for (const snapshot of this.#deleting) this.#finishDeletion(snapshot);
  }

  /** Bytes. */
  get size(): number {
    return this.#clone.size;
  }

  /** The snapshot queue, oldest (head) first. */
  get snapshots(): readonly SnapshotRecord[] {
    return this.#queue;
  }

  /**
   * Takes a snapshot: the volume as it is at this instant, with every write that was answered.
   * Durable when it resolves. The cost does not depend on the volume's size.
   * @throws {StorageError} ERR_NO_SPACE, and no snapshot; ERR_FAILED.
   */
  createSnapshot(attributes: Attributes = {}): Promise<SnapshotRecord> {
    return this.#exclusion.alone(async () => {
      this.#assertOpen();
      await this.#drain();
      const id = this.#save.newObjectId();
      const snapshot: StoredSnapshot = {
        type: 'snapshot',
        volume: this.id,
        size: this.#clone.size,
        attributes,
      };
      await this.#save.transact((batch) => batch.object(id, encodeObject(snapshot)));
      this.#readQueue();
      return snapshotRecord({ id, object: snapshot });
    });
  }

  /**
   * Deletes a snapshot, whichever (Q3). It is gone for good when this resolves, and every block
   * that only it needed is free.
   * @throws {StorageError} ERR_NOT_FOUND; ERR_IN_USE when something is based on it.
   */
  async deleteSnapshot(id: number, options: DeletionOptions = {}): Promise<void> {
    await this.#exclusion.alone(async () => {
      this.#assertOpen();
      const stored = storedSnapshots(this.#save, this.id).find((snapshot) => snapshot.id === id);
      if (stored === undefined || stored.object.deleting === true) {
        throw new StorageError('ERR_NOT_FOUND', `volume ${this.id} has no snapshot ${id}`);
      }
      await this.#drain();
      const hidden: StoredSnapshot = { ...stored.object, deleting: true };
      await this.#save.transact((batch) => {
        this.#assertNoDependants(id, batch);
        batch.object(id, encodeObject(hidden));
      }, GIVES_BACK);
      this.#readQueue();
    });
    await this.#finishDeletion(id, options);
  }

  /**
   * Opens a snapshot as a read-only device; any number may be open at once.
   * @throws {StorageError} ERR_NOT_FOUND.
   */
  openSnapshot(id: number): BlockDevice {
    const record = this.#queue.find((snapshot) => snapshot.id === id);
    if (record === undefined) {
      throw new StorageError('ERR_NOT_FOUND', `volume ${this.id} has no snapshot ${id}`);
    }
    return openReadOnlySnapshot({
      save: this.#save,
      clone: this.#clone,
      volume: this.id,
      snapshot: id,
      size: record.size,
      exists: () => this.#queue.some((snapshot) => snapshot.id === id),
    });
  }

  /** Makes everything durable and takes no part any more. Deletions go on at the next opening. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await this.#deletions;
    try {
      await this.#exclusion.alone(async () => {
        this.#copyOut.closed = true; // writes that wait for this change are refused after it
        await this.#drain();
      });
    } finally {
      this.#save.leave(this.#copyOut);
      if (this.#copyOut.held.size > 0) await this.#forget();
      await this.device.close();
    }
  }

  /** What could not be committed is dropped once no cycle can be at work on it any more. */
  async #forget(): Promise<void> {
    await Promise.allSettled([this.#save.quiesced(() => Promise.resolve())]);
    this.#copyOut.held.drop();
  }

  /** Everything held is in the clone volume, and that is flushed. */
  async #drain(): Promise<void> {
    if (this.#copyOut.held.size > 0) await this.#save.commit();
    const { failure, refusal } = this.#copyOut;
    if (failure !== undefined || refusal !== undefined) throw failure ?? refusal;
    invariant(this.#copyOut.held.size === 0, 'a commit with writers kept out leaves nothing held');
    await this.#clone.flush();
  }

  /** Takes the queue over from the stored objects, and what follows from it. */
  #readQueue(): void {
    const stored = storedSnapshots(this.#save, this.id);
    const deleting = stored.filter(({ object }) => object.deleting === true).map(({ id }) => id);
    this.#queue = stored.filter(({ object }) => object.deleting !== true).map(snapshotRecord);
    this.#deleting = deleting;
    const youngest = this.#queue.at(-1)?.id ?? 0;
    this.#copyOut.youngest = youngest;
    // Entries of younger snapshots that are being deleted answer for the youngest one too.
    const answering = deleting.filter((id) => id > youngest).reverse();
    const versions = youngest === 0 ? [] : [...answering, youngest];
    this.#saved.reset(versions);
  }

  #assertNoDependants(snapshot: number, batch: Batch): void {
    const dependants = storedObjects<StoredObject>(this.#save, 'branch', batch).filter(
      ({ object }) => object.base?.volume === this.id && object.base.snapshot === snapshot,
    );
    if (dependants.length === 0) return;
    throw new StorageError(
      'ERR_IN_USE',
      `snapshot ${snapshot} is the base of ${dependants.length} branches: delete them first`,
    );
  }

  /** Gives back or moves every entry of a hidden snapshot, one deletion after the other. */
  #finishDeletion(snapshot: number, options: DeletionOptions = {}): Promise<void> {
    const done = this.#deletions.then(() => this.#moveEntries(snapshot, options));
    // A deletion that fails is reported to who asked for it, and resumed at the next opening.
    this.#deletions = done.catch(() => undefined);
    return done;
  }

  async #moveEntries(snapshot: number, { onProgress }: DeletionOptions): Promise<void> {
    const save = this.#save;
    const total = onProgress === undefined ? 0 : await save.map.count(this.id, snapshot);
    let done = 0;
    for (let from = 0; ; ) {
      const step = Math.min(DELETE_STEP, Math.floor(save.operationsMax / 2)); // two operations each
      const blocks = await save.map.listSaved(this.id, snapshot, from, step);
      const last = blocks.at(-1);
      if (last === undefined) break;
      if (this.#closing !== undefined) return;
      await this.#moveBlocks(snapshot, blocks);
      done += blocks.length;
      onProgress?.(done, Math.max(done, total));
      from = last + 1;
    }
    await save.transact((batch) => batch.object(snapshot, undefined), GIVES_BACK);
    this.#deleting = this.#deleting.filter((id) => id !== snapshot);
  }

  async #moveBlocks(snapshot: number, blocks: readonly number[]): Promise<void> {
    const save = this.#save;
    const steps: {
      block: number;
      keep: boolean;
      entry: Awaited<ReturnType<SaveVolume['find']>>;
    }[] = [];
    // Looked up afresh for each step: a snapshot is never created between two existing ones.
    const heir = this.#queue.findLast(({ id }) => id < snapshot)?.id;
    for (const block of blocks) {
      const entry = await save.find(this.id, block, snapshot);
      const heard = heir === undefined ? undefined : await save.find(this.id, block, heir);
      steps.push({ block, entry, keep: heard?.version === snapshot });
    }
    await save.transact((batch) => {
      for (const { block, entry, keep } of steps) {
        if (entry?.version !== snapshot) continue;
        batch.remove(this.id, block, snapshot);
        if (keep && heir !== undefined) batch.set(this.id, block, { ...entry, version: heir });
        else if (entry.address !== 0) batch.free(entry.address);
      }
    }, GIVES_BACK);
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw new StorageError('ERR_CLOSED', 'the volume is closed');
  }
}

function assertFits(save: SaveVolume, clone: BlockDevice): void {
  if (clone.size % save.blockSize === 0 && save.blockSize % clone.blockSize === 0 && clone.size > 0)
    return;
  const padded = Math.max(1, Math.ceil(clone.size / save.blockSize)) * save.blockSize;
  throw new StorageError(
    'ERR_INVALID',
    `an image of ${clone.size} bytes is not a whole number of the store's ${save.blockSize}-byte ` +
      `blocks: pad it to ${padded} bytes (truncate -s ${padded} FILE)`,
  );
}
