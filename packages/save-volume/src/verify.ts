/**
 * The audit of a save volume, and the scrub, which is the same at leisure: every page and, if asked,
 * every saved block is read, and every block in use must have exactly one owner, every owner's block
 * must be in use (R10 of the design: free + owned = total), and both trees must agree (M2).
 *
 *   O1  It works in slices between commit cycles, so commits wait for a slice at most. What is owned is
 *       counted along with the scan: a commit that changes what the scan has passed changes the count
 *       as well (`committed`), what is ahead the scan will meet.
 *   O2  Pages of the trees are owned by the last slice alone, which walks the inner ones: they name
 *       every leaf. Both trees are those of one checkpoint in each slice, so each entry of one must be
 *       in the other right then.
 *   O3  Memory is bounded: owned blocks are bits, by group, of so many groups a pass.
 */
import { type BlockDevice, isStorageError } from '@palimpsest/block-device';
import { type Batch, blockChecksum } from './batch.js';
import { type BlockTree, readKey } from './block-tree.js';
import { NO_BYTES } from './format.js';
import { Ownership } from './ownership.js';
import type { MapEntry } from './pending-map.js';
import type { SaveVolume } from './save-volume.js';
import {
  EVERYTHING,
  missingIn,
  type ScanKey,
  scanReadable,
  scanSlice,
  skipDamage,
} from './tree-scan.js';
import type { VerifyOptions, VerifyReport } from './verify-report.js';

/** Problems beyond this many are only counted. */
const PROBLEMS_MAX = 100;
/** Entries, and saved blocks, looked at before commits may go on. */
const ENTRIES_A_SLICE = 4096;
const BLOCKS_A_SLICE = 256;

/**
 * Audits an open save volume.
 * @throws {StorageError} when the volume has failed. Damage is reported, not thrown.
 */
export async function verifySaveVolume(
  save: SaveVolume,
  device: BlockDevice,
  options: VerifyOptions = {},
): Promise<VerifyReport> {
  const audit = new Audit(save, device, options);
  await audit.run();
  return audit.report();
}

class Audit {
  readonly #save: SaveVolume;
  readonly #device: BlockDevice;
  readonly #options: VerifyOptions;
  readonly #problems: string[] = [];
  readonly #objects = new Set<number>();
  readonly #owned: Ownership;
  readonly #block: Uint8Array;
  #dropped = 0;
  #pages = 0;
  #entries = 0;
  #read = 0;
  /** Everything before it has been counted by this pass (O1). */
  #passed: ScanKey = EVERYTHING.from;
  #damaged = false;

  constructor(save: SaveVolume, device: BlockDevice, options: VerifyOptions) {
    this.#save = save;
    this.#device = device;
    this.#options = options;
    this.#block = new Uint8Array(save.blockSize);
    this.#owned = new Ownership(save.allocator, save.superblock.dataStart, (problem) =>
      this.#find(problem),
    );
  }

  async run(): Promise<void> {
    const ignore = this.#save.observe((batch, addresses) => this.#committed(batch, addresses));
    try {
      await this.#runObserved();
    } finally {
      ignore();
    }
  }

  async #runObserved(): Promise<void> {
    const { from } = this.#options;
    const { byBlock, byVersion } = this.#save.map;
    const start: ScanKey = from === undefined ? EVERYTHING.from : [from.space, from.block, 0];
    await this.#scan(byBlock, start, (key) => this.#lookAtBlocks(key, true));
    await this.#scan(byVersion, EVERYTHING.from, (key) => this.#lookAtVersions(key));
    if (from !== undefined) return;
    for (let pass = 0; ; pass += 1) {
      await this.#save.quiesced(() => this.#settle(pass === 0));
      if (!this.#owned.next()) return;
      // What a pass has no bits for is left to the next one (O3).
      this.#passed = EVERYTHING.from;
      await this.#scan(byBlock, EVERYTHING.from, (key) => this.#lookAtBlocks(key, false));
    }
  }

  report(): VerifyReport {
    const problems = [...this.#problems];
    if (this.#dropped > 0) problems.push(`and ${this.#dropped} more`);
    return {
      problems,
      objects: [...this.#objects].sort((a, b) => a - b),
      pages: this.#pages,
      entries: this.#entries,
      usedBlocks: this.#save.allocator.used,
      ownedBlocks: this.#owned.count,
    };
  }

  /** Slice after slice of a tree; what cannot be read is reported and passed over. */
  async #scan(
    tree: BlockTree,
    start: ScanKey,
    slice: (from: ScanKey) => Promise<ScanKey | undefined>,
  ): Promise<void> {
    const { pace, onProgress, signal } = this.#options;
    const { byBlock, pending } = this.#save.map;
    for (let key: ScanKey | undefined = start; key !== undefined; ) {
      signal?.throwIfAborted();
      const from: ScanKey = key;
      let next: ScanKey | undefined;
      await this.#save.quiesced(async () => {
        try {
          next = await slice(from);
        } catch (error) {
          if (!isStorageError(error)) throw error;
          next = await this.#passOver(tree, from, error.message);
        }
        if (tree === byBlock) this.#passed = next ?? EVERYTHING.to;
      });
      key = next;
      const total = byBlock.root.entries + pending.count;
      const [space, block] = this.#passed;
      onProgress?.(Math.min(this.#entries, total), total, { space, block });
      const read = this.#read;
      this.#read = 0;
      await pace?.(read);
    }
  }

  async #passOver(tree: BlockTree, from: ScanKey, message: string): Promise<ScanKey | undefined> {
    const next = await skipDamage(tree, from);
    this.#damaged = true;
    if (tree !== this.#save.map.byBlock) {
      this.#find(`${message}: it lists what is saved by snapshot`);
      return next;
    }
    const last = next?.[0] ?? Number.MAX_SAFE_INTEGER;
    for (const { id } of this.#save.objects()) {
      if (id >= from[0] && id <= last) this.#objects.add(id);
    }
    const end = next === undefined ? 'on' : `up to block ${next[1]} of object ${next[0]}`;
    this.#find(
      `${message}: what is saved from block ${from[1]} of object ${from[0]} ${end} is lost`,
    );
    return next;
  }

  /** A slice of the by-block tree, with what is pending; `first` is false in passes for owners alone. */
  async #lookAtBlocks(from: ScanKey, first: boolean): Promise<ScanKey | undefined> {
    const { map } = this.#save;
    const most = first && this.#options.data === true ? BLOCKS_A_SLICE : ENTRIES_A_SLICE;
    const { entries, next, keys, found } = await scanSlice(map, from, most);
    for (const { space, block, entry } of entries) {
      if (first) this.#entries += 1;
      if ((entry.flags & NO_BYTES) !== 0) continue;
      this.#owned.add(entry.address, () => nameOf(space, block, entry));
      if (first) await this.#lookAtEntry(space, block, entry);
    }
    if (first) {
      for (const key of await missingIn(map.byVersion, keys)) {
        this.#find(
          `block ${key[2]} of object ${key[0]}, version ${key[1]}, is in the by-block tree alone`,
        );
      }
      await this.#compareCount(map.byBlock, from, next, found);
    }
    return next;
  }

  async #lookAtVersions(from: ScanKey): Promise<ScanKey | undefined> {
    const { byBlock, byVersion } = this.#save.map;
    const keys: ScanKey[] = [];
    let stop: ScanKey | undefined;
    const damage = await scanReadable(byVersion, from, (view, at) => {
      const key = readKey(view, at);
      if (keys.length === ENTRIES_A_SLICE) stop = key;
      else keys.push(key);
      return stop === undefined;
    });
    const next = stop ?? damage;
    for (const [space, block, version] of await missingIn(
      byBlock,
      keys.map(([space, version, block]) => [space, block, version]),
    )) {
      this.#find(
        `block ${block} of object ${space} is saved for ${version} in the by-version tree alone`,
      );
    }
    await this.#compareCount(byVersion, from, next, keys.length);
    return next;
  }

  async #lookAtEntry(space: number, block: number, entry: MapEntry): Promise<void> {
    if (this.#save.object(space) === undefined) {
      this.#find(`${nameOf(space, block, entry)}: there is no such object`);
    }
    if (this.#options.data !== true) return;
    const problem = await this.#readData(space, block, entry);
    if (problem === undefined) return;
    this.#objects.add(space);
    this.#find(`${nameOf(space, block, entry)}: its bytes at block ${entry.address} ${problem}`);
  }

  async #readData(space: number, block: number, entry: MapEntry): Promise<string | undefined> {
    const { length } = this.#block;
    this.#read += length;
    try {
      await this.#device.readInto(this.#block, entry.address * length);
    } catch (error) {
      if (!isStorageError(error)) throw error;
      return `cannot be read: ${error.message}`;
    }
    const sound = blockChecksum(space, block, this.#block) === entry.checksum;
    return sound ? undefined : 'do not pass their checksum';
  }

  /** The last slice of a pass (O2). */
  async #settle(first: boolean): Promise<void> {
    const { map, chainAddresses } = this.#save;
    for (const address of chainAddresses) this.#owned.add(address, () => 'a list page');
    for (const tree of [map.byBlock, map.byVersion]) {
      try {
        await tree.eachAddress((address) => {
          if (first) this.#pages += 1;
          this.#owned.add(address, () => 'a map page');
        });
      } catch (error) {
        if (!isStorageError(error)) throw error;
        this.#damaged = true;
        this.#find(error.message);
      }
    }
    // What a damaged page names has an owner that cannot be known.
    await this.#owned.compare({ orphans: !this.#damaged });
  }

  /** O1: a commit between two slices. */
  #committed(batch: Batch, addresses: readonly number[]): void {
    for (const address of batch.freed) this.#owned.delete(address);
    const [space, block] = this.#passed;
    for (const [index, put] of batch.newBlocks.entries()) {
      if (put.space > space || (put.space === space && put.block >= block)) continue;
      this.#owned.add(addresses[index] as number, () => `block ${put.block} of ${put.space}`);
    }
  }

  /** T4. Where a page cannot be read, that is reported already. */
  async #compareCount(
    tree: BlockTree,
    from: ScanKey,
    to: ScanKey | undefined,
    found: number,
  ): Promise<void> {
    try {
      const expected = await tree.countBetween(from, to ?? EVERYTHING.to);
      if (found === expected) return;
      const name = tree === this.#save.map.byBlock ? 'by-block' : 'by-version';
      this.#find(`the ${name} tree has ${found} entries where its inner pages say ${expected}`);
    } catch (error) {
      if (!isStorageError(error)) throw error;
    }
  }

  #find(problem: string): void {
    if (this.#problems.length < PROBLEMS_MAX) this.#problems.push(problem);
    else this.#dropped += 1;
  }
}

function nameOf(space: number, block: number, { version }: MapEntry): string {
  return `block ${block} of object ${space}, version ${version}`;
}
