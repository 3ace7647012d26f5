/**
 * The list of orphans: the superblock names the first, and each names the next where it has no time of
 * deletion. They are fine: opening for writing removes or shortens them.
 */
import type { Checking } from './checking.js';
import { readInode } from './inode-record.js';

/** Reads the list, before the inodes are looked at. */
export async function readOrphans(checking: Checking): Promise<void> {
  const { inodes, findings, geometry, superblock } = checking;
  for (let ino = superblock.lastOrphan; ino !== 0; ) {
    const isSane = ino >= geometry.firstInode && ino <= geometry.inodes && !inodes.orphans.has(ino);
    if (!isSane) {
      findings.add('orphans', `the list of orphans leads to inode ${ino}`, { ino });
      return;
    }
    const inode = await readInode(checking, ino);
    if (inode.mode === 0) {
      findings.add('orphans', `inode ${ino} is in the list of orphans and was never made`, { ino });
      return;
    }
    inodes.orphans.add(ino);
    ino = inode.dtime;
  }
}
