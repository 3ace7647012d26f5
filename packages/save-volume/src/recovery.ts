/**
 * Recovery: from the bytes on the device to the last durable commit. Read the current superblock,
 * the two lists, and replay the journal; trees and bit maps are read when they are needed, so the
 * time depends on the journal's length alone.
 *
 *   V1  Records that a later record or a superblock proves durable must be there: if one is not,
 *       the journal is damaged and opening fails, rather than going on from an older state.
 *   V2  The last record counts only if all the data it stored is there (J1).
 *   V3  Opening writes a superblock with a new epoch before anything else: records of an earlier
 *       epoch that were dropped here can never be taken for valid later.
 *   V4  Recovery changes nothing else, so a crash in it is the same as a crash before it.
 *   V5  What was read may be in the system's cache only, when a process died and the power did not.
 *       It is made durable before the superblock calls it so (V1); else a power cut in recovery
 *       could keep the superblock and lose a record that it vouches for.
 */
import { type BlockDevice, StorageError } from '@palimpsest/block-device';
import { checksum, getU48, viewOf } from '@palimpsest/bytes';
import { Allocator } from './allocator.js';
import { blockChecksum } from './batch.js';
import { BlockMap } from './block-map.js';
import { GROUPS_CHAIN, OBJECTS_CHAIN, readChain } from './chain.js';
import { readEntry } from './entries.js';
import { ENTRY, FREE, MOVE, NO_BYTES, OBJECT, PUT, REMOVE } from './format.js';
import { type JournalRecord, journalDamaged, readRecord, recordsFrom } from './journal.js';
import { decodeObjects } from './objects.js';
import { dataRuns, operationsOf } from './operations.js';
import { readSuperblock, type Superblock, writeSuperblock } from './superblock.js';

/** A store's state as of its last durable commit. */
export interface Recovered {
  readonly superblock: Superblock;
  readonly map: BlockMap;
  readonly allocator: Allocator;
  readonly objects: Map<number, Uint8Array>;
  readonly chains: { objects: number[]; groups: number[] };
  readonly seed: number;
  /** Journal block where the next record goes. */
  readonly journalHead: number;
  readonly nextSequence: number;
  readonly nextObject: number;
  readonly objectsChanged: boolean;
  /** Journal records replayed. */
  readonly records: number;
}

/**
 * Finds the last durable commit and takes the store over (V3).
 * @throws {StorageError} ERR_FORMAT when this is no save volume; ERR_CORRUPT when it is damaged.
 */
export async function recover(device: BlockDevice, cacheBytes: number): Promise<Recovered> {
  const found = await readSuperblock(device);
  assertShape(found, device);
  const blockSize = 2 ** found.blockShift;
  const objectsChain = await readChain(device, blockSize, {
    kind: OBJECTS_CHAIN,
    start: found.objectsStart,
    bytes: found.objectsBytes,
    checksum: found.objectsChecksum,
  });
  const groupsChain = await readChain(device, blockSize, {
    kind: GROUPS_CHAIN,
    start: found.groupsStart,
    bytes: found.groupsBytes,
    checksum: found.groupsChecksum,
  });
  const allocator = new Allocator(device, blockSize, found.dataStart);
  allocator.decode(groupsChain.content, Math.floor(device.size / blockSize));
  const map = new BlockMap(device, blockSize, cacheBytes, rootsOf(found));
  const replay = new Replay(
    device,
    blockSize,
    found,
    map,
    allocator,
    decodeObjects(objectsChain.content),
  );
  await replay.run();
  const superblock: Superblock = {
    ...found,
    generation: found.generation + 1,
    epoch: found.epoch + 1,
    clean: 0,
    durableSequence: replay.sequence,
  };
  await device.flush(); // V5
  await writeSuperblock(device, blockSize, superblock);
  await device.flush();
  return {
    superblock: { ...superblock, clean: found.clean },
    map,
    allocator,
    objects: replay.objects,
    chains: { objects: objectsChain.addresses, groups: groupsChain.addresses },
    seed: replay.seed,
    journalHead: replay.head,
    nextSequence: replay.sequence,
    nextObject: replay.nextObject,
    objectsChanged: replay.objectsChanged,
    records: replay.records,
  };
}

class Replay {
  readonly objects: Map<number, Uint8Array>;
  readonly seed: number;
  head = 0;
  sequence: number;
  nextObject: number;
  objectsChanged = false;
  records = 0;
  readonly #device: BlockDevice;
  readonly #blockSize: number;
  readonly #superblock: Superblock;
  readonly #map: BlockMap;
  readonly #allocator: Allocator;

  constructor(
    device: BlockDevice,
    blockSize: number,
    superblock: Superblock,
    map: BlockMap,
    allocator: Allocator,
    objects: Map<number, Uint8Array>,
  ) {
    this.#device = device;
    this.#blockSize = blockSize;
    this.#superblock = superblock;
    this.#map = map;
    this.#allocator = allocator;
    this.objects = objects;
    this.seed = checksum(superblock.storeId);
    this.sequence = superblock.firstSequence;
    this.nextObject = superblock.nextObject;
  }

  async run(): Promise<void> {
    for (let record = await this.#read(); record !== undefined; ) {
      const { blocks } = record;
      // The next record proves this one durable (J2); the last one has to prove itself (V2).
      this.head += blocks;
      this.sequence += 1;
      const next = await this.#read();
      const proven = next !== undefined || this.sequence <= this.#superblock.durableSequence;
      if (!proven && !(await this.#hasItsData(record))) {
        this.head -= blocks;
        this.sequence -= 1;
        break;
      }
      await this.#apply(record.body);
      this.records += 1;
      record = next;
    }
    await this.#assertEnd();
  }

  /** V1: a record further on proves that the one at the head was durable, and is damaged now. */
  async #assertEnd(): Promise<void> {
    const { journalStart, journalBlocks, epoch } = this.#superblock;
    const journal = { start: journalStart, blocks: journalBlocks };
    const size = { device: this.#device, blockSize: this.#blockSize, journal, seed: this.seed };
    for await (const record of recordsFrom(size, this.head + 1)) {
      if (record.epoch === epoch && record.sequence > this.sequence) {
        throw journalDamaged(
          `record ${this.sequence} is not there, but ${record.sequence} is (V1)`,
        );
      }
    }
  }

  /** The record that should come next, if it is there. */
  async #read(): Promise<JournalRecord | undefined> {
    const { journalStart, journalBlocks, durableSequence, epoch, generation } = this.#superblock;
    const journal = { start: journalStart, blocks: journalBlocks };
    const record = await readRecord(this.#device, this.#blockSize, journal, this.head, this.seed);
    if (record !== undefined && record.generation > generation) {
      // S3: the superblock that this record builds on is not the one that was found.
      throw journalDamaged(
        `it builds on superblock ${record.generation}, which is damaged; ${generation} is the older one`,
      );
    }
    const known = this.sequence < durableSequence;
    if (
      record !== undefined &&
      record.sequence === this.sequence &&
      (known || record.epoch === epoch)
    ) {
      return record;
    }
    if (known) throw journalDamaged(`record ${this.sequence} is missing (V1)`);
    return undefined;
  }

  /** V2. Blocks that lie side by side, as a commit writes them, are read with one call. */
  async #hasItsData(record: JournalRecord): Promise<boolean> {
    const { body } = record;
    const view = viewOf(body);
    const bytes = new Uint8Array(DATA_STEP * this.#blockSize);
    for (const run of dataRuns(body, DATA_STEP)) {
      const position = run.address * this.#blockSize;
      const length = run.operations.length * this.#blockSize;
      if (position + length > this.#device.size) return false;
      await this.#device.readInto(bytes.subarray(0, length), position);
      for (const [index, at] of run.operations.entries()) {
        const start = index * this.#blockSize;
        const block = bytes.subarray(start, start + this.#blockSize);
        const space = view.getUint32(at + ENTRY.at.space, true);
        const sum = blockChecksum(space, getU48(view, at + ENTRY.at.block), block);
        if (sum !== view.getUint32(at + ENTRY.at.checksum, true)) return false;
      }
    }
    return true;
  }

  /** A journal has hundreds of thousands of operations: what needs no wait makes no promise. */
  async #apply(body: Uint8Array): Promise<void> {
    const { pending } = this.#map;
    for (const { kind, space, number, at, view } of operationsOf(body)) {
      switch (kind) {
        case PUT:
        case MOVE: {
          const entry = readEntry({ view, at });
          pending.set(space, number, entry, false);
          if ((entry.flags & NO_BYTES) !== 0) break;
          const taken = this.#allocator.takeNow(entry.address);
          if (taken === undefined) await this.#allocator.take(entry.address);
          break;
        }
        case REMOVE:
          pending.set(space, number, readEntry({ view, at }), true);
          break;
        case FREE:
          await this.#allocator.release(getU48(view, at + ENTRY.at.address), number);
          break;
        case OBJECT: {
          const start = at + ENTRY.size;
          this.#setObject(number, body.slice(start, start + getU48(view, at + ENTRY.at.version)));
          break;
        }
        default:
          throw journalDamaged(`operation ${kind} is unknown`);
      }
    }
  }

  #setObject(id: number, bytes: Uint8Array): void {
    if (bytes.length === 0) this.objects.delete(id);
    else this.objects.set(id, bytes);
    this.nextObject = Math.max(this.nextObject, id + 1);
    this.objectsChanged = true;
  }
}

/** Blocks read with one call when a record's data is checked. */
const DATA_STEP = 256;

/** The roots of both trees, as a superblock has them. */
function rootsOf(superblock: Superblock): ConstructorParameters<typeof BlockMap>[3] {
  return {
    blocks: {
      address: superblock.blocksRoot,
      checksum: superblock.blocksChecksum,
      levels: superblock.blocksLevels,
      pages: superblock.blocksPages,
      entries: superblock.blocksEntries,
    },
    versions: {
      address: superblock.versionsRoot,
      checksum: superblock.versionsChecksum,
      levels: superblock.versionsLevels,
      pages: superblock.versionsPages,
      entries: superblock.versionsEntries,
    },
  };
}

/** A superblock that passes its checksum may still be a stranger's: lengths stay inside the device. */
function assertShape(superblock: Superblock, device: BlockDevice): void {
  const { journalStart, journalBlocks, dataStart, totalBlocks, blocksLevels, versionsLevels } =
    superblock;
  const ordered = journalStart + journalBlocks <= dataStart && dataStart <= totalBlocks;
  const lists = superblock.objectsBytes + superblock.groupsBytes <= device.size;
  if (!ordered || !lists || blocksLevels > 16 || versionsLevels > 16) {
    throw new StorageError('ERR_CORRUPT', 'the superblock contradicts itself');
  }
}
