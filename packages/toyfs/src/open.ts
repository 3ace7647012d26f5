/**
 * openFileSystem: from a device to a FileSystem. A clean image is just opened. One that was not closed
 * is replayed: onto the device when it is opened for writing, into memory when it is only read.
 *
 *   Q1  Opening for reading writes nothing, whatever state the image is in.
 *   Q2  Opening for writing brings the journal's blocks home before anything else is written, and
 *       what half-removed files a crash left is finished before the first operation.
 *   Q3  A transaction number that a crash may have left half-written in the journal is never used
 *       again.
 */
import { type BlockDevice, StorageError } from '@palimpsest/block-device';
import { BlockCache } from './block-cache.js';
import { Core } from './core.js';
import { Directories } from './directories.js';
import { SUPERBLOCK_OFFSET } from './disk/superblock.js';
import { FsError } from './errors.js';
import { INCOMPAT_RECOVER, writeObstacle } from './features.js';
import { FileData } from './file-data.js';
import { FileReader } from './file-read.js';
import { FileSystem } from './file-system.js';
import { type Geometry, parseGeometry, sizeObstacle } from './geometry.js';
import { Image } from './image.js';
import { Inodes } from './inodes.js';
import { Journal } from './journal.js';
import { bringHome } from './journal-home.js';
import { journalReader, type ReadJournal } from './journal-reader.js';
import {
  type Checked,
  checkJournal,
  type JournalState,
  parseJournal,
  replayJournal,
} from './journal-replay.js';
import { Names } from './names.js';
import { OpenInodes } from './open-inodes.js';
import type { Timer } from './parts.js';
import { Renaming } from './renaming.js';
import { Seals } from './seals/seals.js';
import { markRecovery, SuperState } from './super-state.js';
import { ROOT_INO } from './vfs.js';

/** How to open an image. */
export interface OpenOptions {
  /** Refuse every change, and write nothing. @default what the device says */
  readonly readOnly?: boolean;
  /**
   * Look at the image as it is, without what its journal holds: for forensics, with `readOnly` only.
   * @default true
   */
  readonly replay?: boolean;
  /** Bytes of blocks kept in memory. @default 64 MiB */
  readonly cacheBytes?: number;
  /** Milliseconds since 1970, with fractions. @default the system's clock */
  readonly now?: () => number;
  /** For commits by themselves and for the deadline of a freeze. @default the system's timers */
  readonly timer?: Timer | undefined;
  /** Milliseconds until what was changed becomes durable without being asked. @default 5000 */
  readonly commitMs?: number;
  /** Close the device with the file system. @default false */
  readonly closeDevice?: boolean;
}

/** Bytes that a replay into memory may take. */
const REPLAY_MAX = 256 << 20;

/**
 * Opens the ext2, ext3 or ext4 image on `device`. Without a journal, with features that we only
 * read, or with more than 2^32 blocks, it opens read-only, and `report.readOnlyReason` says why.
 * @throws {StorageError} ERR_FORMAT when there is none, or it uses features not known here; ERR_CORRUPT
 * @throws {FsError} EIO for damage of what is read while opening
 */
export async function openFileSystem(
  device: BlockDevice,
  options: OpenOptions = {},
): Promise<FileSystem> {
  const {
    replay = true,
    cacheBytes = 64 << 20,
    now = Date.now,
    commitMs = 5000,
    closeDevice = false,
  } = options;
  const timer = 'timer' in options ? options.timer : systemTimer;
  let geometry = await readGeometry(device);
  const obstacle =
    options.readOnly === true
      ? 'asked for'
      : (writeObstacle(geometry.features) ?? sizeObstacle(geometry));
  const readOnlyReason = device.readOnly ? 'the device is read-only' : obstacle;
  if (!replay && readOnlyReason === undefined) {
    throw new StorageError('ERR_INVALID', 'without its journal an image is only read');
  }
  const cache = new BlockCache(device, geometry.blockSize, geometry.blocks, cacheBytes);
  const core = new Core(device, cache, now);
  let replayed = 0;
  const isDirty = (geometry.features.incompatible & INCOMPAT_RECOVER) !== 0;
  if (geometry.journalInode !== 0) {
    if ((isDirty && replay) || readOnlyReason === undefined) {
      replayed = await openJournal(core, geometry, isDirty, readOnlyReason === undefined);
      if (replayed > 0) geometry = await logicalGeometry(core, device);
    }
  }
  // Before, the journal could not be asked for what a torn write has spoilt.
  if (geometry.checksumSeed !== undefined && (replay || !isDirty)) {
    core.seals = new Seals(geometry, geometry.checksumSeed);
  }
  const parts = await core.read(() => {
    return { image: new Image(core, geometry), superState: new SuperState(core, geometry) };
  });
  const { image, superState } = parts;
  const data = new FileData(image);
  const reader = new FileReader(image);
  const open = new OpenInodes(image, superState);
  const inodes = new Inodes(image, data, open);
  const directories = new Directories(image);
  const names = new Names(image, inodes, directories);
  const renaming = new Renaming(image, inodes, directories, names);
  await core.read(() => open.load());
  const report = { replayed, readOnlyReason, orphans: open.orphans.length };
  const fileSystem = new FileSystem({
    ...{
      image,
      inodes,
      names,
      renaming,
      directories,
      data,
      reader,
      open,
      superState,
      report,
      timer,
      commitMs,
    },
    closeDevice,
  });
  await core.read(() => {
    if (!inodes.get(ROOT_INO).isDirectory) throw new FsError('EIO', 'the root is no directory');
  });
  if (readOnlyReason === undefined) await inodes.finishOrphans();
  return fileSystem;
}

async function readGeometry(device: BlockDevice): Promise<Geometry> {
  const length = Math.max(2 * SUPERBLOCK_OFFSET, device.blockSize);
  if (device.size < length) throw new StorageError('ERR_FORMAT', 'the device is too small');
  const bytes = new Uint8Array(length);
  await device.readInto(bytes, 0);
  return parseGeometry(bytes.subarray(SUPERBLOCK_OFFSET, 2 * SUPERBLOCK_OFFSET), device);
}

/** The superblock may be in the journal too. */
async function logicalGeometry(core: Core, device: BlockDevice): Promise<Geometry> {
  const { blockSize } = core.cache;
  const number = blockSize === 1024 ? 1 : 0;
  const at = blockSize === 1024 ? 0 : SUPERBLOCK_OFFSET;
  const block = await core.read(() => core.cache.getAny(number));
  return parseGeometry(block.bytes.subarray(at, at + 1024), device);
}

/** Replays the journal; for writing, onto the device. Answers how many transactions. */
async function openJournal(
  core: Core,
  geometry: Geometry,
  isDirty: boolean,
  forWriting: boolean,
): Promise<number> {
  const { blockSize } = geometry;
  const { device, cache } = core;
  const places = await journalPlaces(core, geometry);
  const read = journalReader(device, blockSize, places);
  const superblock = new Uint8Array(blockSize);
  await read(superblock, 0);
  const state = parseJournal(superblock, blockSize);
  if (state.blocks > places.length) {
    throw new StorageError(
      'ERR_CORRUPT',
      `the journal has ${places.length} of ${state.blocks} blocks`,
    );
  }
  let transactions = 0;
  let nextSequence = state.sequence;
  if (isDirty) {
    const replay = forWriting ? replayHome : replayIntoMemory;
    ({ transactions, nextSequence } = await replay(core, state, read));
  }
  if (!forWriting) return transactions;
  const sequence = (nextSequence + 1) >>> 0; // Q3
  const journal = new Journal({
    ...{ device, blockSize, superblock, sequence, logged: cache.logged },
    isSummed: geometry.checksumSeed !== undefined,
    places: places.slice(0, state.blocks),
    mark: () => markRecovery(device, blockSize, true),
  });
  if (isDirty || state.start !== 0) await journal.makeEmpty(); // Q2
  core.journal = journal;
  return transactions;
}

/** Onto the device, which is not flushed. */
async function replayHome(core: Core, state: JournalState, read: ReadJournal): Promise<Checked> {
  const { device, cache } = core;
  const checked = await checkJournal(state, cache.blockSize, read);
  forget(cache, checked);
  await bringHome(device, cache.blockSize, checked, read);
  return checked;
}

/** Q1 */
async function replayIntoMemory(
  { cache }: Core,
  state: JournalState,
  read: ReadJournal,
): Promise<Checked> {
  const replayed = await replayJournal(state, cache.blockSize, read, REPLAY_MAX);
  forget(cache, replayed);
  for (const [number, bytes] of replayed.contents) cache.logged.set(number, bytes);
  return replayed;
}

/** Makes sure that all blocks are the image's; those read on the way to the journal were old. */
function forget(cache: BlockCache, { newest }: Checked): void {
  for (const number of newest.keys()) {
    if (number !== 0) cache.assertInside(number);
  }
  for (const number of newest.keys()) cache.drop(number);
}

async function journalPlaces(core: Core, geometry: Geometry): Promise<number[]> {
  return await core.read(() => {
    const image = new Image(core, geometry);
    const inode = image.record(geometry.journalInode);
    if (!inode.isFile) throw new FsError('EIO', 'the journal is no file');
    return image.places(inode, Math.floor(inode.bytes / geometry.blockSize));
  });
}

const systemTimer: Timer = (callback, milliseconds) => {
  const timer = setTimeout(callback, milliseconds);
  timer.unref();
  return () => clearTimeout(timer);
};
