/**
 * OwnBlocks: what a branch has of its own, held or in the map, and its part in commits.
 *
 *   K1  A branch's writes reach no other volume or snapshot: they go to its own space of the block
 *       map, and to blocks that nobody else owns (I4).
 *   K2  A block is never overwritten in place: its new bytes, their checksum and their place become
 *       durable together or not at all, so no torn write can fail a checksum.
 *   K5  The first change of a block after a snapshot of the branch records, in the same commit, what
 *       it was under that snapshot (E1): the old entry moves there, or one that says "beneath".
 *   K6  A quota counts what all spaces of the branch have, retired ones too, as of the last commit, and
 *       what is held or let in already: two writers at once are not let in for the same last block.
 */
import {
  atLevel,
  type Batch,
  type HeldBlock,
  HeldBlocks,
  LIVE,
  levelOf,
  type MapEntry,
  MISS,
  type Participant,
  PUTS_A_TURN,
  type SaveVolume,
  versionOf,
} from '@palimpsest/save-volume';
import { countOwned, overQuota, type Quota } from './quota.js';
import { type Span, spanBlocks, type ZeroSpans } from './zero-spans.js';

/** Entries that one commit of a large zeroing takes out at most. */
const CLEAR_STEP = 4096;
/** Operations that one entry may take: its old state recorded, its block freed, the new state. */
const OPERATIONS = 3;

interface Tally {
  blocks: number;
}

/** Blocks that a branch's commits recorded, each time anew. */
export interface CommittedCounts {
  /** With their bytes. */
  stored: number;
  /** As zeros, which take no block. */
  zeros: number;
}

/** See the file header. */
export class OwnBlocks implements Participant {
  readonly held: HeldBlocks;
  readonly spans: ZeroSpans;
  /** The snapshot of the branch that old states are recorded for; 0 when there is none. */
  youngest = 0;
  /** Since the branch was opened. */
  readonly counts: CommittedCounts = { stored: 0, zeros: 0 };
  /** Of the batch: one that is refused stored nothing. */
  readonly #batched: CommittedCounts = { stored: 0, zeros: 0 };
  readonly #save: SaveVolume;
  readonly #space: number;
  /** Blocks that the branch may own, and owns in the map (K6); kept only while there is a quota. */
  #quota: Quota | undefined;
  /** Blocks that writers were let in for and do not hold yet (K6). */
  #admitted = 0;
  /** Blocks won less blocks given back by the batch of the running round, and by the one being filled. */
  readonly #cycle: Tally = { blocks: 0 };
  #tally: Tally = this.#cycle;

  constructor(save: SaveVolume, space: number, spans: ZeroSpans) {
    this.held = new HeldBlocks(save);
    this.spans = spans;
    this.#save = save;
    this.#space = space;
  }

  // ---- Taking part in commits ----------------------------------------------------------------

  get hasWork(): boolean {
    return this.held.size > 0;
  }

  begin(): void {
    this.held.begin();
  }

  async fill(batch: Batch): Promise<boolean> {
    this.#tally = this.#cycle;
    for (const [index, block] of this.held.unfilled().entries()) {
      if ((index + 1) % PUTS_A_TURN === 0) await this.#save.turn();
      if (!batch.hasRoom(OPERATIONS)) return true;
      const wait = this.#change(batch, block, 0);
      if (wait !== undefined) await wait;
      const bytes = this.held.committing(block);
      if (bytes === null) {
        batch.putZero(this.#space, block, LIVE);
        this.#batched.zeros += 1;
      } else {
        batch.put(this.#space, block, LIVE, bytes);
        this.#batched.stored += 1;
        this.#tally.blocks += 1;
      }
      this.held.fill(block);
    }
    return false;
  }

  settle(): undefined {
    this.held.settle();
    this.counts.stored += this.#batched.stored;
    this.counts.zeros += this.#batched.zeros;
    this.#forgetBatch();
    this.adopted(this.#cycle.blocks);
    this.#cycle.blocks = 0;
  }

  abandon(): void {
    this.held.abandon();
    this.#forgetBatch();
    this.#cycle.blocks = 0;
  }

  #forgetBatch(): void {
    this.#batched.stored = 0;
    this.#batched.zeros = 0;
  }

  // ---- Changing ------------------------------------------------------------------------------

  /**
   * Makes spans of zeros and takes what they cover out of the present. A crash between the two leaves
   * some of it as it was, which is all that a change that was not answered may do.
   */
  async zeroSpans(spans: readonly Span[]): Promise<void> {
    const save = this.#save;
    if (this.held.size > 0) await save.commit(this);
    this.spans.expect(spans.map(({ level }) => level));
    for (let from = 0; from < spans.length; ) {
      const part = spans.slice(from, from + this.#step());
      from += part.length;
      await this.#transact(async (batch) => {
        for (const { first, level } of part) {
          await this.#change(batch, first, level);
          batch.putZero(this.#space, first, atLevel(level, LIVE));
        }
      });
    }
    const start = spans[0]?.first as number;
    const last = spans.at(-1) as Span;
    const levels = new Map(spans.map(({ first, level }) => [first, level]));
    await this.#clear(start, last.first + spanBlocks(last.level), levels);
  }

  /** Takes the present out of the map but for the spans that were just made. */
  async #clear(start: number, end: number, kept: ReadonlyMap<number, number>): Promise<void> {
    for (let from = start; from < end; ) {
      const limit = this.#step();
      // Listed in the transaction: a write that is committed meanwhile gives an old block back itself.
      await this.#transact(async (batch) => {
        const entries = await this.#save.map.listEntries(this.#space, from, end, limit);
        for (const { block, entry } of entries) {
          const level = levelOf(entry.version);
          if (versionOf(entry.version) !== LIVE || (level > 0 && kept.get(block) === level))
            continue;
          await this.#change(batch, block, level);
          batch.remove(this.#space, block, entry.version);
        }
        from = entries.length < limit ? end : (entries.at(-1)?.block as number) + 1;
      });
    }
  }

  /** A commit of its own, counted when it is durable. */
  async #transact(fill: (batch: Batch) => Promise<void>): Promise<void> {
    const tally: Tally = { blocks: 0 };
    await this.#save.transact((batch) => {
      tally.blocks = 0;
      this.#tally = tally; // batches are filled one after the other
      return fill(batch);
    });
    this.adopted(tally.blocks);
  }

  /**
   * E1: records in the batch what a block or span is now, or gives it back when nobody needs it. At
   * once when the pages of the map that tell are in memory.
   */
  #change(batch: Batch, block: number, level: number): Promise<void> | undefined {
    const changed = this.#changeAtOnce(batch, block, level);
    if (changed !== MISS) return undefined;
    return this.#save.map.withPages(() => this.#changeAtOnce(batch, block, level));
  }

  /** Puts nothing into the batch when it misses. */
  #changeAtOnce(batch: Batch, block: number, level: number): undefined | typeof MISS {
    const { youngest } = this;
    const { map } = this.#save;
    const live = atLevel(level, LIVE);
    const first = map.lookUp(this.#space, block, youngest > 0 ? atLevel(level, youngest) : live);
    if (first === MISS) return MISS;
    if (youngest > 0 && (first === undefined || first.version === live)) {
      this.#record(batch, block, atLevel(level, youngest), first);
      return undefined;
    }
    const old =
      first === undefined || first.version === live ? first : map.lookUp(this.#space, block, live);
    if (old === MISS) return MISS;
    this.#giveBack(batch, old);
    return undefined;
  }

  #record(batch: Batch, block: number, version: number, entry: MapEntry | undefined): void {
    if (entry === undefined) batch.putBeneath(this.#space, block, version);
    else batch.set(this.#space, block, { ...entry, version });
  }

  #giveBack(batch: Batch, entry: MapEntry | undefined): void {
    if (entry === undefined || entry.address === 0) return;
    batch.free(entry.address);
    this.#tally.blocks -= 1;
  }

  #find(block: number, version: number): MapEntry | undefined | Promise<MapEntry | undefined> {
    const known = this.#save.map.lookUp(this.#space, block, version);
    return known === MISS ? this.#save.find(this.#space, block, version) : known;
  }

  #step(): number {
    return Math.max(1, Math.min(CLEAR_STEP, Math.floor(this.#save.operationsMax / 4) - 4));
  }

  // ---- The quota -----------------------------------------------------------------------------

  /** Bytes that the branch may own from now on; `undefined` for as many as there are. */
  async limit(bytes: number | undefined): Promise<void> {
    if (bytes === undefined) {
      this.#quota = undefined;
      return;
    }
    const blocks = Math.floor(bytes / this.#save.blockSize);
    if (this.#quota !== undefined) this.#quota = { blocks, used: this.#quota.used };
    else {
      await this.#save.quiesced(async () => {
        this.#quota = { blocks, used: await countOwned(this.#save, this.#space) };
      });
    }
  }

  /** Whether `count` more blocks may be held for all the quota says. */
  isWithinQuota(count: number, source: HeldBlock): boolean {
    return this.#quota === undefined || source === null || this.quotaLeft >= count;
  }

  /** Blocks that the branch may still win. */
  get quotaLeft(): number {
    if (this.#quota === undefined) return Number.POSITIVE_INFINITY;
    return this.#quota.blocks - this.#quota.used - this.held.size - this.#admitted;
  }

  /**
   * Lets a writer in that may need no more blocks than are left: what it rewrites makes up for what it
   * takes. Call it with nobody else writing, and what it returns when the blocks are held.
   * @throws {StorageError} ERR_NO_SPACE when it needs more.
   */
  async admit(first: number, count: number): Promise<() => void> {
    await this.#save.commit(this);
    let needed = 0;
    for (let block = first; block < first + count; block += 1) {
      const entry = await this.#find(block, this.youngest > 0 ? this.youngest : LIVE);
      const live = entry?.version === LIVE ? entry : await this.#find(block, LIVE);
      const isFreed = live !== undefined && live.address !== 0;
      const isKept = this.youngest > 0 && entry?.version === LIVE;
      if (!isFreed || isKept) needed += 1;
    }
    // K6: looked at and taken in one turn.
    const quota = this.#quota;
    if (quota !== undefined && needed > Math.max(0, this.quotaLeft)) {
      throw overQuota(this.#save, quota, needed);
    }
    this.#admitted += needed;
    return () => {
      this.#admitted -= needed;
    };
  }

  /** Notes that blocks became the branch's own, or were given back, without having been written. */
  adopted(blocks: number): void {
    if (this.#quota !== undefined) this.#quota.used += blocks;
  }
}
