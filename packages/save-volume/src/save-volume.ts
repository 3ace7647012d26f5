/**
 * SaveVolume: saved old blocks, branch blocks and all metadata of a store, on one BlockDevice.
 *
 *   | superblock 0 | superblock 1 | journal ... | allocation groups: bit maps and blocks ... |
 *
 * Those who write (production volumes, branches) are participants: they hold new data in memory
 * and, when a commit cycle asks, put what they hold into a batch. A batch is written as data blocks
 * plus one journal record, made durable by one flush, and only then visible in the block map. Many
 * writes, and many callers' flushes, share one cycle: that is the group commit. Who takes part in
 * which cycle is told in rounds.ts (C9, C10).
 *
 *   C1  One batch at a time: record n+1 is written after record n is durable (J2).
 *   C2  A participant is told (`settle`) only after its batch is durable and visible. I3 of the
 *       design follows: production overwrites a block only in `settle`.
 *   C3  Blocks that a batch frees can be handed out only after it is durable (A1).
 *   C4  After a failure of unknown effect nothing more is written: the state on disk is the last
 *       durable batch, which recovery finds. A refusal for want of space is not such a failure.
 *   C6  A batch is written only if a checkpoint has room for it afterwards: what would fill the store
 *       to its brim is refused before anything is touched, and so a checkpoint never is.
 *   C7  A transaction that throws leaves nothing in the batch that it shares with others.
 *   C8  What a transaction looks up in the map still holds when its changes are made: one that
 *       changes the map is the last of its batch, since the next would not see those changes, and
 *       might free or move again what this one did. Changed objects can be seen in the batch.
 *   C5  A checkpoint writes trees, lists and bit maps to free places, flushes, then writes the
 *       superblock to the other slot, flushes, and only then starts the journal anew (S1).
 */
import {
  type BlockDevice,
  invariant,
  isStorageError,
  StorageError,
} from '@palimpsest/block-device';
import { checksum } from '@palimpsest/bytes';
import type { Allocator } from './allocator.js';
import { Batch, blockChecksum } from './batch.js';
import { BlockBuffers } from './block-buffers.js';
import type { BlockMap, MapRoots } from './block-map.js';
import { chainPages, GROUPS_CHAIN, OBJECTS_CHAIN, writeChain } from './chain.js';
import { EarmarkedSpace } from './earmark.js';
import { ENTRY, JOURNAL_HEADER, NO_BYTES, OBJECT_HEADER, REMOVE, ZERO } from './format.js';
import type { BlockRun } from './groups.js';
import { encodeRecord, recordBlocks } from './journal.js';
import type { Place } from './known-places.js';
import { type Counters, newCounters, type SaveVolumeMetrics } from './metrics.js';
import { encodeObjects } from './objects.js';
import { MISS } from './page-cache.js';
import type { Participant } from './participant.js';
import type { MapEntry } from './pending-map.js';
import type { Recovered } from './recovery.js';
import { type Member, Rounds } from './rounds.js';
import { type SpaceCrossing, type SpaceReport, SpaceWatch } from './space-report.js';
import { peekGeneration, type Superblock, writeSuperblock } from './superblock.js';
import { verifySaveVolume } from './verify.js';
import type { VerifyOptions, VerifyReport } from './verify-report.js';

/** What `shrink` did, in bytes. */
export interface Shrinkage {
  /** Free space that the device was told of, new to it or not. */
  readonly discardedBytes: number;
  /** What the device is smaller by. */
  readonly removedBytes: number;
}

/** Limits of an open save volume. */
export interface SaveVolumeOptions {
  /** Bytes of block map pages in memory. @default 64 MiB, a map of some 2 million blocks */
  readonly cacheBytes?: number;
  /** Bytes held for commits at which writers must wait, shared out (C11). @default 96 MiB */
  readonly dirtyBytes?: number;
  /** Bytes held by one at which its commit starts by itself. @default a sixteenth of `dirtyBytes` */
  readonly commitBytes?: number;
  /** Bytes the device grows by when it is full and can. @default 64 MiB */
  readonly growBytes?: number;
  /**
   * Lets other work go on in the midst of what takes long: a checkpoint, the blocks of a large commit.
   * `() => new Promise(setImmediate)` say.
   * @default nothing, so that tests are deterministic
   */
  readonly turn?: () => Promise<void>;
  /** Bytes the save volume may have at most; `setMaximumBytes`. @default no limit but the device's */
  readonly maximumBytes?: number;
  /**
   * Bytes in a run of free blocks that is worth telling the device of (`discard`).
   * @default 1 MiB: each is a run of a program
   */
  readonly discardBytes?: number;
  /** Bytes given back after which free runs are discarded without being asked. @default 16 MiB */
  readonly trimBytes?: number;
  /**
   * Asked for space when there is none to be had otherwise, before anything is refused: gives back
   * what the layers above can do without, and tells whether that was anything. It runs outside of the
   * commit cycle, one call at a time, and must only give back: what it calls must not wait for space.
   */
  readonly onPressure?: (neededBytes: number) => Promise<boolean>;
  /**
   * Asked before the device grows for data: gives back what is not worth growing for, and tells whether
   * that was anything. Runs as `onPressure` does. What a commit needs for itself is not asked for here.
   */
  readonly beforeGrowth?: (neededBytes: number) => Promise<boolean>;
  /** Told after the device grew by itself. It must not throw. */
  readonly onGrown?: (report: SpaceReport) => void;
  /** Told when the use of space crosses one of `highWaterPercents`, up or down. It must not throw. */
  readonly onSpace?: (crossing: SpaceCrossing) => void;
  /**
   * Of the bytes that the save volume may have at most, if that is known; else of those that it has,
   * once it cannot grow. @default 80, 90, 95
   */
  readonly highWaterPercents?: readonly number[];
}

const DEFAULTS = {
  cacheBytes: 64 << 20,
  dirtyBytes: 96 << 20,
  growBytes: 64 << 20,
  discardBytes: 1 << 20,
  trimBytes: 16 << 20,
  highWaterPercents: [80, 90, 95] as readonly number[],
};
/** Runs discarded before commits may go on: some tens of milliseconds' worth. */
const RUNS_A_STEP = 16;
/** Bytes of data blocks written with one call. */
const STAGING = 1 << 20;

type Limits = SaveVolumeOptions &
  Readonly<typeof DEFAULTS> & {
    readonly commitBytes: number;
    readonly turn: () => Promise<void>;
  };

/** Told of an object that has changed, and what its bytes were before. It must not throw. */
export type ObjectWatcher = (id: number, before: Uint8Array | undefined) => void;

/** Told of a batch, and where its new blocks are. */
export type CommitObserver = (batch: Batch, addresses: readonly number[]) => void;

interface Task {
  readonly givesBack: boolean;
  fill(batch: Batch): Promise<void> | void;
  resolve(): void;
  reject(error: unknown): void;
}

/** See the file header. Made by `openSaveVolume`. */
export class SaveVolume implements AsyncDisposable {
  readonly blockSize: number;
  /** 32 hexadecimal digits. */
  readonly storeId: string;
  /** What opening found and replayed. */
  readonly recovered: { readonly records: number; readonly clean: boolean };
  readonly map: BlockMap;
  readonly allocator: Allocator;
  /** Memory for blocks that are held. */
  readonly buffers: BlockBuffers;
  readonly #device: BlockDevice;
  readonly #limits: Limits;
  /** Blocks held: at which all must wait, a round begins, and nobody must wait. */
  readonly #shares: {
    readonly dirtyBlocks: number;
    readonly commitBlocks: number;
    readonly leastBlocks: number;
  };
  readonly #counters: Counters = newCounters();
  readonly #watch: SpaceWatch;
  #maximumBytes: number;
  #cannotGrow = false;
  #relieving: Promise<boolean> | undefined;
  readonly #objects: Map<number, Uint8Array>;
  readonly #objectWatchers: ObjectWatcher[] = [];
  readonly #seed: number;
  readonly #rounds = new Rounds(
    () => void this.#requestCycle(),
    (error) => {
      this.#failure ??= error;
    },
  );
  readonly #tasks: Task[] = [];
  readonly #observers = new Set<CommitObserver>();
  /** Pages of the two lists on disk, given back when the lists are written anew. */
  #chains: { objects: number[]; groups: number[] };
  #superblock: Superblock;
  #journalHead: number;
  #nextSequence: number;
  #nextObject: number;
  #objectsChanged: boolean;
  /** Bytes that the object list takes when it is written. */
  #objectBytes: number;
  #dirty = 0;
  #reserved = 0;
  /** Blocks of `#reserved` that are set aside, not held; and entries without bytes beside them. */
  #earmarked = 0;
  #marks = 0;
  #staging: Uint8Array = new Uint8Array(0);
  #tail: Promise<void> = Promise.resolve();
  #queued: Promise<void> | undefined;
  #growing: Promise<boolean> | undefined;
  #squeezing: Promise<void> | undefined;
  #shrinking: Promise<void> | undefined;
  #trimming: Promise<void> | undefined;
  #failure: unknown;
  #closing: Promise<void> | undefined;

  /** @internal Use `openSaveVolume`. */
  constructor(device: BlockDevice, recovered: Recovered, options: SaveVolumeOptions) {
    const dirtyBytes = options.dirtyBytes ?? DEFAULTS.dirtyBytes;
    this.#limits = {
      ...DEFAULTS,
      turn: () => Promise.resolve(),
      commitBytes: dirtyBytes / 16,
      ...options,
      dirtyBytes,
    };
    this.blockSize = 2 ** recovered.superblock.blockShift;
    const dirtyBlocks = dirtyBytes / this.blockSize;
    this.#shares = {
      dirtyBlocks,
      commitBlocks: this.#limits.commitBytes / this.blockSize,
      leastBlocks: Math.max(1, dirtyBlocks / 128),
    };
    this.#maximumBytes = options.maximumBytes ?? Number.MAX_SAFE_INTEGER;
    this.#watch = new SpaceWatch(this.#limits.highWaterPercents, options.onSpace);
    this.#device = device;
    this.#superblock = recovered.superblock;
    this.buffers = new BlockBuffers(this.blockSize);
    this.storeId = Buffer.from(recovered.superblock.storeId).toString('hex');
    this.recovered = { records: recovered.records, clean: recovered.superblock.clean === 1 };
    this.map = recovered.map;
    this.allocator = recovered.allocator;
    this.#objects = recovered.objects;
    this.#objectBytes = encodeObjects(recovered.objects).length;
    this.#seed = recovered.seed;
    this.#chains = recovered.chains;
    this.#journalHead = recovered.journalHead;
    this.#nextSequence = recovered.nextSequence;
    this.#nextObject = recovered.nextObject;
    this.#objectsChanged = recovered.objectsChanged;
  }

  // ---- Objects -------------------------------------------------------------------------------

  /** The bytes of an object, as of the last commit. */
  object(id: number): Uint8Array | undefined {
    return this.#objects.get(id);
  }

  /** Every object, in order of id. */
  objects(): readonly { readonly id: number; readonly bytes: Uint8Array }[] {
    return [...this.#objects].map(([id, bytes]) => ({ id, bytes })).sort((a, b) => a.id - b.id);
  }

  /** Has `hear` told of every object that a commit changes, from now on. */
  watchObjects(hear: ObjectWatcher): void {
    this.#objectWatchers.push(hear);
  }

  /** An id that no object has or ever had. */
  newObjectId(): number {
    this.#nextObject += 1;
    return this.#nextObject - 1;
  }

  /** Lets other work go on, as the options say: for participants with much to do at a time. */
  get turn(): () => Promise<void> {
    return this.#limits.turn;
  }

  // ---- Reading -------------------------------------------------------------------------------

  /**
   * Fills `target`, one block, with the first state of that block saved for `version` or later (E2).
   * False when there is none, or when it says that the block is read from beneath.
   * @throws {StorageError} ERR_CORRUPT when they do not pass their checksum; ERR_IO.
   */
  readSaved(
    space: number,
    block: number,
    version: number,
    target: Uint8Array,
  ): boolean | Promise<boolean> {
    const entry = this.map.placeOf(space, block, version);
    if (entry === MISS) return this.#readSavedSlowly(space, block, version, target);
    if (entry === undefined) return false;
    if ((entry.flags & NO_BYTES) !== 0) return withoutBytes(entry, target);
    const completion = this.#device.readInto(target, entry.address * this.blockSize);
    if (completion === undefined && blockChecksum(space, block, target) === entry.checksum)
      return true;
    return this.#readSavedSlowly(space, block, version, target, entry, completion);
  }

  /** Looks an entry up, bringing pages in as needed. */
  find(space: number, block: number, version: number): Promise<MapEntry | undefined> {
    return this.map.withPages(() => this.map.lookUp(space, block, version));
  }

  // ---- Writing -------------------------------------------------------------------------------

  /** Takes part in commits from now on. */
  join(participant: Participant): void {
    this.#rounds.join(participant);
  }

  /**
   * Takes no part any more; what it still holds is the caller's to drop when this resolves: no cycle is
   * at work on it then.
   */
  leave(participant: Participant): Promise<void> {
    return this.#rounds.leave(participant);
  }

  /**
   * Sets space aside for `blocks` blocks that will be held for a commit, if there is any at once.
   * Released by `settled`.
   */
  reserve(blocks: number): boolean {
    if (this.allocator.free - this.#reserved - this.#metadataReserve(blocks) < blocks) return false;
    this.#reserved += blocks;
    this.#dirty += blocks;
    return true;
  }

  /**
   * The same, growing the device and waiting for a commit to give blocks back if need be.
   * @throws {StorageError} ERR_NO_SPACE when there is no space to be had.
   */
  async reserveSlowly(blocks: number): Promise<void> {
    await this.#untilSpace(blocks, () => this.reserve(blocks));
  }

  /**
   * Sets space aside for `blocks` blocks that will be held later, and room in the map for `marks`
   * entries without bytes, if there is any at once: what they are for can end however full the store
   * gets (E3). Durable is nothing of it. `evenReserved` takes what is kept for metadata too (E4).
   */
  setAside(
    blocks: number,
    marks = 0,
    { evenReserved = false }: { readonly evenReserved?: boolean } = {},
  ): EarmarkedSpace | undefined {
    const needed = blocks + (evenReserved ? 0 : this.#metadataReserve(blocks + marks));
    if (this.allocator.free - this.#reserved < needed) return undefined;
    this.#reserved += blocks;
    this.#earmarked += blocks;
    this.#marks += marks;
    const held = (taken: number): void => {
      this.#earmarked -= taken;
      this.#dirty += taken;
    };
    const regained = (back: number): void => {
      this.#earmarked += back;
      this.#reserved += back;
    };
    const freed = (back: number, marked: number): void => {
      this.#earmarked -= back;
      this.#reserved -= back;
      this.#marks -= marked;
    };
    return new EarmarkedSpace({ held, regained, freed }, blocks, marks);
  }

  /**
   * The same, growing the device and waiting for a commit to give blocks back if need be. Who asks from
   * under a lock that a deletion needs does so without `relieve`: `onPressure` would wait for that lock.
   * @throws {StorageError} ERR_NO_SPACE when there is no space to be had; nothing is set aside then.
   */
  async setAsideSlowly(
    blocks: number,
    marks = 0,
    { relieve = true }: { readonly relieve?: boolean } = {},
  ): Promise<EarmarkedSpace> {
    let space: EarmarkedSpace | undefined;
    await this.#untilSpace(
      blocks,
      () => {
        space = this.setAside(blocks, marks);
        return space !== undefined;
      },
      relieve,
    );
    return space as EarmarkedSpace;
  }

  /** The counterpart of `reserve`: the blocks are committed, or not held any more. */
  settled(blocks: number): void {
    this.#reserved -= blocks;
    this.#dirty -= blocks;
  }

  /**
   * Asks the layers above to give back what they can do without (`onPressure`); tells whether they gave
   * back anything. Calls that come while it runs share it. For those whose operation was refused for
   * want of space and who can repeat it; never from inside a transaction.
   */
  relieve(neededBytes: number): Promise<boolean> {
    const { onPressure } = this.#limits;
    if (onPressure === undefined) return Promise.resolve(false);
    this.#relieving ??= onPressure(neededBytes).finally(() => {
      this.#relieving = undefined;
    });
    return this.#relieving;
  }

  /** Bytes that the save volume may grow to from now on; it does not shrink for it. */
  setMaximumBytes(bytes: number | undefined): void {
    this.#maximumBytes = bytes ?? Number.MAX_SAFE_INTEGER;
    this.#cannotGrow = false;
    this.#watch.look(this.space());
  }

  /** Percentages of use at which `onSpace` is told from now on. */
  setHighWater(percents: readonly number[]): void {
    this.#watch.set(percents, this.space());
  }

  /**
   * True when the participant holds so much that its writers must wait: `throttle` says until when.
   * Asked before each write that is held, it has a round begin in good time.
   *
   * C11  A participant may hold twice what nobody holds: two thirds of the memory when it is alone, and
   *      however many have their share of it and cannot get rid of it, something is left for others.
   */
  isThrottled(participant: Participant): boolean {
    const { size } = participant.held;
    const { leastBlocks, commitBlocks, dirtyBlocks } = this.#shares;
    if (size < leastBlocks) return false;
    const share = 2 * (dirtyBlocks - this.#dirty);
    if (size >= Math.min(commitBlocks, share / 2)) this.#rounds.commitSoon(participant);
    return size >= share;
  }

  /** Resolves when its writers may look again whether they may go on; `undefined` when they may at once. */
  throttle(participant: Participant): Promise<void> | undefined {
    if (!this.isThrottled(participant)) return undefined;
    return this.#rounds.running(participant) ?? this.#commitSome(participant);
  }

  /** @throws {StorageError} ERR_NO_SPACE when a whole round could not get rid of a single block. */
  async #commitSome(participant: Participant): Promise<void> {
    const before = participant.held.gone;
    await this.commit(participant);
    if (!this.isThrottled(participant) || participant.held.gone > before) return;
    throw new StorageError(
      'ERR_NO_SPACE',
      `the memory for writes is full with ${this.#dirty * this.blockSize} bytes that an image has ` +
        'no space for',
    );
  }

  /** Operations that surely fit in one transaction now: fewer when the store is nearly full. */
  get operationsMax(): number {
    const most = this.#recordLimit / ENTRY.size;
    const needed = this.#reserved + this.#pagesToCheckpoint(this.#reserved + this.#marks + most);
    return this.allocator.free >= needed ? most : Math.min(most, this.#changesKept);
  }

  /**
   * Carries out `fill` in a commit; resolves when its changes are durable. The map does not change
   * while `fill` runs, so what it looks up still holds when its changes are made. With `givesBack` it
   * may use the space that is kept for deleting. With `relieve`, `onPressure` is asked before it is
   * refused for want of space, and `fill` runs again: only where that may delete what it likes, so not
   * from under a lock that a deletion needs.
   * @throws {StorageError} ERR_NO_SPACE, and nothing is changed.
   */
  async transact(
    fill: (batch: Batch) => Promise<void> | void,
    options: { readonly givesBack?: boolean; readonly relieve?: boolean } = {},
  ): Promise<void> {
    for (;;) {
      try {
        await this.#transactOnce(fill, options.givesBack ?? false);
        return;
      } catch (error) {
        if (options.relieve !== true || !isStorageError(error, 'ERR_NO_SPACE')) throw error;
        if (!(await this.relieve(this.blockSize))) throw error;
      }
    }
  }

  #transactOnce(fill: Task['fill'], givesBack: boolean): Promise<void> {
    const done = new Promise<void>((resolve, reject) => {
      this.#tasks.push({ givesBack, fill, resolve, reject });
    });
    void this.#requestCycle(); // a cycle rejects its own tasks
    return done;
  }

  /**
   * Makes durable, and visible in the map, all that the participant holds now, and settles it; without
   * one all that anybody holds. Callers that come before a round begins share it.
   * @throws {StorageError} ERR_NO_SPACE, nothing lost; ERR_FAILED, the volume must be reopened.
   */
  commit(participant?: Participant): Promise<void> {
    if (participant !== undefined) return this.#rounds.commit(participant);
    return allOf([this.#requestCycle(), ...this.#rounds.commitAll()]);
  }

  /**
   * The same for all who have no round under way: called again and again, it waits for nobody who is slow
   * more than once.
   */
  commitIdle(): Promise<void> {
    return allOf([this.#requestCycle(), ...this.#rounds.commitIdle()]);
  }

  /** Writes the pending changes into the trees and empties the journal, between cycles. */
  checkpoint(): Promise<void> {
    return this.#enqueue(() => this.#checkpoint(false));
  }

  /**
   * Audits the volume in slices between commits: every page and, with `data`, every saved block is
   * read. Damage is reported, not thrown. With `pace` and `from` it is a scrub.
   */
  verify(options: VerifyOptions = {}): Promise<VerifyReport> {
    return verifySaveVolume(this, this.#device, options);
  }

  /** Hears of every commit, in the instant it becomes visible, until the function returned is called. */
  observe(observer: CommitObserver): () => void {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  }

  /**
   * Gives free space back to the device: every free run of `discardBytes` or more is discarded, and a
   * free tail longer than two steps of growth is cut off, one step left, where the device can shrink.
   * Large deletions do the first by themselves (`trimBytes`), and so does `close`. Durable when it
   * resolves.
   */
  async shrink(): Promise<Shrinkage> {
    const before = this.#counters.discardedBytes;
    await this.commit();
    await this.#trim(0);
    const trimmed = this.#counters.discardedBytes - before;
    const size = this.#device.size;
    this.#shrinking = this.#enqueue(() => this.#truncate()).finally(() => {
      this.#shrinking = undefined;
    });
    await this.#shrinking;
    return { discardedBytes: trimmed, removedBytes: size - this.#device.size };
  }

  /** Runs `work` between cycles, when nothing is written; for audits. */
  quiesced(work: () => Promise<void>): Promise<void> {
    return this.#enqueue(work);
  }

  /** How the space is used. */
  space(): SpaceReport {
    const { allocator, blockSize, map } = this;
    return {
      totalBytes: allocator.totalBlocks * blockSize,
      usedBytes: (allocator.totalBlocks - allocator.free) * blockSize,
      freeBytes: allocator.free * blockSize,
      mapBytes: (map.byBlock.root.pages + map.byVersion.root.pages) * blockSize,
      mapEntries: map.byBlock.root.entries + map.pending.count,
      journalBytes: this.#journalHead * blockSize,
      reservedBytes: (this.#metadataReserve(0) + this.#reserved) * blockSize,
      earmarkedBytes: this.#earmarked * blockSize,
      dirtyBytes: this.#dirty * blockSize,
      maximumBytes: this.#maximumBytes < Number.MAX_SAFE_INTEGER ? this.#maximumBytes : undefined,
      canGrow: !this.#cannotGrow,
    };
  }

  /** What was done since the volume was opened, in numbers that only grow. */
  metrics(): SaveVolumeMetrics {
    const { allocatedBlocks, freedBlocks } = this.allocator;
    return { ...this.#counters, allocatedBlocks, freedBlocks };
  }

  /** The current superblock; for audits and reports. */
  get superblock(): Readonly<Superblock> {
    return this.#superblock;
  }

  /** Addresses of the pages that hold the two lists; for audits. */
  get chainAddresses(): readonly number[] {
    return [...this.#chains.objects, ...this.#chains.groups];
  }

  /** Commits everything, checkpoints, marks the volume clean. The device stays open. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    // What failed stays as its last durable batch left it: there is nothing to add to that.
    if (this.#failure !== undefined) return;
    await this.commit();
    if (this.allocator.untrimmedBlocks >= this.#discardBlocks)
      await this.#trim(this.#discardBlocks);
    await this.#enqueue(() => this.#checkpoint(true));
    this.#failure = new StorageError('ERR_CLOSED', 'the save volume is closed');
  }

  // ---- The commit cycle ----------------------------------------------------------------------

  /** Work that writes runs one piece after the other (C1). */
  #enqueue(work: () => Promise<void>): Promise<void> {
    const done = this.#tail.then(() => this.#guard(work));
    // Whoever waits for `done` hears of its failure; the next in line must not stumble over it.
    this.#tail = done.catch(() => undefined);
    return done;
  }

  /** Has a cycle run after this turn; those who ask before it begins share it. It never rejects unheard. */
  #requestCycle(): Promise<void> {
    if (this.#queued === undefined) {
      this.#queued = this.#enqueue(() => {
        this.#queued = undefined;
        return this.#cycle();
      });
      this.#queued.catch((error) => {
        // It did not come to its own, or failed in the midst, and there will be no other.
        this.#queued = undefined;
        this.#rejectTasks(error);
        this.#rounds.fail(error);
      });
    }
    return this.#queued;
  }

  async #cycle(): Promise<void> {
    await this.#runTasks(this.#tasks.splice(0));
    const members = this.#rounds.take();
    if (members.length > 0) await this.#commitTogether(members);
    this.#trimSoon();
  }

  async #commitTogether(members: readonly Member[]): Promise<void> {
    try {
      const batch = new Batch(this.#recordLimit);
      for (const member of members) {
        const more = member.participant.fill(batch);
        member.more = typeof more === 'boolean' ? more : await more;
      }
      if (!batch.empty) await this.#write(batch);
    } catch (error) {
      this.#rounds.refuse(members, error);
      // What was refused for want of space is told to those who need it.
      if (isStorageError(error, 'ERR_NO_SPACE')) return;
      throw error;
    }
    this.#rounds.settle(members);
  }

  /** Transactions have records of their own: one that frees space must not fail with those that need it. */
  async #runTasks(tasks: Task[]): Promise<void> {
    while (tasks.length > 0) {
      const batch = new Batch(this.#recordLimit);
      const taken = await takeTasks(tasks, batch);
      try {
        if (!batch.empty) {
          if (taken[0]?.givesBack !== true) await this.#makeRoom(batch, true);
          await this.#write(batch);
        }
      } catch (error) {
        for (const task of taken) task.reject(error);
        // What was refused for want of space is no reason to refuse the others.
        if (isStorageError(error, 'ERR_NO_SPACE')) continue;
        for (const task of tasks) task.reject(error);
        throw error;
      }
      for (const task of taken) task.resolve();
    }
  }

  /** Writes a batch, makes it durable, then visible. */
  async #write(batch: Batch): Promise<void> {
    await this.#assertOwner();
    const { journalStart, journalBlocks } = this.#superblock;
    const blocks = recordBlocks(this.blockSize, batch.bodyBytes);
    invariant(blocks <= journalBlocks, 'a batch fits in the journal');
    if (this.#journalHead + blocks > journalBlocks) await this.#checkpoint(false);
    await this.#makeRoom(batch, false);
    const addresses = await this.#storeData(batch);
    const record = encodeRecord(
      this.blockSize,
      {
        epoch: this.#superblock.epoch,
        sequence: this.#nextSequence,
        generation: this.#superblock.generation,
        seed: this.#seed,
      },
      batch.encode(addresses),
    );
    try {
      await this.#device.write(record, (journalStart + this.#journalHead) * this.blockSize);
      await this.#flush();
    } catch (error) {
      // The record may or may not be there: only reopening can tell (C4).
      throw unknownEffect(error);
    }
    this.#journalHead += blocks;
    this.#nextSequence += 1;
    this.#counters.commits += 1;
    this.#counters.entries += batch.newBlocks.length + batch.changes.length;
    this.#counters.journalBytes += record.length;
    this.#counters.dataBytes += addresses.length * this.blockSize;
    await this.#apply(batch, addresses);
    if (this.#limits.onSpace !== undefined) this.#watch.look(this.space());
  }

  /**
   * Refuses a batch after which a checkpoint might not have room; one right now may help (C6). With
   * `keep`, what is kept for deletions and for those who have reserved space is not touched.
   */
  async #makeRoom(batch: Batch, keep: boolean): Promise<void> {
    const lacks = (): boolean => {
      const { free } = this.allocator;
      const blocks = batch.newBlocks.length;
      const changes = batch.bodyBytes / ENTRY.size;
      const objects = batch.objects.reduce((sum, { bytes }) => sum + (bytes?.length ?? 0), 0);
      const lists = chainPages(this.blockSize, objects);
      if (keep) return free - blocks - lists < this.#reserved + this.#metadataReserve(changes);
      return free - blocks - lists < this.#pagesToCheckpoint(this.map.pending.count + changes);
    };
    while (lacks() && (await this.#grow()));
    if (lacks() && this.map.pending.count > 0) await this.#checkpoint(false);
    if (lacks()) throw this.#full(batch.newBlocks.length);
  }

  /** Writes the batch's blocks to free places, in runs; returns where each went. */
  async #storeData(batch: Batch): Promise<number[]> {
    const { newBlocks } = batch;
    const { blockSize } = this;
    const addresses: number[] = [];
    const runs = await this.allocator.allocate(newBlocks.length);
    try {
      const staging = this.#stagingFor(newBlocks.length * blockSize);
      for (const run of runs) {
        for (let done = 0; done < run.count; ) {
          const count = Math.min(run.count - done, staging.length / blockSize);
          for (let index = 0; index < count; index += 1) {
            const put = newBlocks[addresses.length];
            invariant(put?.data.length === blockSize, 'a new block is one block of data');
            staging.set(put.data, index * blockSize);
            addresses.push(run.address + done + index);
          }
          const position = (run.address + done) * blockSize;
          await this.#device.write(staging.subarray(0, count * blockSize), position);
          done += count;
        }
      }
    } catch (error) {
      for (const run of runs) await this.allocator.release(run.address, run.count);
      throw error;
    }
    return addresses;
  }

  /** Memory in which blocks are put side by side, used again by every batch. */
  #stagingFor(bytes: number): Uint8Array {
    const size = Math.min(STAGING, bytes);
    if (this.#staging.length < size) this.#staging = new Uint8Array(size);
    return this.#staging;
  }

  async #apply(batch: Batch, addresses: readonly number[]): Promise<void> {
    const { map } = this;
    for (const [index, put] of batch.newBlocks.entries()) {
      const { version, checksum: sum } = put;
      const entry = { version, address: addresses[index] as number, flags: 0, checksum: sum };
      map.change(put.space, put.block, entry, false);
    }
    for (const { space, block, entry, kind } of batch.changes) {
      map.change(space, block, entry, kind === REMOVE);
    }
    for (const { id, bytes } of batch.objects) {
      const before = this.#objects.get(id);
      this.#objectBytes += objectBytes(bytes) - objectBytes(before);
      if (bytes === undefined) this.#objects.delete(id);
      else this.#objects.set(id, bytes);
      this.#objectsChanged = true;
      for (const hear of this.#objectWatchers) hear(id, before);
    }
    for (const observe of this.#observers) observe(batch, addresses);
    for (const address of batch.freed) await this.allocator.release(address); // C3
  }

  // ---- The checkpoint ------------------------------------------------------------------------

  async #checkpoint(clean: boolean): Promise<void> {
    await this.#assertOwner();
    const generation = this.#superblock.generation + 1;
    const replaced: number[] = [];
    let pages = 0;
    const supply = {
      take: async () => {
        pages += 1;
        return (await this.allocator.allocate(1))[0]?.address as number;
      },
      release: (address: number) => replaced.push(address),
      turn: this.turn,
    };
    try {
      const roots = await this.map.merge(supply, generation);
      const lists = await this.#writeLists(replaced, generation);
      await this.#flush();
      const superblock: Superblock = {
        ...this.#superblock,
        ...rootFields(roots),
        ...lists,
        clean: clean ? 1 : 0,
        generation,
        allocatedBlocks: this.allocator.used,
        firstSequence: this.#nextSequence,
        durableSequence: this.#nextSequence,
        nextObject: this.#nextObject,
      };
      await writeSuperblock(this.#device, this.blockSize, superblock);
      await this.#flush();
      this.#superblock = superblock;
      this.#journalHead = 0;
      this.map.adopt(roots);
      this.#counters.checkpoints += 1;
      this.#counters.mapBytes += (pages + 1) * this.blockSize;
    } catch (error) {
      throw unknownEffect(error);
    }
  }

  /**
   * Writes the object list if it changed, then gives back what this checkpoint replaces, then the
   * bit maps, then the group list, which describes them and itself. The blocks given back cannot be
   * handed out before the superblock is durable: nothing is allocated between here and there.
   */
  async #writeLists(replaced: number[], generation: number): Promise<Partial<Superblock>> {
    const { allocator, blockSize } = this;
    const fields: Partial<Superblock> = {};
    if (this.#objectsChanged) {
      const content = encodeObjects(this.#objects);
      const addresses = await this.#allocatePages(chainPages(blockSize, content.length));
      await writeChain(this.#device, blockSize, {
        kind: OBJECTS_CHAIN,
        generation,
        addresses,
        content,
      });
      replaced.push(...this.#chains.objects);
      this.#chains = { ...this.#chains, objects: addresses };
      this.#counters.mapBytes += addresses.length * blockSize;
      fields.objectsStart = addresses[0] ?? 0;
      fields.objectsBytes = content.length;
      fields.objectsChecksum = checksum(content);
      this.#objectsChanged = false;
    }
    const addresses: number[] = [];
    const missing = (): number => chainPages(blockSize, allocator.encodedBytes) - addresses.length;
    while (missing() > 0) addresses.push(...(await this.#allocatePages(missing())));
    const groupsBytes = allocator.encodedBytes;
    fields.totalBlocks = allocator.totalBlocks;
    replaced.push(...this.#chains.groups);
    this.#chains = { ...this.#chains, groups: addresses };
    for (const address of replaced) await allocator.release(address);
    this.#counters.mapBytes += (await allocator.save(generation)) * blockSize;
    this.#counters.mapBytes += addresses.length * blockSize;
    // A device that grew since the pages were taken is recorded as it was then: there is no page for
    // the new groups, nothing is allocated in them yet, and its new size may not be durable in time.
    const content = allocator.encode().subarray(0, groupsBytes);
    await writeChain(this.#device, blockSize, {
      kind: GROUPS_CHAIN,
      generation,
      addresses,
      content,
    });
    fields.groupsStart = addresses[0] ?? 0;
    fields.groupsBytes = content.length;
    fields.groupsChecksum = checksum(content);
    return fields;
  }

  async #flush(): Promise<void> {
    this.#counters.flushes += 1;
    await this.#device.flush();
  }

  async #allocatePages(count: number): Promise<number[]> {
    const runs = await this.allocator.allocate(count);
    return runs.flatMap(({ address, count: length }) =>
      Array.from({ length }, (_, index) => address + index),
    );
  }

  // ---- Space, ownership, failure -------------------------------------------------------------

  /** Blocks kept free so that what is held can be checkpointed, and then a deletion be begun. */
  #metadataReserve(more: number): number {
    const changes = this.map.pending.count + this.#reserved + this.#marks + more;
    // Entries that move to another snapshot leave pages half empty behind them: hence the quarter.
    const growth = 16 + Math.ceil(this.map.byVersion.root.pages / 4);
    return growth + this.#pagesToCheckpoint(changes + this.#changesKept);
  }

  /** Changes of a deletion for which there is room when the store is full. */
  get #changesKept(): number {
    return Math.min(
      CHANGES_KEPT.most,
      Math.max(CHANGES_KEPT.least, Math.floor(this.allocator.totalBlocks / 128)),
    );
  }

  /**
   * Blocks that a checkpoint takes at most: every page of the trees rewritten, or as many as the
   * changes can touch, plus the pages that splits add and the lists.
   */
  #pagesToCheckpoint(changes: number): number {
    const { byBlock, byVersion } = this.map;
    let pages = 0;
    for (const { root } of [byBlock, byVersion]) {
      // With a root above the one there is, which the first changes or a split may bring.
      pages += Math.min(root.pages, changes * root.levels) + root.levels + 1;
    }
    const perPage = Math.max(2, Math.floor((this.blockSize - 32) / ENTRY.size / 2));
    pages += 2 * Math.ceil((2 * changes) / perPage);
    pages += chainPages(this.blockSize, this.#objectBytes);
    pages += chainPages(this.blockSize, this.allocator.encodedBytes);
    return pages;
  }

  /**
   * Until `attempt` succeeds: asks the layers above for what is not worth growing for, then grows the
   * device, then waits for a commit to give blocks back, then asks for what they can do without.
   */
  async #untilSpace(blocks: number, attempt: () => boolean, relieve = true): Promise<void> {
    this.#assertUsable();
    for (let squeezed = false; !attempt(); ) {
      if (relieve && (await this.#limits.beforeGrowth?.(blocks * this.blockSize)) === true) {
        if (attempt()) return;
        // It may be of use only after a checkpoint; nothing more must go for that.
        await this.#squeeze();
        squeezed = true;
        continue;
      }
      if (await this.#grow()) continue;
      if (!squeezed) {
        await this.#squeeze();
        squeezed = true;
      } else if (relieve && (await this.relieve(blocks * this.blockSize))) squeezed = false;
      else throw this.#full(blocks);
    }
  }

  /** Grows the device by a step when it can; tells whether there is more space now. */
  #grow(): Promise<boolean> {
    if (this.#shrinking !== undefined) return this.#shrinking.then(() => this.#grow());
    this.#growing ??= this.#growOnce().finally(() => {
      this.#growing = undefined;
    });
    return this.#growing;
  }

  async #growOnce(): Promise<boolean> {
    const { blockSize } = this;
    const { growBytes } = this.#limits;
    const step = Math.max(blockSize, Math.floor(growBytes / blockSize) * blockSize);
    const limit = Math.floor(this.#maximumBytes / blockSize) * blockSize;
    const size = Math.min(this.#device.size + step, limit);
    this.#cannotGrow = size <= this.#device.size;
    if (this.#cannotGrow) return false;
    try {
      await this.#device.resize(size);
    } catch (error) {
      if (isStorageError(error, 'ERR_NO_SPACE') || isStorageError(error, 'ERR_UNSUPPORTED')) {
        this.#cannotGrow = true;
        return false;
      }
      throw error;
    }
    const before = this.allocator.free;
    this.allocator.grow(Math.floor(this.#device.size / blockSize));
    this.#counters.growths += 1;
    this.#limits.onGrown?.(this.space());
    return this.allocator.free > before;
  }

  /** A commit gives back what rewrites replaced, and a checkpoint shrinks what is kept for it. */
  #squeeze(): Promise<void> {
    this.#squeezing ??= this.commit()
      .then(() => this.checkpoint())
      .finally(() => {
        this.#squeezing = undefined;
      });
    return this.#squeezing;
  }

  get #discardBlocks(): number {
    return Math.max(1, Math.ceil(this.#limits.discardBytes / this.blockSize));
  }

  /** After a large deletion. */
  #trimSoon(): void {
    const { untrimmedBlocks } = this.allocator;
    if (this.#trimming !== undefined) return;
    if (untrimmedBlocks * this.blockSize < this.#limits.trimBytes) return;
    this.#trimming = this.#trim(this.#discardBlocks)
      .catch((error) => this.#noteRefusal(error))
      .finally(() => {
        this.#trimming = undefined;
      });
  }

  /**
   * Discards the free runs of every group that had `least` or more blocks given back; of every group
   * when it is 0. Each step runs between cycles, right after a checkpoint: nothing is handed out
   * meanwhile, and no record that a crash may end at needs what is discarded (A4).
   */
  async #trim(least: number): Promise<void> {
    const { allocator } = this;
    for (let from: number | undefined = 0; from !== undefined; ) {
      let next: number | undefined = from;
      await this.#enqueue(async () => {
        if (this.#journalHead > 0) await this.#checkpoint(false);
        for (let runs = 0; runs < RUNS_A_STEP; ) {
          next = allocator.groups.nextToTrim(least, next as number);
          if (next === undefined) break;
          const found = await allocator.groups.freeRuns(next, this.#discardBlocks);
          for (const run of found) await this.#discard(run);
          runs += found.length;
          next += 1;
        }
      });
      from = next;
    }
    allocator.trimmed();
  }

  /** Whether a device can discard, and does, is its own affair: the blocks are free either way. */
  async #discard({ address, count }: BlockRun): Promise<void> {
    try {
      await this.#device.discard(address * this.blockSize, count * this.blockSize);
      this.#counters.discardedBytes += count * this.blockSize;
    } catch (error) {
      if (!isStorageError(error)) throw error;
    }
  }

  /**
   * Cuts a free tail off. First a superblock with fewer blocks, durable, then the smaller device (A5):
   * a crash between them leaves a device with more space than the store knows, which it takes up.
   */
  async #truncate(): Promise<void> {
    await this.#growing?.catch(() => false);
    const { allocator, blockSize } = this;
    allocator.rewind();
    this.#objectsChanged = true; // both lists move to the front
    await this.#checkpoint(false);
    const spare = Math.max(4, Math.ceil(this.#limits.growBytes / blockSize));
    const needed = allocator.used + this.#reserved + 2 * this.#metadataReserve(0);
    const { dataStart } = this.#superblock;
    const end = Math.max(await allocator.groups.end(), dataStart + needed) + spare;
    if (end + spare > allocator.totalBlocks) return;
    allocator.shrink(end);
    await this.#checkpoint(false);
    try {
      await this.#device.resize(allocator.totalBlocks * blockSize);
      await this.#flush();
    } catch (error) {
      if (!isStorageError(error, 'ERR_UNSUPPORTED')) throw error;
      allocator.grow(Math.floor(this.#device.size / blockSize));
    }
  }

  #full(blocks: number): StorageError {
    const { blockSize } = this;
    return new StorageError(
      'ERR_NO_SPACE',
      `the save volume is full: ${blocks * blockSize} bytes needed, ` +
        `${this.allocator.free * blockSize} free, of which ` +
        `${this.#metadataReserve(blocks) * blockSize} are kept for metadata and ` +
        `${this.#reserved * blockSize} are spoken for; delete snapshots or branches, or grow it`,
    );
  }

  /** R18: another process that took the store over has written the slot that is ours to write next. */
  async #assertOwner(): Promise<void> {
    const { generation } = this.#superblock;
    const seen = await peekGeneration(this.#device, this.blockSize, generation + 1);
    if (seen > generation) {
      throw new StorageError(
        'ERR_NOT_OWNER',
        `another process has taken this store over (generation ${seen}, ours is ${generation})`,
      );
    }
  }

  get #recordLimit(): number {
    const { journalBlocks } = this.#superblock;
    const bytes = Math.floor(journalBlocks / 2) * this.blockSize - JOURNAL_HEADER.size;
    return Math.floor(bytes / ENTRY.size) * ENTRY.size;
  }

  #noteRefusal(error: unknown): void {
    invariant(
      this.#failure !== undefined || isStorageError(error, 'ERR_NO_SPACE'),
      'a failed commit is remembered',
    );
  }

  #rejectTasks(error: unknown): void {
    for (const task of this.#tasks.splice(0)) task.reject(error);
  }

  #assertUsable(): void {
    if (this.#failure === undefined) return;
    if (isStorageError(this.#failure, 'ERR_CLOSED')) throw this.#failure;
    throw new StorageError('ERR_FAILED', 'the save volume failed earlier: reopen the store', {
      cause: this.#failure,
    });
  }

  /** Runs work that writes; a failure of unknown effect is final (C4). */
  async #guard(work: () => Promise<void>): Promise<void> {
    try {
      this.#assertUsable();
      await work();
    } catch (error) {
      if (!isStorageError(error, 'ERR_NO_SPACE')) this.#failure ??= error;
      throw error;
    }
  }

  async #readSavedSlowly(
    space: number,
    block: number,
    version: number,
    target: Uint8Array,
    tried?: Place,
    completion?: Promise<void>,
  ): Promise<boolean> {
    let entry: Place | undefined = tried;
    let pending = completion;
    for (;;) {
      if (entry !== undefined) {
        await pending;
        if (blockChecksum(space, block, target) === entry.checksum) return true;
        // The block may have been given up and used again while we read. Then the map has moved on.
        const now = await this.find(space, block, version);
        if (now?.address === entry.address && now.checksum === entry.checksum) {
          throw new StorageError(
            'ERR_CORRUPT',
            `block ${block} of object ${space}, saved at block ${entry.address}, does not pass its checksum`,
          );
        }
      }
      entry = await this.find(space, block, version);
      if (entry === undefined) return false;
      if ((entry.flags & NO_BYTES) !== 0) return withoutBytes(entry, target);
      pending = this.#device.readInto(target, entry.address * this.blockSize);
    }
  }
}

/**
 * Lets tasks fill the batch while there is room; those that throw are rejected on their own, and
 * leave nothing in it (C7).
 */
async function takeTasks(tasks: Task[], batch: Batch): Promise<Task[]> {
  const taken: Task[] = [];
  while (tasks.length > 0 && (taken.length === 0 || batch.hasRoom(ROOM_FOR_TASK))) {
    // Those that may use what is kept for them do not share a batch with those that may not.
    if (taken.length > 0 && taken[0]?.givesBack !== tasks[0]?.givesBack) break;
    if (batch.changesMap) break; // C8
    const task = tasks.shift() as Task;
    const mark = batch.mark();
    try {
      await task.fill(batch);
      taken.push(task);
    } catch (error) {
      batch.takeBack(mark);
      task.reject(error);
    }
  }
  return taken;
}

/** Operations kept free before another task is taken in; a task that needs more has its own batch. */
const ROOM_FOR_TASK = 1024;

/** Changes that a deletion may make at a time in a full store: a 128th of its blocks, within these. */
const CHANGES_KEPT = { least: 16, most: 8192 };

/** What an entry without bytes says of its block: zeros, or that it is read from beneath. */
function withoutBytes(entry: Place, target: Uint8Array): boolean {
  const zero = (entry.flags & ZERO) !== 0;
  if (zero) target.fill(0);
  return zero;
}

/** Resolves when all have ended; rejects then with the first failure in order. */
async function allOf(works: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(works)) {
    if (result.status === 'rejected') throw result.reason;
  }
}

function objectBytes(bytes: Uint8Array | undefined): number {
  return bytes === undefined ? 0 : OBJECT_HEADER.size + bytes.length;
}

/** An error after which nobody knows what is on disk; space can only run out cleanly before it. */
function unknownEffect(error: unknown): unknown {
  if (!isStorageError(error, 'ERR_NO_SPACE')) return error;
  return new StorageError('ERR_IO', 'the save volume ran out of space in the midst of a commit', {
    cause: error,
  });
}

function rootFields({ blocks, versions }: MapRoots): Partial<Superblock> {
  return {
    blocksRoot: blocks.address,
    blocksChecksum: blocks.checksum,
    blocksLevels: blocks.levels,
    blocksPages: blocks.pages,
    blocksEntries: blocks.entries,
    versionsRoot: versions.address,
    versionsChecksum: versions.checksum,
    versionsLevels: versions.levels,
    versionsPages: versions.pages,
    versionsEntries: versions.entries,
  };
}
