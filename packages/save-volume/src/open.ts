/**
 * Making a save volume, and opening one.
 */
import { assertGeometry, type BlockDevice, StorageError } from '@palimpsest/block-device';
import { checksum } from '@palimpsest/bytes';
import { Allocator } from './allocator.js';
import { chainPages, GROUPS_CHAIN, writeChain } from './chain.js';
import { FORMAT_VERSION, SUPERBLOCK_MAGIC, superblockStride } from './format.js';
import { recover } from './recovery.js';
import { SaveVolume, type SaveVolumeOptions } from './save-volume.js';
import { writeSuperblock } from './superblock.js';

/** The shape of a new save volume. */
export interface FormatOptions {
  /** Bytes in a block. @default 4096, the page size of most machines and file systems */
  readonly blockSize?: number;
  /**
   * Bytes of journal. More makes checkpoints rarer and recovery longer.
   * @default 8 MiB or an eighth of the device, whichever is less
   */
  readonly journalBytes?: number;
  /** 16 bytes that no other store has. @default random */
  readonly storeId?: Uint8Array;
}

const JOURNAL_DEFAULT = 8 << 20;
/** A commit must fit in half the journal and hold an object of a few KiB. */
const JOURNAL_LEAST = 16_384;

/**
 * Writes an empty save volume to `device`, whatever was there before. Durable when it resolves.
 * @throws {StorageError} ERR_INVALID when the device is too small or the options do not fit it.
 */
export async function formatSaveVolume(
  device: BlockDevice,
  options: FormatOptions = {},
): Promise<void> {
  const blockSize = options.blockSize ?? 4096;
  assertGeometry(blockSize, Math.floor(device.size / blockSize) * blockSize);
  if (blockSize % device.blockSize !== 0) {
    throw new StorageError(
      'ERR_INVALID',
      `blocks of ${blockSize} bytes on a device with ${device.blockSize}`,
    );
  }
  const wanted = options.journalBytes ?? Math.min(JOURNAL_DEFAULT, device.size / 8);
  const journalBlocks = Math.ceil(Math.max(wanted, JOURNAL_LEAST) / blockSize);
  const journalStart = (2 * superblockStride(blockSize)) / blockSize;
  const dataStart = journalStart + journalBlocks;
  const totalBlocks = Math.floor(device.size / blockSize);
  if (totalBlocks < dataStart + 32) {
    throw new StorageError(
      'ERR_INVALID',
      `a save volume of ${device.size} bytes is too small: at least ${(dataStart + 32) * blockSize}`,
    );
  }
  // Zeros over both slots and the journal: no older store can shine through, and space is set aside.
  await device.zero(0, dataStart * blockSize, { allocate: true });
  await device.flush();
  const allocator = new Allocator(device, blockSize, dataStart);
  allocator.grow(totalBlocks);
  const addresses: number[] = [];
  for (const run of await allocator.allocate(chainPages(blockSize, allocator.encodedBytes))) {
    for (let index = 0; index < run.count; index += 1) addresses.push(run.address + index);
  }
  await allocator.save(1);
  const content = allocator.encode();
  await writeChain(device, blockSize, { kind: GROUPS_CHAIN, generation: 1, addresses, content });
  await device.flush();
  await writeSuperblock(device, blockSize, {
    magic: SUPERBLOCK_MAGIC,
    version: FORMAT_VERSION,
    blockShift: Math.log2(blockSize),
    clean: 1,
    features: 0,
    storeId: options.storeId ?? globalThis.crypto.getRandomValues(new Uint8Array(16)),
    generation: 1,
    epoch: 0,
    journalBlocks,
    journalStart,
    dataStart,
    totalBlocks,
    allocatedBlocks: allocator.used,
    firstSequence: 1,
    durableSequence: 1,
    nextObject: 1,
    blocksRoot: 0,
    blocksChecksum: 0,
    blocksLevels: 0,
    blocksPages: 0,
    blocksEntries: 0,
    versionsRoot: 0,
    versionsChecksum: 0,
    versionsLevels: 0,
    versionsPages: 0,
    versionsEntries: 0,
    objectsStart: 0,
    objectsBytes: 0,
    groupsStart: addresses[0] ?? 0,
    groupsBytes: content.length,
    objectsChecksum: 0,
    groupsChecksum: checksum(content),
    reserved: new Uint8Array(44),
    checksum: 0,
  });
  await device.flush();
}

/**
 * Opens a save volume, replaying what its journal holds. The device is the caller's to close, after
 * the save volume.
 * @throws {StorageError} ERR_FORMAT when it is none or of a newer format; ERR_CORRUPT when it is
 * damaged or truncated.
 */
export async function openSaveVolume(
  device: BlockDevice,
  options: SaveVolumeOptions = {},
): Promise<SaveVolume> {
  return new SaveVolume(device, await recover(device, options.cacheBytes ?? 64 << 20), options);
}
