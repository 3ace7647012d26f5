/**
 * The tree as a whole: every inode in use has as many names as it says, every directory is reached
 * from the root, and its `..` leads back to where its name is.
 */
import { LINK_MAX } from '../disk/inode-record.js';
import { RO_DIR_NLINK } from '../features.js';
import { ROOT_INO } from '../vfs.js';
import type { Checking } from './checking.js';
import { TYPE_VALUE } from './inode-facts.js';
import { orphanFile } from './orphan-list.js';

const DIRECTORY = 2;

/** Checks the tree; the records of all directories have been read. */
export function checkTree(checking: Checking): void {
  const { inodes, findings, geometry } = checking;
  if (inodes.type(ROOT_INO) !== DIRECTORY) {
    findings.add('unreachable', 'the root is no directory', { ino: ROOT_INO });
  }
  const reached = new Set<number>([ROOT_INO]);
  for (const { ino } of checking.directories) checkParent(checking, ino, reached);
  for (const ino of inodes.all()) {
    if (ino < geometry.firstInode && ino !== ROOT_INO) continue;
    if (ino === orphanFile(checking)) continue;
    if (inodes.type(ino) === TYPE_VALUE) checkValue(checking, ino);
    else checkLinks(checking, ino);
  }
}

/** Walks up from a directory until one that is known to hang on the root. */
function checkParent({ inodes, findings }: Checking, ino: number, reached: Set<number>): void {
  const parent = ino === ROOT_INO ? ROOT_INO : inodes.parent(ino);
  const dotDot = inodes.dotDot(ino);
  if (parent !== 0 && dotDot !== 0 && dotDot !== parent) {
    findings.add('dots', `.. of directory ${ino} leads to ${dotDot}, its name is in ${parent}`, {
      ino,
    });
  }
  const way: number[] = [];
  const seen = new Set<number>();
  for (let at = ino; at !== 0 && !reached.has(at); at = inodes.parent(at)) {
    if (seen.has(at)) {
      findings.add('parents', `directory ${at} is its own ancestor`, { ino: at });
      break;
    }
    seen.add(at);
    way.push(at);
  }
  // What hangs on something lost is told of once, where it begins.
  for (const at of way) reached.add(at);
}

function checkLinks({ inodes, findings, superblock }: Checking, ino: number): void {
  const links = inodes.links(ino);
  const names = inodes.names(ino);
  const isOrphan = inodes.orphans.has(ino);
  const isDirectory = inodes.type(ino) === DIRECTORY;
  if (names === 0 || (isDirectory && ino !== ROOT_INO && inodes.parent(ino) === 0)) {
    if (isOrphan && links === 0) return;
    const what = isDirectory ? 'directory' : 'inode';
    findings.add('unreachable', `${what} ${ino} is in use, and no name leads to it`, { ino });
    return;
  }
  if (links === names) return;
  const hasMany = isDirectory && (superblock.readOnlyCompatible & RO_DIR_NLINK) !== 0;
  if (hasMany && links === 1 && names > LINK_MAX) return;
  findings.add('links', `inode ${ino} has ${names} names and says ${links}`, { ino });
}

/** An inode with the value of an xattr has no name, but xattrs that name it. */
function checkValue({ valueNames, findings }: Checking, ino: number): void {
  if ((valueNames.get(ino) ?? 0) > 0) return;
  findings.add('unreachable', `inode ${ino} holds the value of an xattr, and none has it`, { ino });
}
