/**
 * checkSaveVolume: what is left of a save volume that will not open, for a person to act on. It reads
 * each part on its own, so damage in one does not hide the others, and it never writes: an opening is
 * tried on a view of the device that keeps what is written in memory.
 */
import { type BlockDevice, checked, isStorageError } from '@palimpsest/block-device';
import { checksum } from '@palimpsest/bytes';
import { GROUPS_CHAIN, OBJECTS_CHAIN, readChain } from './chain.js';
import { recordsFrom } from './journal.js';
import { decodeObjects } from './objects.js';
import { openSaveVolume } from './open.js';
import { readSlots, readSuperblock, type Superblock } from './superblock.js';
import type { VerifyReport } from './verify-report.js';

/** One part of a save volume, as it was found. */
export interface CheckedPart {
  /** Such as `superblock 0`, `object list`, `journal`, `block map`. */
  readonly part: string;
  readonly sound: boolean;
  /** What is there, or what is wrong with it. */
  readonly found: string;
}

/** What a check found. */
export interface CheckReport {
  /** True when the store can be opened as it is. */
  readonly opens: boolean;
  readonly parts: readonly CheckedPart[];
  /** The audit of what could be opened, saved blocks included. */
  readonly audit: VerifyReport | undefined;
  /** Objects whose blocks cannot all be read. */
  readonly objects: readonly number[];
  /** What a person can do, most hopeful first. */
  readonly advice: readonly string[];
}

/**
 * Looks at every part of a save volume that no process has open. Nothing is written, and damage is
 * reported, not thrown.
 */
export async function checkSaveVolume(device: BlockDevice): Promise<CheckReport> {
  const check = new Check(device);
  await check.run();
  return check.report();
}

class Check {
  readonly #device: BlockDevice;
  readonly #parts: CheckedPart[] = [];
  #audit: VerifyReport | undefined;
  #opens = false;

  constructor(device: BlockDevice) {
    this.#device = device;
  }

  async run(): Promise<void> {
    for (const [slot, { superblock, magic }] of (await readSlots(this.#device)).entries()) {
      const found =
        superblock === undefined
          ? `is damaged: ${magic ? 'it does not pass its checksum' : 'nothing there looks like one'}`
          : `generation ${superblock.generation}, epoch ${superblock.epoch}, ` +
            (superblock.clean === 1 ? 'closed in order' : 'not closed in order');
      this.#note(`superblock ${slot}`, superblock !== undefined, found);
    }
    const current = await this.#part('current superblock', async () => {
      const superblock = await readSuperblock(this.#device);
      return [superblock, `generation ${superblock.generation}`];
    });
    if (current !== undefined) {
      await this.#lists(current);
      await this.#journal(current);
    }
    await this.#part('opening', async () => {
      const save = await openSaveVolume(inMemory(this.#device));
      this.#opens = true;
      this.#audit = await save.verify({ data: true });
      return [undefined, `${save.recovered.records} journal records replayed`];
    });
    if (this.#audit === undefined) return;
    const { problems, entries, pages } = this.#audit;
    const summary = `${entries} entries on ${pages} pages`;
    this.#note('block map', problems.length === 0, [summary, ...problems].join('; '));
  }

  report(): CheckReport {
    const audit = this.#audit;
    const objects = audit?.objects ?? [];
    return { opens: this.#opens, parts: this.#parts, audit, objects, advice: this.#advice() };
  }

  async #lists(superblock: Superblock): Promise<void> {
    const blockSize = 2 ** superblock.blockShift;
    const { objectsStart, objectsBytes, objectsChecksum } = superblock;
    await this.#part('object list', async () => {
      const chain = { kind: OBJECTS_CHAIN, start: objectsStart, bytes: objectsBytes };
      const list = await readChain(this.#device, blockSize, {
        ...chain,
        checksum: objectsChecksum,
      });
      const objects = decodeObjects(list.content);
      return [undefined, `${objects.size} objects as of the last checkpoint`];
    });
    const { groupsStart, groupsBytes, groupsChecksum } = superblock;
    await this.#part('group list', async () => {
      const chain = { kind: GROUPS_CHAIN, start: groupsStart, bytes: groupsBytes };
      await readChain(this.#device, blockSize, { ...chain, checksum: groupsChecksum });
      return [
        undefined,
        `${superblock.allocatedBlocks} of ${superblock.totalBlocks} blocks in use`,
      ];
    });
  }

  /** Records that count, and whether one of them is missing. */
  async #journal(superblock: Superblock): Promise<void> {
    const { journalStart, journalBlocks, firstSequence, durableSequence, epoch } = superblock;
    await this.#part('journal', async () => {
      const journal = { start: journalStart, blocks: journalBlocks };
      const blockSize = 2 ** superblock.blockShift;
      const seed = checksum(superblock.storeId);
      const seen = new Set<number>();
      for await (const record of recordsFrom(
        { device: this.#device, blockSize, journal, seed },
        0,
      )) {
        const counts = record.sequence < durableSequence || record.epoch === epoch;
        if (counts && record.sequence >= firstSequence) seen.add(record.sequence);
      }
      const last = Math.max(durableSequence - 1, ...seen);
      const missing: number[] = [];
      for (let sequence = firstSequence; sequence <= last; sequence += 1) {
        if (!seen.has(sequence)) missing.push(sequence);
      }
      if (missing.length > 0)
        this.#note('journal', false, `records ${missing.join(', ')} are missing`);
      return [undefined, `${seen.size} records since the last checkpoint`];
    });
  }

  #advice(): string[] {
    const damaged = this.#parts.filter(({ sound }) => !sound).map(({ part }) => part);
    const copy = 'copy the save volume before anything else, and look at the disk for errors';
    if (this.#opens && damaged.length === 0) return ['nothing is damaged: open the store as usual'];
    if (this.#opens && this.#audit?.problems.length === 0) {
      return ['the store opens and all in it is sound: opening it mends the rest'];
    }
    if (this.#opens) {
      return [
        copy,
        'the store opens: what is not named here is sound; save it elsewhere (`pal export`)',
        'delete the snapshots and branches that are named, or put a copy of the save volume back',
      ];
    }
    return [
      copy,
      'put a copy of the save volume back, of the same instant as the images',
      'the images of production are complete as they are, with what was flushed to them last: ' +
        'without the save volume, snapshots and branches are lost, production is not',
    ];
  }

  /** Looks at a part; a failure is what was found. */
  async #part<T>(part: string, look: () => Promise<[T, string]>): Promise<T | undefined> {
    try {
      const [value, found] = await look();
      this.#note(part, true, found);
      return value;
    } catch (error) {
      if (!isStorageError(error)) throw error;
      this.#note(part, false, error.message);
      return undefined;
    }
  }

  #note(part: string, sound: boolean, found: string): void {
    this.#parts.push({ part, sound, found });
  }
}

/** A view of the device that keeps in memory what is written; recovery writes a block or two. */
function inMemory(device: BlockDevice): BlockDevice {
  const { blockSize, size } = device;
  const written = new Map<number, Uint8Array>();
  return checked({
    blockSize,
    size,
    readOnly: false,
    async readInto(target, position) {
      await device.readInto(target, position);
      for (let at = 0; written.size > 0 && at < target.length; at += blockSize) {
        const block = written.get(position + at);
        if (block !== undefined) target.set(block, at);
      }
    },
    write(source, position) {
      for (let at = 0; at < source.length; at += blockSize) {
        written.set(position + at, source.slice(at, at + blockSize));
      }
      return undefined;
    },
    flush: () => undefined,
    close: () => Promise.resolve(),
  });
}
