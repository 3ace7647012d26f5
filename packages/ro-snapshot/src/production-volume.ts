/**
 * ProductionVolume: a raw image in place (the clone volume), and the queue of its read-only
 * snapshots, oldest (head) to youngest (tail).
 *
 *   Q1  A snapshot is taken alone: writes that were answered before are in the clone volume and
 *       flushed, writes that come meanwhile wait; then one atomic commit makes it exist (R4, R5).
 *   Q2..Q4  See snapshot-queue.ts. Restores: restore-layers.ts, restores.ts, copy-back.ts.
 */
import { type BlockDevice, checked, invariant, StorageError } from '@palimpsest/block-device';
import type { Attributes, SaveVolume } from '@palimpsest/save-volume';
import { type CopyBackOptions, copyBack } from './copy-back.js';
import { CopyOut } from './copy-out.js';
import { Exclusion } from './exclusion.js';
import { createSnapshots, type SnapshotTaker, type StoppedTaker } from './group.js';
import { ProductionDevice } from './production-device.js';
import { openQueue } from './queues.js';
import { openReadOnlySnapshot } from './read-only-snapshot.js';
import type { SnapshotRecord } from './records.js';
import { growVolume } from './resize.js';
import { RestoreLayers } from './restore-layers.js';
import { progressOf } from './restore-records.js';
import { secureSnapshot } from './restore-room.js';
import type { RestoreProgress, RestoreSource } from './restore-source.js';
import { RestoreSpace } from './restore-space.js';
import {
  forgetRestores,
  type RestoreOptions,
  type RestoreParts,
  reopenRestores,
  type StartedRestore,
  startRestore,
} from './restores.js';
import { SavedBlocks } from './saved-blocks.js';
import { SavedStates } from './saved-states.js';
import type { Alongside, DeletionOptions, SnapshotQueue } from './snapshot-queue.js';
import { type BlockRun, type UnusedPlan, UnusedSpans } from './unused-spans.js';
import type { VolumeMetrics } from './volume-metrics.js';
import type { OpenOptions } from './volumes.js';

/** How to take a snapshot. */
export interface SnapshotOptions {
  readonly alongside?: Alongside;
  /**
   * Runs of blocks that hold nothing worth keeping, as a file system says. From the snapshot they
   * read as zeros, and they need no copy-out; whole aligned spans of 512 blocks count, the rest not.
   */
  readonly unused?: Iterable<BlockRun>;
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
  readonly #unused: UnusedSpans;
  readonly #layers: RestoreLayers;
  readonly #states: SavedStates;
  readonly #space: RestoreSpace;
  readonly #copyOut: CopyOut;
  readonly #exclusion = new Exclusion();
  readonly #queue: SnapshotQueue;
  readonly #parts: RestoreParts;
  readonly #leaving = new AbortController();
  #copying: Promise<void> | undefined;
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
    this.#unused = new UnusedSpans(save, id);
    this.#layers = new RestoreLayers(save, id, this.#unused);
    this.#states = new SavedStates(save, id, this.#layers, this.#unused);
    this.#space = new RestoreSpace(save);
    const shared = {
      save,
      clone,
      saved: this.#saved,
      layers: this.#layers,
      states: this.#states,
      space: this.#space,
      exclusion: this.#exclusion,
      size: () => this.#size,
    };
    this.#copyOut = new CopyOut({ ...shared, volume: id });
    this.device = checked(new ProductionDevice({ ...shared, copyOut: this.#copyOut }));
    this.#queue = openQueue(save, id);
    this.#parts = {
      ...shared,
      volume: id,
      queue: this.#queue,
      copyOut: this.#copyOut,
      openSnapshot: (snapshot) => this.openSnapshot(snapshot),
      drain: () => this.#drain(),
      follow: () => this.#follow(),
      assertOpen: () => this.#assertOpen(),
    };
    this.#follow();
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

  /** What was written, and what that took, since this was opened. */
  metrics(): VolumeMetrics {
    const { firstWritten, copiedOut, savedAsZero } = this.#copyOut.counts;
    return {
      users: { ...this.device.metrics },
      clone: { ...this.#clone.metrics },
      firstWrittenBlocks: firstWritten,
      copiedOutBlocks: copiedOut,
      savedAsZeroBlocks: savedAsZero,
    };
  }

  /** Restores that are not finished, oldest first; the last decides what is read. */
  get restores(): readonly RestoreProgress[] {
    return this.#layers.all.map((layer) => progressOf(this.save, this.id, layer));
  }

  /**
   * Takes a snapshot: the volume as it is at this instant, with every write that was answered.
   * Durable when it resolves. The cost does not depend on the volume's size.
   * @throws {StorageError} ERR_NO_SPACE, and no snapshot; ERR_FAILED.
   */
  async createSnapshot(
    attributes: Attributes = {},
    { alongside, unused }: SnapshotOptions = {},
  ): Promise<SnapshotRecord> {
    const member = { taker: this, attributes, ...(unused && { unused }) };
    const [record] = await createSnapshots([member], alongside);
    return record as SnapshotRecord;
  }

  /** Lets a snapshot be taken, alone or in a group (Q1). */
  stopped<Result>(work: (stopped: StoppedTaker) => Promise<Result>): Promise<Result> {
    return this.#exclusion.alone(() => {
      this.#assertOpen();
      let plan: UnusedPlan | undefined;
      return work({
        drain: async (unused) => {
          await this.#drain();
          await secureSnapshot(this.#parts);
          if (unused === undefined) return;
          const blocks = this.#size / this.save.blockSize;
          plan = await this.#unused.plan(unused, blocks, this.#queue.youngest);
        },
        add: (batch, attributes) => {
          const more = plan !== undefined && plan.spans.length > 0 ? { unused: true as const } : {};
          const record = this.#queue.addTo(batch, this.#size, attributes, more);
          if (plan !== undefined) this.#unused.put(batch, record.id, plan);
          return record;
        },
        added: () => this.#follow(true),
      });
    });
  }

  /**
   * Restores the volume to a snapshot of its own (its id) or to another source, after a snapshot of
   * the state now. Reads have the restored content, and writes go on, from the instant it resolves;
   * that is durable. `copyBack` does the rest. A restore that is started while one runs goes over it:
   * to its undo snapshot, that cancels it.
   * @throws {StorageError} ERR_NOT_FOUND; ERR_INVALID when the source is larger than the volume;
   * ERR_NO_SPACE when there is no space to save what may have to be (RS4), and nothing is changed.
   */
  startRestore(source: number | RestoreSource, options: RestoreOptions): Promise<StartedRestore> {
    return this.#exclusion.alone(() => {
      this.#assertOpen();
      return startRestore(this.#parts, source, options);
    });
  }

  /**
   * Copies restored blocks into the clone volume until no restore is left; at once when none runs. It
   * goes on where it stopped, also after a crash.
   * @throws {StorageError} ERR_BUSY when it runs already; ERR_IO, ERR_CORRUPT when a source cannot be
   * read; ERR_NO_SPACE; ERR_CLOSED. The signal's reason when that stops it.
   */
  async copyBack(options: CopyBackOptions = {}): Promise<void> {
    if (this.#copying !== undefined) {
      throw new StorageError('ERR_BUSY', `volume ${this.id} is being copied back already`);
    }
    const signals = [this.#leaving.signal, ...(options.signal ? [options.signal] : [])];
    const signal = AbortSignal.any(signals);
    const copying = copyBack(this.#parts, { ...options, signal }).finally(() => {
      this.#copying = undefined;
    });
    this.#copying = copying;
    await copying;
  }

  /** @internal Called once, before anything is served. */
  async reopenRestores(openSource?: OpenOptions['openSource']): Promise<void> {
    await reopenRestores(this.#parts, openSource && ((ref) => openSource(ref, this)));
    if (this.#layers.none) await forgetRestores(this.#parts);
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
      this.#follow();
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
      layers: this.#layers,
      unused: this.#unused,
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
    this.#leaving.abort(new StorageError('ERR_CLOSED', 'the volume was closed meanwhile'));
    await this.#queue.stop();
    try {
      await this.#exclusion.alone(async () => {
        this.#copyOut.closed = true; // writes that wait for this change are refused after it
        await this.#drain();
      });
    } finally {
      await Promise.allSettled([this.#copying]);
      await this.save.leave(this.#copyOut);
      this.#copyOut.held.drop(); // what could not be committed
      this.#space.forfeit();
      this.#layers.close();
      await this.device.close();
    }
  }

  /** Everything held is in the clone volume, that is flushed, and what is done is marked (RS2). */
  async #drain(): Promise<void> {
    if (this.#copyOut.held.size > 0) await this.save.commit(this.#copyOut);
    this.#assertSound();
    invariant(this.#copyOut.held.size === 0, 'a commit with writers kept out leaves nothing held');
    await this.#copyOut.flushed(() => this.#clone.flush());
    while (this.#layers.unmarked.size > 0) {
      await this.save.commit(this.#copyOut);
      this.#assertSound();
    }
  }

  #assertSound(): void {
    const { failure, refusal } = this.#copyOut;
    if (failure !== undefined || refusal !== undefined) throw failure ?? refusal;
  }

  /** What follows from the queue and the restores as they are now; `taken`: a snapshot just was. */
  #follow(taken = false): void {
    this.#copyOut.youngest = this.#queue.youngest;
    if (taken) this.#saved.begin(this.#queue.youngest);
    else this.#saved.reset(this.#queue.answering);
    this.#unused.reset(this.#queue.unused);
    this.#states.follow(this.#queue);
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw new StorageError('ERR_CLOSED', 'the volume is closed');
  }
}
