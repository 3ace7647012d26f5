/**
 * ProductionVolume: a raw image in place (the clone volume), and the queue of its read-only
 * snapshots, oldest (head) to youngest (tail).
 *
 *   Q1  A snapshot is taken alone: writes that were answered before are in the clone volume and
 *       flushed, writes that come meanwhile wait; then one atomic commit makes it exist (R4, R5).
 *   Q2..Q4  See snapshot-queue.ts.
 */
import { type BlockDevice, checked, invariant, StorageError } from '@palimpsest/block-device';
import { type Attributes, encodeObject, type SaveVolume } from '@palimpsest/save-volume';
import { CopyOut } from './copy-out.js';
import { Exclusion } from './exclusion.js';
import { createSnapshots, type SnapshotTaker, type StoppedTaker } from './group.js';
import { ProductionDevice } from './production-device.js';
import { openReadOnlySnapshot } from './read-only-snapshot.js';
import { findVolume, type SnapshotRecord, type StoredVolume, storedSnapshots } from './records.js';
import { growVolume, settleGrowth } from './resize.js';
import { SavedBlocks } from './saved-blocks.js';
import { type Alongside, type DeletionOptions, SnapshotQueue } from './snapshot-queue.js';

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
  await settleGrowth(save, id, clone);
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

/** How to take a snapshot. */
export interface SnapshotOptions {
  readonly alongside?: Alongside;
}

/** See the file header. Made by `createProductionVolume` and `openProductionVolume`. */
export class ProductionVolume implements AsyncDisposable, SnapshotTaker {
  readonly id: number;
  readonly attributes: Attributes;
  readonly save: SaveVolume;
  /** What users read and write. */
  readonly device: BlockDevice;
  readonly #clone: BlockDevice;
  readonly #saved: SavedBlocks;
  readonly #copyOut: CopyOut;
  readonly #exclusion = new Exclusion();
  readonly #queue: SnapshotQueue;
  #size: number;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(save: SaveVolume, id: number, clone: BlockDevice, attributes: Attributes) {
    this.id = id;
    this.attributes = attributes;
    this.#size = clone.size;
    this.save = save;
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
        size: () => this.#size,
      }),
    );
    this.#queue = new SnapshotQueue(save, id);
    this.#followQueue();
    save.join(this.#copyOut);
    this.#queue.resume();
  }

  /** Bytes. */
  get size(): number {
    return this.#size;
  }

  /** The snapshot queue, oldest (head) first. */
  get snapshots(): readonly SnapshotRecord[] {
    return this.#queue.records;
  }

  /**
   * Takes a snapshot: the volume as it is at this instant, with every write that was answered.
   * Durable when it resolves. The cost does not depend on the volume's size.
   * @throws {StorageError} ERR_NO_SPACE, and no snapshot; ERR_FAILED.
   */
  async createSnapshot(
    attributes: Attributes = {},
    options: SnapshotOptions = {},
  ): Promise<SnapshotRecord> {
    const members = [{ taker: this, attributes }];
    const [record] = await createSnapshots(members, options.alongside);
    return record as SnapshotRecord;
  }

  /** Lets a snapshot be taken, alone or in a group (Q1). */
  stopped<Result>(work: (stopped: StoppedTaker) => Promise<Result>): Promise<Result> {
    return this.#exclusion.alone(() => {
      this.#assertOpen();
      return work({
        drain: () => this.#drain(),
        add: (batch, attributes) => this.#queue.addTo(batch, this.#size, attributes),
        added: () => {
          this.#queue.read();
          this.#followQueue();
        },
      });
    });
  }

  /**
   * Grows the volume, and the clone volume with it, to `size` bytes; snapshots keep their size. The
   * new bytes are zeros. Durable when it resolves.
   * @throws {StorageError} ERR_INVALID when it would shrink; ERR_UNSUPPORTED, ERR_NO_SPACE as the
   * clone volume says.
   */
  async resize(size: number, options: { readonly alongside?: Alongside } = {}): Promise<void> {
    await this.#exclusion.alone(async () => {
      this.#assertOpen();
      await this.#drain();
      await growVolume(this.save, this.id, this.#clone, size, options.alongside);
      this.#size = size; // X2
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
      await this.#drain();
      await this.#queue.hide(id, options.alongside);
      this.#followQueue();
    });
    await this.#queue.finish(id, options);
  }

  /**
   * Opens a snapshot as a read-only device; any number may be open at once.
   * @throws {StorageError} ERR_NOT_FOUND.
   */
  openSnapshot(id: number): BlockDevice {
    const record = this.#queue.find(id);
    if (record === undefined) {
      throw new StorageError('ERR_NOT_FOUND', `volume ${this.id} has no snapshot ${id}`);
    }
    return openReadOnlySnapshot({
      save: this.save,
      clone: this.#clone,
      volume: this.id,
      snapshot: id,
      size: record.size,
      exists: () => this.#queue.find(id) !== undefined,
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
    await this.#queue.stop();
    try {
      await this.#exclusion.alone(async () => {
        this.#copyOut.closed = true; // writes that wait for this change are refused after it
        await this.#drain();
      });
    } finally {
      this.save.leave(this.#copyOut);
      if (this.#copyOut.held.size > 0) await this.#forget();
      await this.device.close();
    }
  }

  /** What could not be committed is dropped once no cycle can be at work on it any more. */
  async #forget(): Promise<void> {
    await Promise.allSettled([this.save.quiesced(() => Promise.resolve())]);
    this.#copyOut.held.drop();
  }

  /** Everything held is in the clone volume, and that is flushed. */
  async #drain(): Promise<void> {
    if (this.#copyOut.held.size > 0) await this.save.commit();
    const { failure, refusal } = this.#copyOut;
    if (failure !== undefined || refusal !== undefined) throw failure ?? refusal;
    invariant(this.#copyOut.held.size === 0, 'a commit with writers kept out leaves nothing held');
    await this.#clone.flush();
  }

  /** What follows from the queue as it is now. */
  #followQueue(): void {
    this.#copyOut.youngest = this.#queue.youngest;
    this.#saved.reset(this.#queue.answering);
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
