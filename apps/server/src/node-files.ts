/** StoreFiles on the machine's own file system. */
import { mkdir, realpath, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import {
  lockFile,
  openFileDevice,
  renameDurably,
  translateSystemError,
} from '@palimpsest/block-device-file';
import type { FileStatus, StoreFiles } from '@palimpsest/control';

/** The files of this machine. */
export function createNodeFiles(): StoreFiles {
  return {
    resolve: (base, name) => followed(path.resolve(base, name)),
    within(directory, name) {
      const relative = path.relative(directory, name);
      const outside = relative === '' || relative.startsWith('..') || path.isAbsolute(relative);
      return outside ? undefined : relative;
    },
    ancestors(name) {
      const above: string[] = [];
      for (let at = path.dirname(name); ; at = path.dirname(at)) {
        above.push(at);
        if (at === path.dirname(at)) return above;
      }
    },
    status,
    async makeDirectory(name) {
      await translated(mkdir(name, { recursive: true, mode: 0o700 }), `make ${name}`);
    },
    create: (name, size, blockSize) => openFileDevice(name, { blockSize, create: { size } }),
    open: (name, blockSize) => openFileDevice(name, { blockSize }),
    rename: renameDurably,
    async remove(name) {
      await translated(rm(name, { force: true }), `remove ${name}`);
    },
    lock: (name) => lockFile(name),
  };
}

/** The path with links followed as far as it exists; the rest as it is written. */
async function followed(name: string): Promise<string> {
  try {
    return await realpath(name);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'ENOTDIR')
      throw translateSystemError(error, `look at ${name}`);
    const parent = path.dirname(name);
    return parent === name ? name : path.join(await followed(parent), path.basename(name));
  }
}

async function status(name: string): Promise<FileStatus | undefined> {
  try {
    const found = await stat(name, { bigint: true });
    return {
      kind: found.isFile()
        ? 'file'
        : found.isBlockDevice()
          ? 'block-device'
          : found.isDirectory()
            ? 'directory'
            : 'other',
      // A block device is the same whatever node leads to it.
      identity: found.isBlockDevice() ? `block:${found.rdev}` : `${found.dev}:${found.ino}`,
      size: Number(found.size),
    };
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
    throw translateSystemError(error, `look at ${name}`);
  }
}

async function translated<T>(work: Promise<T>, what: string): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw translateSystemError(error, what);
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}
