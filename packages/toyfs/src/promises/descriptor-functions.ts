/**
 * The functions of `fs` on descriptors: numbers that stand for open files.
 */
import type { Caller } from './caller.js';
import type { FileHandle } from './file-handle.js';
import type { FsPromises } from './fs-promises.js';
import { systemError } from './node-errors.js';
import { int32 } from './validate.js';
import { type WithCallback, withCallback } from './with-callback.js';

/** See the head of the file. */
export interface DescriptorFunctions {
  open: WithCallback;
  close: WithCallback;
  read: WithCallback;
  write: WithCallback;
  readv: WithCallback;
  writev: WithCallback;
  fstat: WithCallback;
  ftruncate: WithCallback;
  fsync: WithCallback;
  fdatasync: WithCallback;
  fchmod: WithCallback;
  fchown: WithCallback;
  futimes: WithCallback;
}

/** The functions, for one caller, and the open file of a number. */
export function descriptorFunctions(
  caller: Caller,
  promises: FsPromises,
): { functions: DescriptorFunctions; handleOf: (fd: number, syscall: string) => FileHandle } {
  const handleOf = (fd: number, syscall: string): FileHandle => {
    const handle = caller.descriptors.get(int32(fd, 'fd', 0));
    if (handle === undefined) throw systemError('EBADF', syscall);
    return handle;
  };
  const on = <A extends readonly unknown[]>(
    syscall: string,
    act: (handle: FileHandle, ...args: A) => Promise<unknown>,
    results?: (result: unknown) => readonly unknown[],
  ): WithCallback =>
    withCallback(async (fd: number, ...args: A) => act(handleOf(fd, syscall), ...args), results);
  const read = (result: unknown): readonly unknown[] => {
    const { bytesRead, buffer, buffers } = result as Record<string, unknown>;
    return [bytesRead, buffer ?? buffers];
  };
  const written = (result: unknown): readonly unknown[] => {
    const { bytesWritten, buffer, buffers } = result as Record<string, unknown>;
    return [bytesWritten, buffer ?? buffers];
  };
  return {
    handleOf,
    functions: {
      open: withCallback(
        (...args: Parameters<FsPromises['open']>) => promises.open(...args),
        (handle) => [(handle as FileHandle).fd],
      ),
      close: on('close', (handle) => handle.close()),
      read: on(
        'read',
        (handle, ...args: Parameters<FileHandle['read']>) => handle.read(...args),
        read,
      ),
      write: on(
        'write',
        (handle, ...args: Parameters<FileHandle['write']>) => handle.write(...args),
        written,
      ),
      readv: on(
        'read',
        (handle, ...args: Parameters<FileHandle['readv']>) => handle.readv(...args),
        read,
      ),
      writev: on(
        'write',
        (handle, ...args: Parameters<FileHandle['writev']>) => handle.writev(...args),
        written,
      ),
      fstat: on('fstat', (handle, ...args: Parameters<FileHandle['stat']>) => handle.stat(...args)),
      ftruncate: on('ftruncate', (handle, length?: number) => handle.truncate(length ?? 0)),
      fsync: on('fsync', (handle) => handle.sync()),
      fdatasync: on('fdatasync', (handle) => handle.datasync()),
      fchmod: on('fchmod', (handle, mode: number | string) => handle.chmod(mode)),
      fchown: on('fchown', (handle, uid: number, gid: number) => handle.chown(uid, gid)),
      futimes: on('futime', (handle, ...times: Parameters<FileHandle['utimes']>) =>
        handle.utimes(...times),
      ),
    },
  };
}
