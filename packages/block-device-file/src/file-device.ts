/**
 * openFileDevice: a raw file or a block special file as a BlockDevice, in place: its bytes, its
 * name and its inode stay as they are.
 */
import fs from 'node:fs';
import { assertGeometry, type BlockDevice, checked, StorageError } from '@palimpsest/block-device';
import { sizeOfBlockSpecial } from './block-special.js';
import { syncDirectoryOf } from './directory.js';
import { type FileCalls, systemCalls } from './file-calls.js';
import { FileDriver } from './file-driver.js';
import type { Trust } from './pace.js';
import { PacesByDisk } from './paces.js';
import { isRemote } from './remote.js';
import { SpaceHelper } from './space.js';
import { translate } from './system-errors.js';
import { ThreadPool, threadsOfProcess } from './thread-pool.js';

/** How to open a file. */
export interface FileDeviceOptions {
  /** @default false */
  readonly readOnly?: boolean;
  /** Bytes in a block. @default 4096, what file systems and page cache work in */
  readonly blockSize?: number;
  /** Makes the file, which must not exist. It is readable by its owner only. */
  readonly create?: {
    /** Bytes, whole blocks, all zeros. */
    readonly size: number;
    /** Takes the space now, so that writes cannot run out of it. @default false: a sparse file */
    readonly allocate?: boolean;
  };
}

/** What tests put in place of the system's. */
export interface FileDeviceParts {
  readonly calls?: FileCalls;
  /** Name of the program that takes and frees space. */
  readonly spaceCommand?: string;
  /** @default 'earned'; 'never' on a remote file system */
  readonly trust?: Trust;
  readonly pool?: ThreadPool;
}

/** The paces of open files, by the disk that they are on. */
const paces = new PacesByDisk();
/** The threads of this process. */
const threadPool = new ThreadPool(threadsOfProcess(), systemCalls.now);

/**
 * Opens a file as a device. A created file's name is durable when this resolves.
 * @throws {StorageError} ERR_NOT_FOUND when there is none; ERR_EXISTS when it was to be created;
 * ERR_INVALID when it is no file or disk, its size is not whole blocks, or may not be opened;
 * ERR_BUSY when it is a disk that is mounted; ERR_READ_ONLY on a read-only file system;
 * ERR_NO_SPACE when it cannot be created in the space there is.
 */
export function openFileDevice(
  path: string,
  options: FileDeviceOptions = {},
): Promise<BlockDevice> {
  return openWith({}, path, options);
}

/** As `openFileDevice`, with parts of the system replaced. */
export async function openWith(
  parts: FileDeviceParts,
  path: string,
  options: FileDeviceOptions,
): Promise<BlockDevice> {
  const { readOnly = false, blockSize = 4096, create } = options;
  if (create !== undefined) {
    if (readOnly) throw new StorageError('ERR_INVALID', 'a new file cannot be read-only');
    assertGeometry(blockSize, create.size);
  }
  const fd = openFile(path, readOnly, create !== undefined);
  try {
    if (create !== undefined && create.allocate !== true) fs.ftruncateSync(fd, create.size);
    const file = inspect(fd, path, blockSize, readOnly);
    const { pace, forget } = paces.add(
      file.disk,
      parts.trust ?? (isRemote(path) ? 'never' : 'earned'),
    );
    const device = checked(
      new FileDriver(file, {
        calls: parts.calls ?? systemCalls,
        space: new SpaceHelper(fd, parts.spaceCommand),
        pace,
        lane: (parts.pool ?? threadPool).lane(),
        closed: forget,
      }),
    );
    if (create?.allocate === true) await device.resize(create.size);
    if (create !== undefined) await syncDirectoryOf(path);
    return device;
  } catch (error) {
    fs.closeSync(fd);
    if (create !== undefined) fs.rmSync(path, { force: true });
    throw translate(error, `open ${path}`);
  }
}

function openFile(path: string, readOnly: boolean, create: boolean): number {
  const { O_RDONLY, O_RDWR, O_CREAT, O_EXCL, O_NONBLOCK } = fs.constants;
  // Not to wait for the other end of a pipe; files and disks do not care.
  let flags = (readOnly ? O_RDONLY : O_RDWR) | (O_NONBLOCK ?? 0);
  try {
    if (create) flags |= O_CREAT | O_EXCL;
    // On a disk, without O_CREAT, it means: not while it is mounted.
    else if (!readOnly && fs.statSync(path).isBlockDevice()) flags |= O_EXCL;
    return fs.openSync(path, flags, 0o600);
  } catch (error) {
    throw translate(error, `${create ? 'create' : 'open'} ${path}`);
  }
}

function inspect(fd: number, path: string, blockSize: number, readOnly: boolean) {
  const status = fs.fstatSync(fd);
  const special = status.isBlockDevice();
  if (!special && !status.isFile()) {
    throw new StorageError('ERR_INVALID', `${path} is neither a file nor a disk`);
  }
  const size = special ? sizeOfBlockSpecial(fd) : status.size;
  assertGeometry(blockSize, 0);
  const rest = size % blockSize;
  if (rest !== 0) {
    const next = size - rest + blockSize;
    const smaller = size % 512 === 0 ? ', or open it with blocks of 512 bytes' : '';
    throw new StorageError(
      'ERR_INVALID',
      `${path} has ${size} bytes, which is not a whole number of ${blockSize}-byte blocks ` +
        `(${rest} bytes over): make it larger with "truncate -s ${next} ${path}"${smaller}`,
    );
  }
  const disk = special ? status.rdev : status.dev;
  return { fd, path, size, blockSize, readOnly, special, disk };
}
