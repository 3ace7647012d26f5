/**
 * The functions of `fs.promises` that open files, and those that do it for one thing and close again.
 */
import type { Buffer } from 'node:buffer';
import { apiCall } from './api-call.js';
import type { Caller } from './caller.js';
import { constants } from './constants.js';
import { copyFile } from './copy-file.js';
import { FileHandle } from './file-handle.js';
import { FileOpener } from './file-opener.js';
import { assertNotAborted } from './node-errors.js';
import { openFlags } from './open-flags.js';
import { type CommonOptions, optionsOf } from './options.js';
import { checkedPath, type PathLike, pathBytes } from './path-like.js';
import { now } from './steps.js';
import type { SystemCalls } from './system-calls.js';
import { boolean, fileMode, integer, smallMode } from './validate.js';
import { checkedData, type FileData, readAll, writeAll } from './whole-file.js';

/** How `readFile` reads. */
export interface ReadFileOptions extends CommonOptions {
  /** @default 'r' */
  readonly flag?: string | number;
}

/** How `writeFile` and `appendFile` write. */
export interface WriteFileOptions extends CommonOptions {
  /** @default 'w', and 'a' to append */
  readonly flag?: string | number;
  /** Of a file that is made. @default 0o666, less the umask */
  readonly mode?: number | string;
  /** Make it durable before it resolves. @default false */
  readonly flush?: boolean;
}

/** See the head of the file. */
export interface FileFunctions {
  open(
    path: PathLike,
    flags?: string | number | null,
    mode?: number | string | null,
  ): Promise<FileHandle>;
  readFile(
    path: PathLike | FileHandle,
    options?: null | (ReadFileOptions & { encoding?: null }),
  ): Promise<Buffer>;
  readFile(
    path: PathLike | FileHandle,
    options: BufferEncoding | (ReadFileOptions & { encoding: BufferEncoding }),
  ): Promise<string>;
  readFile(
    path: PathLike | FileHandle,
    options?: BufferEncoding | null | ReadFileOptions,
  ): Promise<string | Buffer>;
  writeFile(
    path: PathLike | FileHandle,
    data: FileData,
    options?: BufferEncoding | null | WriteFileOptions,
  ): Promise<void>;
  appendFile(
    path: PathLike | FileHandle,
    data: FileData,
    options?: BufferEncoding | null | WriteFileOptions,
  ): Promise<void>;
  truncate(path: PathLike, length?: number | null): Promise<void>;
  copyFile(from: PathLike, to: PathLike, mode?: number): Promise<void>;
}

/** The functions, for one caller. */
export function fileFunctions(caller: Caller, calls: SystemCalls): FileFunctions {
  const files = new FileOpener(caller, calls);

  const write = (
    path: PathLike | FileHandle,
    data: FileData,
    options: WriteFileOptions,
    flag: string | number,
  ): Promise<void> => {
    const { encoding, signal, flush = false } = options;
    boolean(flush, 'options.flush');
    const checked = checkedData(data);
    if (path instanceof FileHandle) return path.writeFile(checked, options);
    assertNotAborted(signal);
    const [checkedName, flags] = [checkedPath(path), openFlags(flag)];
    const mode = fileMode(options.mode, 'mode', 0o666);
    return files.with(checkedName, flags, mode, 'write', function* (file) {
      yield* writeAll(file, checked, encoding, signal);
      if (flush) yield caller.vfs.fsync(file.ino);
    });
  };

  return {
    async open(given, flags, mode) {
      const path = checkedPath(given);
      const bits = openFlags(flags);
      return new FileHandle(
        caller,
        calls,
        await files.open(path, bits, fileMode(mode, 'mode', 0o666)),
      );
    },
    readFile: (async (given: PathLike | FileHandle, options?: unknown) => {
      const asked = optionsOf<ReadFileOptions>(options, {});
      const { encoding, signal, flag } = asked;
      if (given instanceof FileHandle) return given.readFile(asked);
      assertNotAborted(signal);
      const path = checkedPath(given);
      const flags = openFlags(flag || 'r');
      return files.with(path, flags, 0o666, 'read', (file) => readAll(file, encoding, signal));
    }) as FileFunctions['readFile'],
    async writeFile(path, data, options) {
      const asked = optionsOf<WriteFileOptions>(options, { encoding: 'utf8' });
      await write(path, data, asked, asked.flag || 'w');
    },
    async appendFile(path, data, options) {
      const asked = optionsOf<WriteFileOptions>(options, { encoding: 'utf8' });
      await write(path, data, asked, asked.flag || 'a');
    },
    async truncate(given, length) {
      const path = checkedPath(given);
      await files.with(path, constants.O_RDWR, 0, 'ftruncate', function* (file) {
        yield* now(file.truncate(Math.max(0, integer(length ?? 0, 'len'))));
      });
    },
    async copyFile(fromGiven, toGiven, mode) {
      const from = checkedPath(fromGiven, 'src');
      const to = checkedPath(toGiven, 'dest');
      const bits = smallMode(mode);
      await apiCall(
        'copyfile',
        copyFile(caller, calls, pathBytes(from), pathBytes(to), bits),
        from,
        to,
      );
    },
  };
}
