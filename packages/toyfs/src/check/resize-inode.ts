/**
 * The inode that keeps blocks for a longer descriptor table: its doubly indirect block names the kept
 * blocks of group 0, and each of these names its copies in the other groups that have them.
 */
import { COMPAT_RESIZE } from '../features.js';
import { groupStart } from '../geometry.js';
import { DIRECT_SLOTS } from '../indirect-map.js';
import { type Checking, isInside } from './checking.js';
import { holdsCopy } from './group-table.js';
import { readInode } from './inode-record.js';

/** Its number. */
export const INO_RESIZE = 7;
/** The slot of the doubly indirect block. */
const DOUBLE: number = DIRECT_SLOTS + 1;

/** Whether the image has one, whose blocks are claimed here and not as a file's. */
export function hasResizeInode({ superblock }: Checking): boolean {
  return (superblock.compatible & COMPAT_RESIZE) !== 0;
}

/** Checks it, and claims the one block that is its own. */
export async function checkResizeInode(checking: Checking): Promise<void> {
  if (!hasResizeInode(checking)) return;
  const { geometry, superblock, source, claims, findings } = checking;
  const inode = await readInode(checking, INO_RESIZE);
  const kept = superblock.reservedGdtBlocks;
  const double = inode.slot(DOUBLE);
  const isEmpty = Array.from({ length: 15 }, (_, i) => inode.slot(i)).every((each) => each === 0);
  const say = (message: string, block = double): void =>
    findings.add('resize', `inode ${INO_RESIZE} ${message}`, { ino: INO_RESIZE, block });
  if (kept === 0 && isEmpty) return;
  const hasOthers = Array.from({ length: 15 }, (_, i) => i !== DOUBLE && inode.slot(i) !== 0);
  if (
    !inode.isFile ||
    inode.links !== 1 ||
    hasOthers.includes(true) ||
    !isInside(checking, double)
  ) {
    say('makes no sense');
    return;
  }
  if (claims.claim(double, 1) !== undefined) say(`has block ${double}, which is another's`);
  const perBlock = geometry.blockSize / 4;
  const { view } = await source.read(double);
  const copies = groupsWithCopies(checking);
  for (let i = 0; i < kept; i++) {
    const block = geometry.firstDataBlock + 1 + geometry.descriptorBlocks + i;
    const slot = (geometry.descriptorBlocks + i) % perBlock;
    if (view.getUint32(slot * 4, true) !== block) {
      say(`does not name block ${block}`);
      return;
    }
    const names = (await source.read(block)).view;
    for (const [index, group] of copies.entries()) {
      const copy = groupStart(geometry, group) + 1 + geometry.descriptorBlocks + i;
      if (names.getUint32(index * 4, true) === copy) continue;
      say(`does not name block ${copy}`, block);
      return;
    }
  }
}

/** Groups but the first that have copies of the descriptors. */
function groupsWithCopies({ geometry, superblock }: Checking): number[] {
  const found: number[] = [];
  for (let group = 1; group < geometry.groups; group++) {
    if (holdsCopy(geometry, superblock, group)) found.push(group);
  }
  return found;
}
