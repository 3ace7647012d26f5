/**
 * check: whether an image is in order: what e2fsck does without mending anything.
 *
 *   C1  Nothing is written, whatever the image is like. What its journal holds is looked at as if it
 *       were at home.
 *   C2  Nothing read from the image is believed before it was looked at: no number leads beyond the
 *       device, no walk goes in a circle, and every walk ends.
 *   C3  Memory grows with what is in use: two bits a block and some bytes an inode, and the names of
 *       one directory at a time.
 *
 * The passes are those of any such program: the superblock and the descriptors; each inode and its
 * blocks; the names; the tree; and, when it is known what is in use, the bitmaps and counts.
 */
import { type BlockDevice, isStorageError, StorageError } from '@palimpsest/block-device';
import { EXT_MAGIC, SUPERBLOCK, SUPERBLOCK_OFFSET } from '../disk/superblock.js';
import { type Geometry, parseGeometry, superblockPlace } from '../geometry.js';
import { checkBitmaps } from './bitmaps.js';
import { begun, type Checking } from './checking.js';
import { Sums } from './checksums.js';
import { checkDirectories } from './directory-records.js';
import { type Finding, Findings } from './finding.js';
import { claimMetadata } from './group-table.js';
import { checkInodes } from './inode-table.js';
import { replayInMemory } from './journal-check.js';
import { readOrphans } from './orphan-list.js';
import { withPaths } from './paths.js';
import { checkResizeInode } from './resize-inode.js';
import { Source } from './source.js';
import { checkSuperNumbers } from './super-numbers.js';
import { checkTree } from './tree.js';
import { checkReferences } from './xattr-entries.js';

/** How to check. */
export interface CheckOptions {
  /** Findings after which the rest is not told. @default 1000 */
  readonly limit?: number;
}

/**
 * Looks at every structure of the ext2, ext3 or ext4 image on `device` and answers what is wrong with
 * it: nothing, if all is in order. An image that was not closed is looked at as it is after its
 * journal was replayed, in memory; half-removed files that a crash left are in order. Writes nothing.
 * @throws {StorageError} ERR_INVALID for a limit below 1, and what the device throws
 */
export async function check(
  device: BlockDevice,
  options: CheckOptions = {},
): Promise<readonly Finding[]> {
  const { limit = 1000 } = options;
  if (!(limit >= 1)) throw new StorageError('ERR_INVALID', `a limit of ${limit} findings`);
  const findings = new Findings(limit);
  const source = await openSource(device, findings);
  if (source === undefined) return findings.list;
  // What is torn before the journal was replayed is not wrong: only what stands in the way is told.
  const early = new Findings(limit);
  const before = await begin(device, source, early);
  if (before === undefined) return early.list;
  const isReplayed = await replayInMemory({ ...before, findings });
  if (!isReplayed) return findings.list;
  const checking = await begin(device, source, findings);
  if (checking === undefined) return findings.list;
  await walk(checking);
  return await withPaths(checking);
}

/** All passes but the first. */
async function walk(checking: Checking): Promise<void> {
  checkSuperNumbers(checking);
  claimMetadata(checking);
  await checkResizeInode(checking);
  await readOrphans(checking);
  await checkInodes(checking);
  checkReferences(checking);
  await checkDirectories(checking);
  checkTree(checking);
  await checkBitmaps(checking);
}

/** Reads enough of the superblock to know the size of a block. */
async function openSource(device: BlockDevice, findings: Findings): Promise<Source | undefined> {
  const length = Math.max(2 * SUPERBLOCK_OFFSET, device.blockSize);
  const bytes = new Uint8Array(length);
  if (device.size >= length) await device.readInto(bytes, 0);
  const geometry = geometryOf(
    bytes.subarray(SUPERBLOCK_OFFSET, 2 * SUPERBLOCK_OFFSET),
    device,
    findings,
  );
  return geometry === undefined ? undefined : new Source(device, geometry.blockSize);
}

/** Reads the superblock and the descriptors; undefined: nothing more can be looked at. */
async function begin(
  device: BlockDevice,
  source: Source,
  findings: Findings,
): Promise<Checking | undefined> {
  const { block, at } = superblockPlace(source.blockSize);
  const bytes = (await source.read(block)).bytes.subarray(at, at + SUPERBLOCK.size);
  const geometry = geometryOf(bytes, device, findings);
  if (geometry === undefined) return undefined;
  const superblock = SUPERBLOCK.decode(bytes, 0);
  const sums = new Sums(superblock, geometry.checksumSeed);
  if (!sums.superblock(bytes)) findings.add('checksum', 'the superblock has a wrong checksum');
  return await begun({ source, superblock, geometry, sums, findings });
}

function geometryOf(
  bytes: Uint8Array,
  device: BlockDevice,
  findings: Findings,
): Geometry | undefined {
  try {
    return parseGeometry(bytes, device);
  } catch (error) {
    const isKnown = isStorageError(error, 'ERR_CORRUPT') || isStorageError(error, 'ERR_FORMAT');
    if (!isKnown) throw error;
    const hasMagic = SUPERBLOCK.decode(bytes, 0).magic === EXT_MAGIC;
    findings.add(hasMagic && error.code === 'ERR_FORMAT' ? 'feature' : 'superblock', error.message);
    return undefined;
  }
}
