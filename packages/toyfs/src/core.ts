/**
 * Core: operations and transactions. An operation is a plain function that reads and changes blocks in
 * memory; it happens wholly or not at all, because the blocks it touches are kept as they were until
 * it ends. Operations join the running transaction, which a commit makes durable.
 *
 *   O1  An operation that throws has changed nothing. One that missed a block runs again with it.
 *   O2  A commit takes all changes so far, in the order they were made, and all file data of them.
 *   O3  A block freed in a transaction is not taken again before that one is durable, and only then is
 *       the device told (discard). So after a crash nothing that still has it finds another's bytes.
 *   O4  After a failed commit nothing is changed and nothing is written any more.
 *   O5  An operation that finds no space while freed blocks wait for a commit, commits and tries again.
 */
import { type BlockDevice, invariant } from '@palimpsest/block-device';
import type { Block, BlockCache, Held } from './block-cache.js';
import { CommitQueue } from './commit-queue.js';
import { afterFailure, DirtyData, writeFailure } from './dirty-data.js';
import { FsError, isFsError } from './errors.js';
import type { Journal } from './journal.js';
import { retry } from './retry.js';
import { type Seal, writeSeals } from './seals/seal.js';
import type { Seals } from './seals/seals.js';
import type { CoreListener, Run, Transaction } from './transaction.js';
import { emptyTransaction, mergeRuns } from './transaction.js';
import { UndoLog } from './undo-log.js';
import type { Answer } from './vfs.js';

/** File data in memory that the device does not have: when to begin writing it, when to wait for it. */
const DIRTY_SOFT = 4 << 20;
const DIRTY_HARD = 16 << 20;

/** See the head of the file. `now` answers milliseconds since 1970, with fractions. */
export class Core {
  readonly device: BlockDevice;
  readonly cache: BlockCache;
  readonly now: () => number;
  /** Undefined while the image is only read. */
  journal: Journal | undefined;
  listener: CoreListener | undefined;
  /** Undefined for images without checksums of metadata. */
  seals: Seals | undefined;
  /** How often freed blocks became free to be taken: then a read of the device may be of another's. */
  releases = 0;
  /** Why nothing is written any more (O4). */
  failure: Error | undefined;

  #transaction: Transaction = emptyTransaction(1);
  readonly #dirty: DirtyData;
  readonly #undoLog = new UndoLog();
  #operation = 0;
  #isChanging = false;
  #freedBefore = 0;
  readonly #queue: CommitQueue = new CommitQueue(() => this.#commit());
  #gate: Promise<void> | undefined;

  constructor(device: BlockDevice, cache: BlockCache, now: () => number) {
    this.device = device;
    this.cache = cache;
    this.now = now;
    this.#dirty = new DirtyData(
      device,
      cache.blockSize,
      (error) => this.fail(error),
      (block) => cache.written(block),
    );
  }

  /** Runs an operation that changes nothing. */
  read<T>(body: () => T): Answer<T> {
    return retry(this.cache, body, undefined);
  }

  /**
   * Runs an operation that changes blocks (O1). One that goes on with what others began, `isStep`, is
   * let through a closed gate.
   */
  change<T>(body: () => T, isStep = false): Answer<T> {
    return this.#change(body, isStep, true, undefined);
  }

  #change<T>(body: () => T, isStep: boolean, mayCommit: boolean, held: Held): Answer<T> {
    const wait = this.#obstacle(isStep);
    if (wait !== undefined) return wait.then(() => this.#change(body, isStep, mayCommit, held));
    this.cache.trim();
    const attempt = (): T => {
      this.#begin();
      try {
        const result = body();
        this.#end();
        return result;
      } catch (error) {
        this.#undo();
        throw error;
      }
    };
    try {
      return retry(this.cache, attempt, held, (missed) =>
        this.#change(body, isStep, mayCommit, missed),
      );
    } catch (error) {
      const isFull = mayCommit && isFsError(error, 'ENOSPC');
      if (!isFull || this.#transaction.freed.length === 0) throw error;
      return this.commit().then(() => this.#change(body, isStep, false, held)); // O5
    }
  }

  /** Blocks that the operation under way has changed: for those that go in steps. */
  get touched(): number {
    return this.#undoLog.before.length + this.#undoLog.fresh.length;
  }

  /** Blocks that one step of a long operation may change. */
  readonly stepLimit = 24;

  /** Says that the operation is about to change `block`. */
  touch(block: Block): void {
    if (block.operation === this.#operation) return;
    invariant(this.#isChanging, 'blocks are changed by operations');
    block.operation = this.#operation;
    this.#undoLog.keep(block);
    this.#join(block);
  }

  /** A block of metadata just allocated: zeros. On images with `seals` it needs one. */
  freshMetadata(number: number, seal?: Seal): Block {
    const block = this.cache.fresh(number);
    block.seal = seal;
    block.operation = this.#operation;
    this.#undoLog.fresh.push(number);
    this.#join(block);
    return block;
  }

  /** A block of file data just allocated, to be marked by `soil`: zeros, unless all of it is filled. */
  freshData(number: number, isFilled: boolean): Block {
    this.#undoLog.fresh.push(number);
    return isFilled ? this.cache.fill(number) : this.cache.fresh(number);
  }

  /** Says that the file data in `block` is not what the device has. Between operations too. */
  soil(block: Block): void {
    this.#dirty.add(block);
  }

  /** Says that the operation has freed blocks, of file data or of metadata (O3). */
  free(run: Run): void {
    this.#transaction.freed.push(run);
    for (let number = run.start; number < run.start + run.count; number++) {
      if (this.cache.peek(number) !== undefined) this.#undoLog.dropped.push(number);
      if (this.cache.logged.has(number)) this.#undoLog.revoked.push(number);
    }
  }

  /** True when there is nothing to commit. */
  get isIdle(): boolean {
    const { blocks, freed } = this.#transaction;
    return blocks.size === 0 && freed.length === 0 && this.#dirty.isEmpty;
  }

  /** Makes everything so far durable (O2). Those who ask while one runs share the next. */
  commit(): Promise<void> {
    return this.#queue.ask();
  }

  /** Lets no operation begin until the answered function is called. */
  close(): () => void {
    let open = (): void => undefined;
    this.#gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    return () => {
      this.#gate = undefined;
      open();
    };
  }

  /** Runs `work` while no commit runs. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    return this.#queue.alone(work);
  }

  /** Throws when nothing may be written any more (O4). */
  assertWorking(): void {
    if (this.failure !== undefined) throw afterFailure('EIO', this.failure);
  }

  /** Remembers that writing failed (O4). */
  fail(error: unknown): void {
    this.failure ??= error instanceof Error ? error : new Error(String(error));
  }

  /** Why a change cannot begin: throws for good, or answers what to wait for. */
  #obstacle(isStep: boolean): Promise<void> | undefined {
    if (this.failure !== undefined) throw afterFailure('EROFS', this.failure);
    if (this.#gate !== undefined && !isStep) return this.#gate;
    const { journal } = this;
    if (journal === undefined)
      throw new FsError('EROFS', 'the file system is open for reading only');
    const { blocks } = this.#transaction;
    if (blocks.size + 2 * this.stepLimit > journal.transactionLimit) return this.commit();
    if (this.#dirty.size > DIRTY_HARD) return this.#dirty.writeBack();
    // The next commit tells of a failure.
    if (this.#dirty.size > DIRTY_SOFT && !this.#dirty.isWriting) {
      this.#dirty.writeBack().catch(() => undefined);
    }
    return undefined;
  }

  #begin(): void {
    invariant(!this.#isChanging, 'operations do not nest');
    this.#isChanging = true;
    this.#operation++;
    this.#freedBefore = this.#transaction.freed.length;
  }

  #end(): void {
    this.#isChanging = false;
    for (const number of this.#undoLog.revoked) this.#transaction.revoked.add(number);
    for (const number of this.#undoLog.dropped) this.#drop(number);
    this.#undoLog.clear();
    this.listener?.settled();
  }

  #undo(): void {
    for (const { block, bytes, transaction } of this.#undoLog.before) {
      block.bytes.set(bytes);
      if (transaction === 0) {
        block.transaction = 0;
        this.#transaction.blocks.delete(block);
      }
    }
    for (const number of this.#undoLog.fresh) this.#drop(number);
    this.#transaction.freed.length = this.#freedBefore;
    this.#isChanging = false;
    this.#undoLog.clear();
    this.listener?.undone();
  }

  #join(block: Block): void {
    if (block.transaction !== 0) return;
    block.transaction = this.#transaction.number;
    this.#transaction.blocks.add(block);
  }

  #drop(number: number): void {
    const block = this.cache.peek(number);
    if (block === undefined) return;
    this.#dirty.drop(block);
    if (block.transaction !== 0) this.#transaction.blocks.delete(block);
    block.transaction = 0;
    this.cache.drop(number);
  }

  async #commit(): Promise<void> {
    this.assertWorking();
    await undefined; // Whoever asks in this turn is served by this commit.
    if (this.isIdle) return;
    const journal = this.journal as Journal;
    // Most data goes first, while changes go on; when the device has no space for it, nothing is lost.
    for (let round = 0; round < 3 && !this.#dirty.isEmpty; round++) await this.#dirty.writeBack();
    await this.#dirty.settled();
    try {
      const { blocks, revoked } = this.#transaction;
      if (!journal.hasRoomFor(blocks.size + 2, revoked.size)) await journal.checkpoint();
      await this.#commitNow(journal);
      if (journal.isFilling) await journal.checkpoint();
    } catch (error) {
      this.fail(error);
      throw writeFailure(error);
    }
  }

  async #commitNow(journal: Journal): Promise<void> {
    this.#begin();
    this.listener?.closing();
    this.#end();
    const transaction = this.#transaction;
    this.#transaction = emptyTransaction(transaction.number + 1);
    // In the order of the device, so that neighbours go home together.
    const blocks = [...transaction.blocks].sort((a, b) => a.number - b.number);
    if (this.seals !== undefined) writeSeals(blocks);
    const log = journal.compose(blocks, [...transaction.revoked]);
    for (const block of blocks) block.transaction = 0;
    await Promise.all([this.#dirty.write(), journal.write(log)]);
    await this.device.flush(); // J1
    await journal.commit(log, this.now());
    await this.device.flush();
    for (const number of transaction.revoked) this.cache.logged.delete(number); // J4
    await this.#release(transaction.freed);
  }

  async #release(freed: readonly Run[]): Promise<void> {
    if (freed.length === 0) return;
    const size = this.cache.blockSize;
    const merged = mergeRuns(freed);
    for (const { start, count } of merged) await this.device.discard(start * size, count * size);
    this.releases++;
    this.listener?.released(merged);
  }
}
