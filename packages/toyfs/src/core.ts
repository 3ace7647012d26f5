/**
 * Core: operations and transactions. An operation is a plain function that reads and changes blocks in
 * memory; it happens wholly or not at all, because the blocks it touches are kept as they were until
 * it ends. Operations join the running transaction; a commit makes that durable, with everything
 * before it.
 *
 *   O1  An operation that throws has changed nothing. One that missed a block runs again with it.
 *   O2  A commit takes all changes so far, in the order they were made, and all file data of them.
 *   O3  A block freed in a transaction is not taken again before that one is durable, and only then is
 *       the device told (discard). So after a crash nothing that still has it finds another's bytes.
 *   O4  After a failed commit nothing is changed and nothing is written any more.
 *   O5  An operation that finds no space while freed blocks wait for a commit, commits and tries again.
 */
import type { BlockDevice } from '@palimpsest/block-device';
import { invariant, isStorageError } from '@palimpsest/block-device';
import { type Block, type BlockCache, Miss } from './block-cache.js';
import { FsError, isFsError } from './errors.js';
import type { Journal } from './journal.js';
import type { Answer } from './vfs.js';
import { writeRuns } from './write-runs.js';

/** A run of blocks. */
export interface Run {
  readonly start: number;
  readonly count: number;
}

/** What is collected until the next commit. */
interface Transaction {
  readonly number: number;
  /** Changed blocks of metadata. */
  readonly blocks: Set<Block>;
  /** Freed blocks that may have images in the ring. */
  readonly revoked: Set<number>;
  readonly freed: Run[];
}

/** Told by the core when an operation ends badly, and when freed blocks may be used again. */
export interface CoreListener {
  /** The operation was good. */
  settled(): void;
  /** What the operation did beyond blocks is to be undone. */
  undone(): void;
  /** The blocks may be taken again (O3). */
  released(runs: readonly Run[]): void;
  /** Changes what every transaction ends with: totals in the superblock. Runs as an operation. */
  closing(): void;
}

/** File data in memory that the device does not have: when to begin writing it, when to wait for it. */
const DIRTY_SOFT = 8 << 20;
const DIRTY_HARD = 48 << 20;

/** See the head of the file. */
export class Core {
  readonly device: BlockDevice;
  readonly cache: BlockCache;
  /** Milliseconds since 1970, with fractions. */
  readonly now: () => number;
  /** Undefined while the image is only read. */
  journal: Journal | undefined;
  listener: CoreListener | undefined;
  /** How often freed blocks became free to be taken: then a read of the device may be of another's. */
  releases = 0;
  /** Why nothing is written any more (O4). */
  failure: Error | undefined;

  #transaction: Transaction = { number: 1, blocks: new Set(), revoked: new Set(), freed: [] };
  readonly #dirty = new Map<number, Block>();
  #operation = 0;
  #isChanging = false;
  readonly #before: { block: Block; bytes: Uint8Array; transaction: number }[] = [];
  readonly #spare: Uint8Array[] = [];
  readonly #fresh: number[] = [];
  readonly #dropped: number[] = [];
  readonly #revokedNow: number[] = [];
  #freedBefore = 0;
  /** The commit under way, and the one that follows it. */
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #writeback: Promise<void> | undefined;
  #gate: Promise<void> | undefined;

  constructor(device: BlockDevice, cache: BlockCache, now: () => number) {
    this.device = device;
    this.cache = cache;
    this.now = now;
  }

  /** Runs an operation that changes nothing. */
  read<T>(body: () => T): Answer<T> {
    for (;;) {
      try {
        return body();
      } catch (error) {
        if (!(error instanceof Miss)) throw error;
        const wait = this.#load(error);
        if (wait !== undefined) return wait.then(() => this.read(body));
      }
    }
  }

  /**
   * Runs an operation that changes blocks (O1). One that goes on with what others began, `isStep`, is
   * let through a closed gate.
   */
  change<T>(body: () => T, isStep = false): Answer<T> {
    return this.#change(body, isStep, true);
  }

  #change<T>(body: () => T, isStep: boolean, mayCommit: boolean): Answer<T> {
    for (;;) {
      const wait = this.#obstacle(isStep);
      if (wait !== undefined) return wait.then(() => this.#change(body, isStep, mayCommit));
      this.cache.trim();
      this.#begin();
      try {
        const result = body();
        this.#end();
        return result;
      } catch (error) {
        this.#undo();
        if (error instanceof Miss) {
          const loading = this.#load(error);
          if (loading !== undefined) {
            return loading.then(() => this.#change(body, isStep, mayCommit));
          }
        } else if (mayCommit && isFsError(error, 'ENOSPC') && this.#transaction.freed.length > 0) {
          return this.commit().then(() => this.#change(body, isStep, false)); // O5
        } else throw error;
      }
    }
  }

  /** Blocks that the operation under way has changed: for those that go in steps. */
  get touched(): number {
    return this.#before.length + this.#fresh.length;
  }

  /** Blocks that one step of a long operation may change. */
  get stepLimit(): number {
    return 24;
  }

  /** Says that the operation is about to change `block`. */
  touch(block: Block): void {
    if (block.operation === this.#operation) return;
    invariant(this.#isChanging, 'blocks are changed by operations');
    block.operation = this.#operation;
    const bytes = this.#spare.pop() ?? new Uint8Array(this.cache.blockSize);
    bytes.set(block.bytes);
    this.#before.push({ block, bytes, transaction: block.transaction });
    this.#join(block);
  }

  /** A block of metadata just allocated: zeros. */
  freshMetadata(number: number): Block {
    const block = this.cache.fresh(number);
    block.operation = this.#operation;
    this.#fresh.push(number);
    this.#join(block);
    return block;
  }

  /** A block of file data just allocated: zeros, to be marked by `soil`. */
  freshData(number: number): Block {
    const block = this.cache.fresh(number);
    this.#fresh.push(number);
    return block;
  }

  /** Says that the file data in `block` is not what the device has. Between operations too. */
  soil(block: Block): void {
    if (block.dirty) return;
    block.dirty = true;
    this.#dirty.set(block.number, block);
  }

  /** Says that the operation has freed blocks, of file data or of metadata (O3). */
  free(run: Run): void {
    this.#transaction.freed.push(run);
    for (let number = run.start; number < run.start + run.count; number++) {
      if (this.cache.peek(number) !== undefined) this.#dropped.push(number);
      if (this.cache.logged.has(number)) this.#revokedNow.push(number);
    }
  }

  /** True when there is nothing to commit. */
  get isIdle(): boolean {
    const { blocks, freed } = this.#transaction;
    return blocks.size === 0 && freed.length === 0 && this.#dirty.size === 0;
  }

  /** Makes everything so far durable (O2). Those who ask while one runs share the next. */
  commit(): Promise<void> {
    if (this.#running === undefined) return this.#start();
    this.#next ??= this.#running
      .then(
        () => undefined,
        () => undefined,
      )
      .then(() => {
        this.#next = undefined;
        return this.#start();
      });
    return this.#next;
  }

  /** Lets no operation begin until the answered function is called. */
  close(): () => void {
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    this.#gate = gate;
    return () => {
      if (this.#gate === gate) this.#gate = undefined;
      open();
    };
  }

  get isClosed(): boolean {
    return this.#gate !== undefined;
  }

  /** Runs `work` while no commit runs. */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    while (this.#running !== undefined) await settled(this.#running);
    const result = work();
    this.#hold(result.then(() => undefined));
    return await result;
  }

  /** Throws when nothing may be written any more (O4). */
  assertWorking(): void {
    if (this.failure === undefined) return;
    throw new FsError('EIO', `an earlier write failed: ${this.failure.message}`, {
      cause: this.failure,
    });
  }

  /** Remembers that writing failed (O4). */
  fail(error: unknown): void {
    this.failure ??= error instanceof Error ? error : new Error(String(error));
  }

  #load(miss: Miss): Promise<void> | undefined {
    try {
      return this.cache.load(miss.blocks)?.catch((error: unknown) => {
        throw readFailure(miss, error);
      });
    } catch (error) {
      throw readFailure(miss, error);
    }
  }

  /** Why a change cannot begin: throws for good, or answers what to wait for. */
  #obstacle(isStep: boolean): Promise<void> | undefined {
    if (this.failure !== undefined) {
      throw new FsError('EROFS', `read-only since a write failed: ${this.failure.message}`, {
        cause: this.failure,
      });
    }
    if (this.#gate !== undefined && !isStep) return this.#gate;
    const { journal } = this;
    if (journal === undefined)
      throw new FsError('EROFS', 'the file system is open for reading only');
    const { blocks } = this.#transaction;
    if (blocks.size + 2 * this.stepLimit > journal.transactionLimit) return this.commit();
    const dirty = this.#dirty.size * this.cache.blockSize;
    if (dirty > DIRTY_HARD) return this.#writeBack();
    if (dirty > DIRTY_SOFT) this.#writeBack().catch(() => undefined); // The next commit tells.
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
    for (const number of this.#revokedNow) this.#transaction.revoked.add(number);
    for (const number of this.#dropped) this.#drop(number);
    this.#forgetStep();
    this.listener?.settled();
  }

  #undo(): void {
    for (const { block, bytes, transaction } of this.#before) {
      block.bytes.set(bytes);
      if (transaction === 0) {
        block.transaction = 0;
        this.#transaction.blocks.delete(block);
      }
    }
    for (const number of this.#fresh) this.#drop(number);
    this.#transaction.freed.length = this.#freedBefore;
    this.#isChanging = false;
    this.#forgetStep();
    this.listener?.undone();
  }

  #forgetStep(): void {
    for (const { bytes } of this.#before) {
      if (this.#spare.length < 64) this.#spare.push(bytes);
    }
    this.#before.length = 0;
    this.#fresh.length = 0;
    this.#dropped.length = 0;
    this.#revokedNow.length = 0;
  }

  #join(block: Block): void {
    if (block.transaction !== 0) return;
    block.transaction = this.#transaction.number;
    this.#transaction.blocks.add(block);
  }

  #drop(number: number): void {
    const block = this.cache.peek(number);
    if (block === undefined) return;
    this.#dirty.delete(number);
    block.dirty = false;
    if (block.transaction !== 0) this.#transaction.blocks.delete(block);
    block.transaction = 0;
    this.cache.drop(number);
  }

  #start(): Promise<void> {
    const work = this.#commit();
    this.#hold(work);
    return work;
  }

  #hold(work: Promise<void>): void {
    const running = settled(work).then(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
  }

  async #commit(): Promise<void> {
    this.assertWorking();
    await undefined; // Whoever asks in this turn is served by this commit.
    if (this.isIdle) return;
    const journal = this.journal as Journal;
    // Most data goes first, while changes go on; when the device has no space for it, nothing is lost.
    for (let round = 0; round < 3 && this.#dirty.size > 0; round++) await this.#writeBack();
    await this.#writeback;
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
    this.#transaction = {
      number: transaction.number + 1,
      blocks: new Set(),
      revoked: new Set(),
      freed: [],
    };
    const blocks = [...transaction.blocks];
    const log = journal.compose(blocks, [...transaction.revoked]);
    for (const block of blocks) block.transaction = 0;
    await Promise.all([this.#writeDirty(), journal.write(log)]);
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

  #writeBack(): Promise<void> {
    if (this.#writeback === undefined) {
      const work = this.#writeDirty().finally(() => {
        if (this.#writeback === work) this.#writeback = undefined;
      });
      this.#writeback = work;
    }
    return this.#writeback;
  }

  /** Writes file data. When that fails for want of space the data stays, to be written later. */
  async #writeDirty(): Promise<void> {
    if (this.#dirty.size === 0) return;
    const blocks = [...this.#dirty.values()].sort((a, b) => a.number - b.number);
    this.#dirty.clear();
    const size = this.cache.blockSize;
    const copy = new Uint8Array(blocks.length * size);
    const entries = blocks.map((block, i): [number, Uint8Array] => {
      const bytes = copy.subarray(i * size, (i + 1) * size);
      bytes.set(block.bytes);
      block.dirty = false;
      block.pins++;
      return [block.number, bytes];
    });
    const numbers = blocks.map(({ number }) => number);
    try {
      await writeRuns(this.device, size, entries);
    } catch (error) {
      blocks.forEach((block, i) => {
        if (block.number === numbers[i]) this.soil(block);
      });
      if (!isStorageError(error, 'ERR_NO_SPACE')) this.fail(error);
      throw writeFailure(error);
    } finally {
      for (const block of blocks) block.pins--;
    }
  }
}

/** Runs in order, with neighbours joined. */
function mergeRuns(runs: readonly Run[]): Run[] {
  const merged: { start: number; count: number }[] = [];
  for (const { start, count } of [...runs].sort((a, b) => a.start - b.start)) {
    const last = merged.at(-1);
    if (last !== undefined && last.start + last.count === start) last.count += count;
    else merged.push({ start, count });
  }
  return merged;
}

/** What a failed device write means for whoever waits for it. */
function writeFailure(error: unknown): FsError {
  if (error instanceof FsError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return isStorageError(error, 'ERR_NO_SPACE')
    ? new FsError('EDQUOT', `the device has no space: ${message}`, { cause: error })
    : new FsError('EIO', `the device failed: ${message}`, { cause: error });
}

function readFailure(miss: Miss, error: unknown): FsError {
  const message = error instanceof Error ? error.message : String(error);
  return new FsError('EIO', `block ${miss.blocks[0]} cannot be read: ${message}`, { cause: error });
}

function settled(work: Promise<unknown>): Promise<void> {
  return work.then(
    () => undefined,
    () => undefined,
  );
}
