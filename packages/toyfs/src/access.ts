/**
 * The one permission check: owner, group and others, and the superuser, as POSIX has it. The inode
 * level asks nobody; whoever acts for a user asks here first, so that all protocols agree.
 */
import type { Attributes } from './vfs.js';

/** Who wants something. */
export interface Credentials {
  /** 0 is the superuser: may everything, but execute only what somebody may execute. */
  readonly uid: number;
  /** All groups of the user. */
  readonly gids: readonly number[];
}

/** Bits of what is wanted, as in `access(2)`: read 4, write 2, execute or search 1. */
export const WANT_READ = 4;
export const WANT_WRITE = 2;
export const WANT_EXECUTE = 1;

/** Whether `who` may do all of `want` to an inode with these attributes. */
export function mayAccess(
  attributes: Pick<Attributes, 'mode' | 'uid' | 'gid' | 'type'>,
  who: Credentials,
  want: number,
): boolean {
  const { mode, uid, gid, type } = attributes;
  if (who.uid === 0) {
    return (want & WANT_EXECUTE) === 0 || type === 'directory' || (mode & 0o111) !== 0;
  }
  // The first class that fits decides, even if a later one would allow more.
  const shift = who.uid === uid ? 6 : who.gids.includes(gid) ? 3 : 0;
  return ((mode >> shift) & want) === want;
}
