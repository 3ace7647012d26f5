/**
 * Xattrs one at a time, as the calls of a Vfs ask for them. All run as operations.
 */
import { FsError } from './errors.js';
import type { Image } from './image.js';
import type { Inode } from './inode.js';
import { INLINE_DATA_NAME, readXattrs, splitName, writeXattrs } from './xattr.js';

/** Bytes of a value at most. */
const VALUE_MAX = 65_536;

/** @throws {FsError} ENODATA */
export function getXattr(image: Image, inode: Inode, name: string): Uint8Array {
  const value = readXattrs(image, inode).get(name);
  if (value === undefined || name === INLINE_DATA_NAME) throw absent(inode, name);
  return value;
}

/** @throws {FsError} EEXIST, ENODATA, ERANGE, ENOSPC, EOPNOTSUPP */
export function setXattr(
  image: Image,
  inode: Inode,
  name: string,
  value: Uint8Array,
  mode: 'create' | 'replace' | undefined,
): void {
  splitName(name);
  if (value.length > VALUE_MAX) throw new FsError('ERANGE', 'an xattr has 64 KiB at most');
  const values = readXattrs(image, inode);
  if (mode === 'create' && values.has(name)) {
    throw new FsError('EEXIST', `inode ${inode.ino} has the xattr ${name}`);
  }
  if (mode === 'replace' && !values.has(name)) throw absent(inode, name);
  values.set(name, value);
  writeXattrs(image, inode, values);
  inode.stamp(image.core.now());
}

/** Names of all. */
export function listXattrs(image: Image, inode: Inode): readonly string[] {
  return [...readXattrs(image, inode).keys()].filter((name) => name !== INLINE_DATA_NAME);
}

/** @throws {FsError} ENODATA */
export function removeXattr(image: Image, inode: Inode, name: string): void {
  const values = readXattrs(image, inode);
  if (!values.delete(name)) throw absent(inode, name);
  writeXattrs(image, inode, values);
  inode.stamp(image.core.now());
}

function absent(inode: Inode, name: string): FsError {
  return new FsError('ENODATA', `inode ${inode.ino} has no xattr ${name}`);
}
