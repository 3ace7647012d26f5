/**
 * The audit of a save volume: every page and, if asked, every saved block is read, and every block
 * in use must have exactly one owner, every owner's block must be in use (R10 of the design:
 * free + owned = total), and both trees must agree (M2).
 */

import { type BlockDevice, isStorageError } from '@palimpsest/block-device';
import { BitMap } from '@palimpsest/bytes';
import { blockChecksum } from './batch.js';
import { readKey } from './block-tree.js';
import { readEntry } from './entries.js';
import { NO_BYTES } from './format.js';
import type { MapEntry } from './pending-map.js';
import type { SaveVolume } from './save-volume.js';
import { LIVE } from './versions.js';

/** What an audit found. Nothing in `problems` means all is well. */
export interface VerifyReport {
  readonly problems: readonly string[];
  /** Pages of the trees. */
  readonly pages: number;
  /** Entries of the block map. */
  readonly entries: number;
  /** Blocks in use, and how many of them someone owns. */
  readonly usedBlocks: number;
  readonly ownedBlocks: number;
}

/** Problems beyond this many are only counted. */
const PROBLEMS_MAX = 100;

/**
 * Audits an open save volume, between two commits.
 * @throws {StorageError} when the volume has failed. Damage is reported, not thrown.
 */
export async function verifySaveVolume(
  save: SaveVolume,
  device: BlockDevice,
  options: { readonly data?: boolean } = {},
): Promise<VerifyReport> {
  const audit = new Audit(save, device, options.data ?? false);
  await save.quiesced(() => audit.run());
  return audit.report();
}

class Audit {
  readonly #save: SaveVolume;
  readonly #device: BlockDevice;
  readonly #data: boolean;
  readonly #problems: string[] = [];
  readonly #owned: BitMap;
  #dropped = 0;
  #pages = 0;
  #entries = 0;
  #ownedBlocks = 0;

  constructor(save: SaveVolume, device: BlockDevice, data: boolean) {
    this.#save = save;
    this.#device = device;
    this.#data = data;
    this.#owned = new BitMap(save.allocator.totalBlocks);
  }

  async run(): Promise<void> {
    const { superblock, map, chainAddresses } = this.#save;
    for (const address of chainAddresses) this.#own(address, 'a list page');
    await this.#ownGroups(superblock.dataStart);
    for (const tree of [map.byBlock, map.byVersion])
      await this.#walk(() =>
        tree.eachPage((page) => {
          this.#pages += 1;
          this.#own(page.address, 'a map page');
        }),
      );
    await this.#walk(() => this.#ownEntries());
    await this.#walk(() => this.#compareTrees());
    await this.#compareWithAllocator(superblock.dataStart);
  }

  report(): VerifyReport {
    const problems = [...this.#problems];
    if (this.#dropped > 0) problems.push(`and ${this.#dropped} more`);
    return {
      problems,
      pages: this.#pages,
      entries: this.#entries,
      usedBlocks: this.#save.allocator.used,
      ownedBlocks: this.#ownedBlocks,
    };
  }

  /** Damage met on the way is a finding; the audit goes on with the next part. */
  async #walk(part: () => Promise<void>): Promise<void> {
    try {
      await part();
    } catch (error) {
      if (!isStorageError(error)) throw error;
      this.#find(error.message);
    }
  }

  async #ownGroups(dataStart: number): Promise<void> {
    const { allocator } = this.#save;
    for (let group = 0; group < allocator.groupCount; group += 1) {
      const start = dataStart + group * allocator.groupBlocks;
      this.#own(start, 'a bit map');
      this.#own(start + 1, 'a bit map');
    }
  }

  async #ownEntries(): Promise<void> {
    const { map } = this.#save;
    const entries: { space: number; block: number; entry: MapEntry }[] = [];
    await map.byBlock.scan([0, 0, 0], [2 ** 32, 0, 0], (view, at) => {
      const [space, block, version] = readKey(view, at);
      let change = map.pending.head(space, block);
      while (change !== undefined && change.version !== version) change = change.next;
      if (change === undefined) entries.push({ space, block, entry: readEntry({ view, at }) });
    });
    for (const space of map.pending.spaces()) {
      map.pending.eachOf(space, (block, entry) => {
        if (!entry.removed) entries.push({ space, block, entry });
      });
    }
    this.#entries = entries.length;
    const bytes = new Uint8Array(this.#save.blockSize);
    for (const { space, block, entry } of entries) {
      if ((entry.flags & NO_BYTES) !== 0) continue;
      const owner = `block ${block} of object ${space}, version ${entry.version}`;
      this.#own(entry.address, owner);
      if (this.#save.object(space) === undefined) this.#find(`${owner}: there is no such object`);
      if (!this.#data) continue;
      await this.#device.readInto(bytes, entry.address * bytes.length);
      if (blockChecksum(space, block, bytes) !== entry.checksum) {
        this.#find(`${owner}: its bytes at block ${entry.address} do not pass their checksum`);
      }
    }
  }

  async #compareTrees(): Promise<void> {
    const { byBlock, byVersion } = this.#save.map;
    const inBlocks = new Set<string>();
    let count = 0;
    await byBlock.scan([0, 0, 0], [2 ** 32, 0, 0], (view, at) => {
      const [space, block, version] = readKey(view, at);
      count += 1;
      if (version !== LIVE) inBlocks.add(`${space} ${version} ${block}`);
    });
    if (count !== byBlock.root.entries) {
      this.#find(
        `the by-block tree has ${count} entries, the superblock says ${byBlock.root.entries}`,
      );
    }
    let versions = 0;
    await byVersion.scan([0, 0, 0], [2 ** 32, 0, 0], (view, at) => {
      const [space, version, block] = readKey(view, at);
      versions += 1;
      if (!inBlocks.has(`${space} ${version} ${block}`)) {
        this.#find(
          `block ${block} of object ${space} is saved for ${version} in the by-version tree alone`,
        );
      }
    });
    if (versions !== inBlocks.size) {
      this.#find(`the by-version tree has ${versions} entries, the by-block tree ${inBlocks.size}`);
    }
  }

  async #compareWithAllocator(dataStart: number): Promise<void> {
    const { allocator } = this.#save;
    for (let address = dataStart; address < allocator.totalBlocks; address += 1) {
      const used = await allocator.isUsed(address);
      if (used === this.#owned.has(address)) continue;
      this.#find(
        used ? `block ${address} is in use but nobody's` : `block ${address} is owned but free`,
      );
    }
    if (allocator.used !== this.#ownedBlocks) {
      this.#find(`${allocator.used} blocks are in use, ${this.#ownedBlocks} are owned`);
    }
  }

  #own(address: number, owner: string): void {
    if (!(address < this.#owned.length)) {
      this.#find(`${owner} lies at block ${address}, outside the save volume`);
      return;
    }
    if (!this.#owned.add(address)) this.#find(`block ${address} has a second owner: ${owner}`);
    else this.#ownedBlocks += 1;
  }

  #find(problem: string): void {
    if (this.#problems.length < PROBLEMS_MAX) this.#problems.push(problem);
    else this.#dropped += 1;
  }
}
