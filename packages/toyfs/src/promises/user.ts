/**
 * User: on whose behalf calls are made, and what POSIX lets that user do. The inode level asks nobody;
 * every call of this API asks here, and here asks the one check that all protocols share.
 */
import { type Credentials, mayAccess, WANT_EXECUTE, WANT_WRITE } from '../access.js';
import { FsError } from '../errors.js';
import type { Attributes, Vfs } from '../vfs.js';

const STICKY = 0o1000;

/** See the head of the file. */
export class User implements Credentials {
  readonly uid: number;
  readonly gid: number;
  readonly gids: readonly number[];

  constructor(uid: number, gid: number, groups: readonly number[]) {
    this.uid = uid;
    this.gid = gid;
    this.gids = [gid, ...groups];
  }

  get isSuperuser(): boolean {
    return this.uid === 0;
  }

  /** @throws {FsError} EROFS for writing where nothing can be written; EACCES */
  assertAccess(vfs: Vfs, attributes: Attributes, want: number): void {
    if ((want & WANT_WRITE) !== 0 && vfs.readOnly) {
      // Devices and pipes are written, not the file system they are named in.
      const { type } = attributes;
      if (type === 'file' || type === 'directory' || type === 'symlink') {
        throw new FsError('EROFS', 'the file system is read-only');
      }
    }
    if (!mayAccess(attributes, this, want)) {
      throw new FsError('EACCES', `user ${this.uid} may not do ${want} to inode ${attributes.ino}`);
    }
  }

  /** Whether names may be added to a directory. @throws {FsError} EACCES, EROFS */
  assertMayAdd(vfs: Vfs, directory: Attributes): void {
    this.assertAccess(vfs, directory, WANT_WRITE | WANT_EXECUTE);
  }

  /** Whether the name of `victim` may be removed. @throws {FsError} EACCES, EROFS; EPERM if sticky */
  assertMayRemove(vfs: Vfs, directory: Attributes, victim: Attributes): void {
    this.assertMayAdd(vfs, directory);
    const isSticky = (directory.mode & STICKY) !== 0;
    if (!isSticky || this.owns(directory) || this.owns(victim)) return;
    throw new FsError('EPERM', `directory ${directory.ino} is sticky and of another user`);
  }

  /** @throws {FsError} EPERM for what only the owner may do */
  assertOwns(attributes: Attributes): void {
    if (this.owns(attributes)) return;
    throw new FsError('EPERM', `inode ${attributes.ino} is of user ${attributes.uid}`);
  }

  /** Whether the user may do what owners may do. */
  owns(attributes: Attributes): boolean {
    return this.isSuperuser || this.uid === attributes.uid;
  }
}
