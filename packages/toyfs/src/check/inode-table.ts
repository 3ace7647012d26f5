/**
 * The inode tables, walked from end to end: every inode that says it is in use is checked, whatever
 * the bitmaps say of it.
 */
import { FIRST_INODE } from '../format-plan.js';
import type { Checking, GroupFacts } from './checking.js';
import { INODES_UNUSED, tableBlocks } from './group-table.js';
import { checkInode, checkReserved } from './inode-check.js';
import { InodeRecord } from './inode-record.js';

/** Blocks of a table read at once. */
const AT_ONCE = 16;

/** Checks every inode. */
export async function checkInodes(checking: Checking): Promise<void> {
  const { geometry, source, groups, findings } = checking;
  const { inodeSize, inodesPerGroup, blockSize } = geometry;
  for (const [group, facts] of groups.entries()) {
    const count = usedPart(checking, facts);
    const blocks = Math.min(tableBlocks(geometry), Math.ceil((count * inodeSize) / blockSize));
    for (let block = 0; block < blocks; block += AT_ONCE) {
      const part = Math.min(AT_ONCE, blocks - block);
      const { bytes } = await source.read(facts.inodeTable + block, part);
      const first = (block * blockSize) / inodeSize;
      const end = Math.min(count - first, (part * blockSize) / inodeSize);
      for (let i = 0; i < end; i++) {
        if (findings.isFull) return;
        const record = bytes.subarray(i * inodeSize, (i + 1) * inodeSize);
        const ino = group * inodesPerGroup + first + i + 1;
        await look(checking, new InodeRecord(ino, record));
      }
    }
  }
}

/** Inodes of a table that were ever used, as far as the image keeps that. */
function usedPart({ geometry, sums }: Checking, { flags, unusedInodes }: GroupFacts): number {
  if (!sums.descriptors) return geometry.inodesPerGroup;
  return (flags & INODES_UNUSED) !== 0 ? 0 : geometry.inodesPerGroup - unusedInodes;
}

async function look(checking: Checking, inode: InodeRecord): Promise<void> {
  const { findings, sums, inodes } = checking;
  const { ino, links } = inode;
  const isUsed = links !== 0 || inodes.orphans.has(ino);
  const mayBeZero = !isUsed && inode.mode === 0;
  if (sums.all && !(mayBeZero && inode.isZero) && !sums.inode(ino, inode.bytes)) {
    findings.add('checksum', `inode ${ino} has a wrong checksum`, { ino });
  }
  if (await checkReserved(checking, inode)) return;
  if (isUsed) await checkInode(checking, inode);
  else if (inode.mode !== 0 && inode.dtime === 0 && ino >= FIRST_INODE) {
    findings.add('deleted', `inode ${ino} has no names and no time of deletion`, { ino });
  }
}
