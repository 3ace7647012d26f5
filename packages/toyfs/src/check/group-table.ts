/**
 * The group descriptors: read, doubted, and the blocks of the format itself claimed: copies of the
 * superblock and of the descriptors, bitmaps, inode tables.
 */
import { viewOf } from '@palimpsest/bytes';
import { GROUP_DESCRIPTOR } from '../disk/group-descriptor.js';
import { COMPAT_SPARSE_SUPER2, INCOMPAT_FLEX_BG } from '../features.js';
import { descriptorPlace, type Geometry, groupBlocks, groupStart, hasBackup } from '../geometry.js';
import type { Checking, GroupFacts, SuperFields } from './checking.js';

/** Flags of a group. */
export const INODES_UNUSED = 1;
export const BLOCKS_UNUSED = 2;

type Reading = Pick<Checking, 'source' | 'geometry' | 'findings' | 'sums' | 'superblock'>;

/**
 * Reads all descriptors; undefined when one leads to where no metadata can be, and nothing further
 * can be looked at.
 */
export async function readGroups(reading: Reading): Promise<GroupFacts[] | undefined> {
  const { geometry, source, sums, findings } = reading;
  const groups: GroupFacts[] = [];
  let isUsable = true;
  let table: Uint8Array | undefined;
  let tableBlock = -1;
  for (let group = 0; group < geometry.groups && !findings.isFull; group++) {
    const { block, at } = descriptorPlace(geometry, group);
    if (table === undefined || block !== tableBlock) {
      table = (await source.read(block)).bytes;
      tableBlock = block;
    }
    const bytes = table.subarray(at, at + geometry.descriptorSize);
    if (!sums.descriptor(group, bytes)) {
      findings.add('checksum', `the descriptor of group ${group} has a wrong checksum`, { block });
    }
    const facts = decode(bytes);
    groups.push(facts);
    isUsable = placesFit(reading, group, facts) && isUsable;
    doubtNumbers(reading, group, facts);
  }
  return isUsable && !findings.isFull ? groups : undefined;
}

function decode(bytes: Uint8Array): GroupFacts {
  const at = GROUP_DESCRIPTOR.at;
  const view = viewOf(bytes);
  const isWide = bytes.length >= 64;
  const u32 = (low: number, high: number): number =>
    view.getUint32(low, true) + (isWide ? view.getUint32(high, true) * 2 ** 32 : 0);
  const u16 = (low: number, high: number): number =>
    view.getUint16(low, true) + (isWide ? view.getUint16(high, true) * 0x1_0000 : 0);
  return {
    blockBitmap: u32(at.blockBitmapLow, at.blockBitmapHigh),
    inodeBitmap: u32(at.inodeBitmapLow, at.inodeBitmapHigh),
    inodeTable: u32(at.inodeTableLow, at.inodeTableHigh),
    flags: view.getUint16(at.flags, true),
    freeBlocks: u16(at.freeBlocksLow, at.freeBlocksHigh),
    freeInodes: u16(at.freeInodesLow, at.freeInodesHigh),
    directories: u16(at.directoriesLow, at.directoriesHigh),
    unusedInodes: u16(at.unusedInodesLow, at.unusedInodesHigh),
    blockBitmapChecksum: u16(at.blockBitmapChecksumLow, at.blockBitmapChecksumHigh),
    inodeBitmapChecksum: u16(at.inodeBitmapChecksumLow, at.inodeBitmapChecksumHigh),
  };
}

/** Whether the group's metadata lie where they may. */
function placesFit(reading: Reading, group: number, facts: GroupFacts): boolean {
  const { geometry, findings } = reading;
  const isFlexible = (geometry.features.incompatible & INCOMPAT_FLEX_BG) !== 0;
  const first = isFlexible ? geometry.firstDataBlock + 1 : groupStart(geometry, group);
  const end = isFlexible
    ? geometry.blocks
    : groupStart(geometry, group) + groupBlocks(geometry, group);
  let fits = true;
  const look = (what: string, block: number, count: number): void => {
    if (block >= first && block + count <= end) return;
    findings.add('descriptor', `group ${group} has its ${what} at block ${block}`);
    fits = false;
  };
  look('block bitmap', facts.blockBitmap, 1);
  look('inode bitmap', facts.inodeBitmap, 1);
  look('inode table', facts.inodeTable, tableBlocks(geometry));
  return fits;
}

/** Whether flags and counts can be. */
function doubtNumbers(
  { geometry, findings, sums }: Reading,
  group: number,
  facts: GroupFacts,
): void {
  const say = (message: string): void => findings.add('descriptor', `group ${group} ${message}`);
  if (facts.unusedInodes > geometry.inodesPerGroup) {
    say(`has ${facts.unusedInodes} inodes that were never used`);
  }
  const saysUnused =
    (facts.flags & (INODES_UNUSED | BLOCKS_UNUSED)) !== 0 || facts.unusedInodes > 0;
  if (!sums.descriptors && saysUnused)
    say('says what was never used, without the feature for that');
  if ((facts.flags & BLOCKS_UNUSED) !== 0 && group === geometry.groups - 1) {
    say('is the last and says that its block bitmap was never used');
  }
}

/** Blocks of an inode table. */
export function tableBlocks({ inodesPerGroup, inodeSize, blockSize }: Geometry): number {
  return Math.ceil((inodesPerGroup * inodeSize) / blockSize);
}

/** Claims all blocks of the format itself. */
export function claimMetadata(checking: Checking): void {
  const { geometry, claims, findings, groups } = checking;
  const claim = (group: number, what: string, start: number, count: number): void => {
    const shared = claims.claim(start, count);
    if (shared === undefined) return;
    const message = `block ${shared} of the ${what} of group ${group} is something else too`;
    findings.add('shared', message, { block: shared });
  };
  for (let group = 0; group < groups.length; group++) {
    const count = copyBlocks(checking, group);
    if (count > 0) claim(group, 'descriptors', groupStart(geometry, group), count);
  }
  groups.forEach(({ blockBitmap, inodeBitmap, inodeTable }, group) => {
    claim(group, 'block bitmap', blockBitmap, 1);
    claim(group, 'inode bitmap', inodeBitmap, 1);
    claim(group, 'inode table', inodeTable, tableBlocks(geometry));
  });
}

/** Blocks at a group's start for the superblock, the descriptors and what is kept for more of them. */
function copyBlocks({ geometry, superblock }: Checking, group: number): number {
  if (!holdsCopy(geometry, superblock, group)) return 0;
  const count = 1 + geometry.descriptorBlocks + superblock.reservedGdtBlocks;
  return Math.min(count, groupBlocks(geometry, group));
}

/** Whether a group holds copies of the superblock and the descriptors. */
export function holdsCopy(geometry: Geometry, superblock: SuperFields, group: number): boolean {
  if ((geometry.features.compatible & COMPAT_SPARSE_SUPER2) === 0)
    return hasBackup(geometry, group);
  const view = viewOf(superblock.backupGroups);
  return group === 0 || group === view.getUint32(0, true) || group === view.getUint32(4, true);
}
