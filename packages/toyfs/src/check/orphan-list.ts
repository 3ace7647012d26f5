/**
 * Orphans: half-removed files that a crash left. The superblock names the first, and each names the
 * next where it has no time of deletion; or a file of its own, which has no name, lists them all. They
 * are fine: opening for writing removes or shortens them.
 */
import { viewOf } from '@palimpsest/bytes';
import { COMPAT_ORPHAN_FILE } from '../features.js';
import type { Checking } from './checking.js';
import { Claims } from './claims.js';
import { walkMap } from './file-map.js';
import { readInode } from './inode-record.js';

/** The last 8 bytes of a block of the file: a magic number, and a checksum. */
const TAIL = 8;
const TAIL_MAGIC = 0x0b10_ca04;

/** Reads both lists, before the inodes are looked at. */
export async function readOrphans(checking: Checking): Promise<void> {
  const { superblock } = checking;
  for (let ino = superblock.lastOrphan; ino !== 0; ) {
    const dtime = await note(checking, ino);
    if (dtime === undefined) return;
    ino = dtime;
  }
  if (orphanFile(checking) !== 0) await readFile(checking);
}

/** The inode of the file with orphans; 0: there is none. */
export function orphanFile({ superblock }: Checking): number {
  const hasFile = (superblock.compatible & COMPAT_ORPHAN_FILE) !== 0;
  return hasFile ? superblock.orphanFileInode : 0;
}

/** Notes an orphan; answers its time of deletion, or undefined when it can be none. */
async function note(checking: Checking, ino: number): Promise<number | undefined> {
  const { inodes, findings, geometry } = checking;
  const isSane = ino >= geometry.firstInode && ino <= geometry.inodes && !inodes.orphans.has(ino);
  const inode = isSane ? await readInode(checking, ino) : undefined;
  if (inode === undefined || inode.mode === 0) {
    findings.add('orphans', `the list of orphans leads to inode ${ino}`, { ino });
    return undefined;
  }
  inodes.orphans.add(ino);
  return inode.dtime;
}

async function readFile(checking: Checking): Promise<void> {
  const { findings, geometry, source, sums } = checking;
  const ino = orphanFile(checking);
  if (ino > geometry.inodes) {
    findings.add('orphans', `the file of orphans should be inode ${ino}`, { ino });
    return;
  }
  const inode = await readInode(checking, ino);
  const places: number[] = [];
  // Its blocks are claimed when its turn comes.
  await walkMap({ ...checking, claims: new Claims(geometry) }, inode, {
    run({ start, count }) {
      for (let i = 0; i < count; i++) places.push(start + i);
    },
  });
  for (const block of places) {
    const { bytes } = await source.read(block);
    const view = viewOf(bytes);
    const end = bytes.length - TAIL;
    if (view.getUint32(end, true) !== TAIL_MAGIC) {
      findings.add('orphans', `block ${block} of the file of orphans is damaged`, { ino, block });
      continue;
    }
    if (!sums.orphans(inode, block, bytes.subarray(0, end), view.getUint32(end + 4, true))) {
      findings.add('checksum', `block ${block} of the file of orphans has a wrong checksum`, {
        ino,
        block,
      });
    }
    for (let at = 0; at < end; at += 4) {
      const orphan = view.getUint32(at, true);
      if (orphan !== 0) await note(checking, orphan);
    }
  }
}
