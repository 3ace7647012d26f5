/**
 * SnapshotQueue: the read-only snapshots of one space of the block map, oldest (head) to youngest
 * (tail). A space is a production volume, or what one branch has of its own.
 *
 *   Q2  Blocks are saved for the youngest snapshot only, whatever their number.
 *   Q3  Deleting snapshot k keeps every other: an entry saved for k also answers for the older ones
 *       back to the entry before it. If the next older snapshot p is among them the entry is moved
 *       to p, else its block is given back. k is hidden in one commit; its entries follow in as many
 *       as it takes, and a crash between them is resumed at the next opening (I6).
 *   Q4  What something is based on (a branch, a restore) is not deleted.
 *   Q5  What a change of one snapshot costs does not depend on how many there are.
 */
import { StorageError } from '@palimpsest/block-device';
import {
  type Attributes,
  atLevel,
  type Batch,
  ById,
  encodeObject,
  LEVELS_MAX,
  type SaveVolume,
  storedDependants,
  storedObject,
} from '@palimpsest/save-volume';
import {
  type SnapshotRecord,
  type StoredSnapshot,
  snapshotRecord,
  storedSnapshots,
} from './records.js';

/** Entries that one commit of a deletion moves or gives back at most. */
const DELETE_STEP = 4096;
/** A deletion may use what is kept for it when the store is full. */
const GIVES_BACK = { givesBack: true };

/** More changes of objects in the same commit, for the layers above. */
export type Alongside = (batch: Batch) => void;

/** How to delete. */
export interface DeletionOptions {
  /** Hears how many saved blocks were dealt with, and about how many there are. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Hears how many saved blocks each commit gave back. */
  readonly onFreed?: (blocks: number) => void;
  readonly alongside?: Alongside;
}

/** See the file header. */
export class SnapshotQueue {
  readonly #save: SaveVolume;
  readonly #space: number;
  readonly #records = new ById<SnapshotRecord>();
  /** Those of them that have spans of unused blocks. */
  readonly #unused = new Set<number>();
  /** Hidden but not gone yet, oldest first. */
  #deleting: readonly number[] = [];
  #deletions: Promise<void> = Promise.resolve();
  #stopped = false;

  /** `space` is the id of the volume or of the branch's space. */
  constructor(save: SaveVolume, space: number) {
    this.#save = save;
    this.#space = space;
    this.read();
  }

  /** Oldest (head) first. */
  get records(): readonly SnapshotRecord[] {
    return this.#records.list();
  }

  /** The snapshot that blocks are saved for; 0 when there is none. */
  get youngest(): number {
    return this.#records.last?.id ?? 0;
  }

  /**
   * Versions whose entries say that a block is saved, youngest first: those of snapshots being
   * deleted that are younger than the youngest answer for it too.
   */
  get answering(): readonly number[] {
    const { youngest } = this;
    if (youngest === 0) return [];
    return [...this.#deleting.filter((id) => id > youngest).reverse(), youngest];
  }

  /** The snapshot, unless it is deleted. */
  find(id: number): SnapshotRecord | undefined {
    return this.#records.get(id);
  }

  /** The next older snapshot than `id`; 0 when there is none. */
  olderThan(id: number): number {
    return this.#records.before(id)?.id ?? 0;
  }

  /** Ids of the snapshots that have spans of unused blocks. */
  get unused(): ReadonlySet<number> {
    return this.#unused;
  }

  /** Takes the whole queue over from the stored objects. */
  read(): void {
    this.#records.clear();
    this.#unused.clear();
    this.#deleting = [];
    for (const { id, object } of storedSnapshots(this.#save, this.#space)) this.#put(id, object);
  }

  /** The same for one snapshot that is, or was, of this space, after a commit that changed it (Q5). */
  follow(id: number): void {
    const stored = storedObject<StoredSnapshot>(this.#save, 'snapshot', id);
    this.#records.delete(id);
    this.#unused.delete(id);
    if (this.#deleting.includes(id)) this.#deleting = this.#deleting.filter((each) => each !== id);
    if (stored?.volume === this.#space) this.#put(id, stored);
  }

  #put(id: number, object: StoredSnapshot): void {
    if (object.deleting === true) {
      this.#deleting = [...this.#deleting, id].sort((a, b) => a - b);
      return;
    }
    this.#records.set(snapshotRecord({ id, object }));
    if (object.unused === true) this.#unused.add(id);
  }

  /** Puts a snapshot at the tail into the batch of a commit, with which it is in the queue. */
  addTo(
    batch: Batch,
    size: number,
    attributes: Attributes,
    more: Partial<StoredSnapshot> = {},
  ): SnapshotRecord {
    const id = this.#save.newObjectId();
    const snapshot: StoredSnapshot = {
      type: 'snapshot',
      volume: this.#space,
      size,
      attributes,
      ...more,
    };
    batch.object(id, encodeObject(snapshot));
    return snapshotRecord({ id, object: snapshot });
  }

  /**
   * Hides a snapshot in one commit; `finish` gives its blocks back. The caller sees to it that
   * nothing is held and that nothing changes meanwhile.
   * @throws {StorageError} ERR_NOT_FOUND; ERR_IN_USE when something is based on it (Q4).
   */
  async hide(id: number, alongside?: Alongside): Promise<void> {
    const stored = storedObject<StoredSnapshot>(this.#save, 'snapshot', id);
    if (stored?.volume !== this.#space || stored.deleting === true) {
      throw new StorageError('ERR_NOT_FOUND', `volume ${this.#space} has no snapshot ${id}`);
    }
    const hidden: StoredSnapshot = { ...stored, deleting: true };
    await this.#save.transact((batch) => {
      assertNoDependants(this.#save, id, batch);
      batch.object(id, encodeObject(hidden));
      alongside?.(batch);
    }, GIVES_BACK);
  }

  /** Gives back or moves every entry of a hidden snapshot, one deletion after the other. */
  finish(snapshot: number, options: DeletionOptions = {}): Promise<void> {
    const done = this.#deletions.then(() => this.#moveEntries(snapshot, options));
    // A deletion that fails is reported to who asked for it, and resumed at the next opening.
    this.#deletions = done.catch(() => undefined);
    return done;
  }

  /**
   * Goes on with the deletions that were under way when the store was last closed; resolves when they
   * have ended, also when they failed: the next opening tries again.
   */
  resume(): Promise<void> {
    for (const snapshot of this.#deleting) this.finish(snapshot).catch(() => undefined);
    return this.#deletions;
  }

  /** Stops deletions after the step under way; they go on at the next opening. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#deletions;
  }

  async #moveEntries(snapshot: number, { onProgress, onFreed }: DeletionOptions): Promise<void> {
    const save = this.#save;
    const total = onProgress === undefined ? 0 : await save.map.count(this.#space, snapshot);
    let done = 0;
    for (let isGone = false; !isGone; ) {
      for (let level = 0; level <= LEVELS_MAX; level += 1) {
        for (let from = 0; ; ) {
          const step = Math.min(DELETE_STEP, Math.floor(save.operationsMax / 2)); // two each
          const version = atLevel(level, snapshot);
          const blocks = await save.map.listSaved(this.#space, version, from, step);
          const last = blocks.at(-1);
          if (last === undefined) break;
          if (this.#stopped) return;
          const freed = await this.#moveBlocks(level, snapshot, blocks);
          onFreed?.(freed);
          done += blocks.length;
          onProgress?.(done, Math.max(done, total));
          from = last + 1;
        }
      }
      await save.transact(async (batch) => {
        // A checkpoint may have moved entries behind the back of a list: here the map stands still.
        isGone = !(await this.#hasEntries(snapshot));
        if (isGone) batch.object(snapshot, undefined);
      }, GIVES_BACK);
    }
  }

  async #hasEntries(snapshot: number): Promise<boolean> {
    for (let level = 0; level <= LEVELS_MAX; level += 1) {
      const [some] = await this.#save.map.listSaved(this.#space, atLevel(level, snapshot), 0, 1);
      if (some !== undefined) return true;
    }
    return false;
  }

  /** Tells how many blocks were given back. */
  async #moveBlocks(level: number, snapshot: number, blocks: readonly number[]): Promise<number> {
    const save = this.#save;
    const version = atLevel(level, snapshot);
    // A snapshot is never created between two existing ones.
    const older = this.#records.before(snapshot)?.id;
    const heir = older === undefined ? undefined : atLevel(level, older);
    const isKept = async (block: number): Promise<boolean> => {
      if (heir === undefined) return false;
      return (await save.find(this.#space, block, heir))?.version === version;
    };
    for (const block of blocks) await isKept(block); // brings pages in while commits go on
    let freed = 0;
    await save.transact(async (batch) => {
      // Looked up here: a flatten, or the end of a retired space, may have come in between.
      for (const block of blocks) {
        const entry = await save.find(this.#space, block, version);
        if (entry?.version !== version) continue;
        batch.remove(this.#space, block, version);
        if (heir !== undefined && (await isKept(block))) {
          batch.set(this.#space, block, { ...entry, version: heir });
        } else if (entry.address !== 0) {
          batch.free(entry.address);
          freed += 1;
        }
      }
    }, GIVES_BACK);
    return freed;
  }
}

/** Q4. */
function assertNoDependants(save: SaveVolume, snapshot: number, batch: Batch): void {
  const dependants = storedDependants(save, snapshot, batch);
  if (dependants.length === 0) return;
  throw new StorageError(
    'ERR_IN_USE',
    `snapshot ${snapshot} is the base of ${dependants.length} branches or restores: ` +
      'delete or end them first',
  );
}
