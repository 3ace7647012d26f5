/**
 * The functions of `fs.promises` that list directories.
 */
import { Buffer } from 'node:buffer';
import { apiCall } from './api-call.js';
import type { Caller } from './caller.js';
import { Dir } from './dir.js';
import { Dirent } from './dirent.js';
import { type ListedName, listPath } from './listing.js';
import { type CommonOptions, decoded, type Encoding, optionsOf } from './options.js';
import { checkedPath, type PathLike, pathBytes, pathText } from './path-like.js';
import type { SystemCalls } from './system-calls.js';
import { integer } from './validate.js';

/** How `readdir` lists. */
export interface ReaddirOptions {
  readonly encoding?: Encoding | null;
  /** Answer Dirents. @default false */
  readonly withFileTypes?: boolean;
  /** List the directories inside too. @default false */
  readonly recursive?: boolean;
}

/** How `opendir` lists. */
export interface OpendirOptions {
  readonly encoding?: Encoding | null;
  /** Accepted; names are read as many as are there at a time. */
  readonly bufferSize?: number;
  /** List the directories inside too. @default false */
  readonly recursive?: boolean;
}

/** See the head of the file. */
export interface DirectoryFunctions {
  readdir(
    path: PathLike,
    options?:
      | BufferEncoding
      | null
      | (ReaddirOptions & { withFileTypes?: false; encoding?: BufferEncoding | null }),
  ): Promise<string[]>;
  readdir(
    path: PathLike,
    options: 'buffer' | (ReaddirOptions & { withFileTypes?: false; encoding: 'buffer' }),
  ): Promise<Buffer[]>;
  readdir(
    path: PathLike,
    options: ReaddirOptions & { withFileTypes: true; encoding?: BufferEncoding | null },
  ): Promise<Dirent[]>;
  readdir(
    path: PathLike,
    options: ReaddirOptions & { withFileTypes: true; encoding: 'buffer' },
  ): Promise<Dirent<Buffer>[]>;
  readdir(
    path: PathLike,
    options?: Encoding | null | ReaddirOptions,
  ): Promise<(string | Buffer | Dirent<string | Buffer>)[]>;
  opendir(path: PathLike, options?: Encoding | null | OpendirOptions): Promise<Dir>;
}

/** The functions, for one caller. */
export function directoryFunctions(caller: Caller, calls: SystemCalls): DirectoryFunctions {
  const { vfs } = caller;
  const list = (path: string | Uint8Array): Promise<readonly ListedName[]> =>
    apiCall('scandir', listPath(vfs, calls, pathBytes(path)), path);
  const openDirectory = (path: string): Promise<number> =>
    apiCall('opendir', calls.openDirectory(Buffer.from(path)), path);

  const readdir = async (
    given: PathLike,
    options?: Encoding | null | ReaddirOptions,
  ): Promise<(string | Buffer | Dirent<string | Buffer>)[]> => {
    const { encoding, recursive, withFileTypes } = optionsOf<ReaddirOptions & CommonOptions>(
      options,
      {},
    );
    const path = checkedPath(given);
    const top = await list(path);
    const give = ({ name, type }: ListedName, parent: string, below: string) =>
      withFileTypes
        ? new Dirent(decoded(name, encoding), parent, type)
        : decoded(Buffer.concat([Buffer.from(below), name]), encoding);
    const text = pathText(path);
    if (!recursive) return top.map((each) => give(each, text, ''));
    const result: (string | Buffer | Dirent<string | Buffer>)[] = [];
    const waiting = [{ path: text, below: '', names: top }];
    for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
      for (const each of at.names) {
        result.push(give(each, at.path, at.below));
        const name = Buffer.from(each.name).toString();
        const inside = joined(at.path, name);
        // Without types Node goes where links lead, too.
        const isDirectory =
          each.type === 'directory' ||
          (!withFileTypes && each.type === 'symlink' && (await leadsToDirectory(calls, inside)));
        if (!isDirectory) continue;
        waiting.push({ path: inside, below: `${at.below}${name}/`, names: await list(inside) });
      }
    }
    return result;
  };

  return {
    readdir: readdir as DirectoryFunctions['readdir'],
    async opendir(given, options) {
      const path = pathText(checkedPath(given));
      const {
        encoding,
        recursive = false,
        bufferSize = 32,
      } = optionsOf<OpendirOptions & CommonOptions>(options, {});
      const ino = await openDirectory(path);
      try {
        integer(bufferSize, 'options.bufferSize', 1, 2 ** 32 - 1);
      } catch (error) {
        await vfs.release(ino);
        throw error;
      }
      return new Dir(vfs, ino, { path, encoding, recursive, open: openDirectory });
    },
  };
}

async function leadsToDirectory(calls: SystemCalls, path: string): Promise<boolean> {
  try {
    const { type } = await apiCall('stat', calls.stat(Buffer.from(path), true));
    return type === 'directory';
  } catch {
    // A link that leads nowhere is a name like any other.
    return false;
  }
}

function joined(directory: string, name: string): string {
  return directory.endsWith('/') ? `${directory}${name}` : `${directory}/${name}`;
}
