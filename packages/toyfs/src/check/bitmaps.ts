/**
 * The bitmaps and counts of each group, compared with what was found to be in use.
 */
import { isSet, setBits } from '../bitmap.js';
import { groupBlocks, groupStart } from '../geometry.js';
import type { Checking, GroupFacts } from './checking.js';
import type { FindingCode } from './finding.js';
import { BLOCKS_UNUSED, holdsCopy, INODES_UNUSED, tableBlocks } from './group-table.js';

const DIRECTORY = 2;

/** Compares all bitmaps and counts. */
export async function checkBitmaps(checking: Checking): Promise<void> {
  const { groups, findings, superblock } = checking;
  const used = inodeMaps(checking);
  let freeBlocks = 0;
  let freeInodes = 0;
  for (const [group, facts] of groups.entries()) {
    if (findings.isFull) return;
    const blocks = await checkBlocks(checking, group, facts);
    const inodes = await checkInodes(checking, group, facts, used.get(group));
    freeBlocks += blocks;
    freeInodes += inodes;
    const isCounted = (what: string, said: number, found: number): void => {
      if (said === found) return;
      findings.add('counts', `group ${group} counts ${said} ${what} and has ${found}`);
    };
    isCounted('free blocks', facts.freeBlocks, blocks);
    isCounted('free inodes', facts.freeInodes, inodes);
    isCounted('directories', facts.directories, used.get(group)?.directories ?? 0);
  }
  const saidBlocks =
    superblock.freeBlocksLow +
    (checking.geometry.descriptorSize >= 64 ? superblock.freeBlocksHigh * 2 ** 32 : 0);
  if (saidBlocks !== freeBlocks) {
    findings.add(
      'counts',
      `the superblock counts ${saidBlocks} free blocks, and there are ${freeBlocks}`,
    );
  }
  if (superblock.freeInodes !== freeInodes) {
    findings.add(
      'counts',
      `the superblock counts ${superblock.freeInodes} free inodes, and there are ${freeInodes}`,
    );
  }
}

/** Inodes in use in a group. */
interface UsedInodes {
  readonly bits: Uint8Array;
  directories: number;
}

function inodeMaps({ geometry, inodes }: Checking): Map<number, UsedInodes> {
  const { inodesPerGroup, firstInode } = geometry;
  const maps = new Map<number, UsedInodes>();
  const of = (group: number): UsedInodes => {
    let used = maps.get(group);
    if (used === undefined) {
      used = { bits: new Uint8Array(Math.ceil(inodesPerGroup / 8)), directories: 0 };
      maps.set(group, used);
    }
    return used;
  };
  setBits(of(0).bits, 0, Math.min(inodesPerGroup, firstInode - 1), true);
  for (const ino of inodes.all()) {
    const used = of(Math.floor((ino - 1) / inodesPerGroup));
    setBits(used.bits, (ino - 1) % inodesPerGroup, 1, true);
    if (inodes.type(ino) === DIRECTORY) used.directories++;
  }
  return maps;
}

/** What two maps differ in, and how they are called. */
interface Comparison {
  readonly group: number;
  readonly stored: Uint8Array;
  readonly found: Uint8Array | undefined;
  readonly count: number;
  /** The number that bit 0 stands for. */
  readonly first: number;
  readonly what: 'block' | 'inode';
}

/** Compares, tells, and answers how many are free. */
function compare(checking: Checking, each: Comparison): number {
  const { stored, found, count, first, what, group } = each;
  const lists: Record<'free' | 'lost', number[]> = { free: [], lost: [] };
  let free = 0;
  for (let bit = 0; bit < count; bit++) {
    const isUsed = found !== undefined && isSet(found, bit);
    if (!isUsed) free++;
    if (isSet(stored, bit) !== isUsed) lists[isUsed ? 'free' : 'lost'].push(first + bit);
  }
  for (const [kind, numbers] of Object.entries(lists)) {
    if (numbers.length === 0) continue;
    const are = kind === 'free' ? 'in use and marked free' : 'marked used and nobody has them';
    const message = `group ${group}: ${what}s ${rangesOf(numbers)} are ${are}`;
    const place =
      what === 'block' ? { block: numbers[0] as number } : { ino: numbers[0] as number };
    checking.findings.add(`${what}-${kind}` as FindingCode, message, place);
  }
  return free;
}

async function checkBlocks(checking: Checking, group: number, facts: GroupFacts): Promise<number> {
  const { geometry, source, sums, claims } = checking;
  const count = groupBlocks(geometry, group);
  const first = groupStart(geometry, group);
  const isUnused = sums.descriptors && (facts.flags & BLOCKS_UNUSED) !== 0;
  const stored = isUnused
    ? formatBits(checking, group)
    : (await source.read(facts.blockBitmap)).bytes;
  if (!isUnused) {
    checkSum(
      checking,
      group,
      'block',
      stored.subarray(0, geometry.blocksPerGroup / 8),
      facts.blockBitmapChecksum,
    );
    checkPadding(checking, group, 'block', stored, count);
  }
  return compare(checking, {
    group,
    stored,
    found: claims.map(group),
    count,
    first,
    what: 'block',
  });
}

async function checkInodes(
  checking: Checking,
  group: number,
  facts: GroupFacts,
  used: UsedInodes | undefined,
): Promise<number> {
  const { geometry, source, sums } = checking;
  const { inodesPerGroup: count, blockSize } = geometry;
  const isUnused = sums.descriptors && (facts.flags & INODES_UNUSED) !== 0;
  const stored = isUnused
    ? new Uint8Array(blockSize)
    : (await source.read(facts.inodeBitmap)).bytes;
  if (!isUnused) {
    checkSum(checking, group, 'inode', stored.subarray(0, count / 8), facts.inodeBitmapChecksum);
    checkPadding(checking, group, 'inode', stored, count);
  }
  const first = group * count + 1;
  return compare(checking, { group, stored, found: used?.bits, count, first, what: 'inode' });
}

function checkSum(
  { sums, geometry, findings }: Checking,
  group: number,
  what: string,
  bits: Uint8Array,
  stored: number,
): void {
  if (sums.bitmap(bits, stored, geometry.descriptorSize >= 64)) return;
  findings.add('checksum', `the ${what} bitmap of group ${group} has a wrong checksum`);
}

/** Bits that stand for nothing are set. */
function checkPadding(
  { findings }: Checking,
  group: number,
  what: string,
  map: Uint8Array,
  count: number,
): void {
  for (let bit = count; bit < map.length * 8; bit++) {
    if (isSet(map, bit)) continue;
    findings.add('padding', `the ${what} bitmap of group ${group} has bits clear beyond its end`);
    return;
  }
}

/** What is in use of a group in which nothing was ever written but what the format puts there. */
function formatBits({ geometry, superblock, groups }: Checking, group: number): Uint8Array {
  const bits = new Uint8Array(geometry.blockSize);
  const first = groupStart(geometry, group);
  const count = groupBlocks(geometry, group);
  const take = (start: number, length: number): void => {
    const from = Math.max(start, first);
    const to = Math.min(start + length, first + count);
    if (from < to) setBits(bits, from - first, to - from, true);
  };
  if (holdsCopy(geometry, superblock, group)) {
    take(first, 1 + geometry.descriptorBlocks + superblock.reservedGdtBlocks);
  }
  for (const { blockBitmap, inodeBitmap, inodeTable } of groups) {
    take(blockBitmap, 1);
    take(inodeBitmap, 1);
    take(inodeTable, tableBlocks(geometry));
  }
  return bits;
}

/** Numbers in order as people write them: 3, 7 to 9, and 12 more. */
function rangesOf(numbers: readonly number[]): string {
  const parts: string[] = [];
  let at = 0;
  for (; at < numbers.length && parts.length < 4; ) {
    let end = at;
    while (numbers[end + 1] === (numbers[end] as number) + 1) end++;
    parts.push(end === at ? `${numbers[at]}` : `${numbers[at]} to ${numbers[end]}`);
    at = end + 1;
  }
  const rest = numbers.length - at;
  return parts.join(', ') + (rest > 0 ? `, and ${rest} more` : '');
}
