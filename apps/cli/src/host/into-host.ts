/**
 * IntoHost: the parts of a tree made files of this machine. What is in the way is replaced if it is no
 * directory; nothing is written through a symbolic link, so a tree reaches only where it was told to; and no
 * file stays that is not whole.
 */
import {
  chmod,
  constants,
  type FileHandle,
  lchown,
  link,
  lstat,
  lutimes,
  mkdir,
  open,
  stat,
  symlink,
  unlink,
} from 'node:fs/promises';
import path from 'node:path';
import type { CopyInfo, TreeData, TreeEntry, TreePart } from '@palimpsest/mounted-files';
import { FileError, makeTree, type TreeMaker } from '@palimpsest/mounted-files/wire';
import { here } from './host-error.js';

/** Where a copy goes: into `to` if that is a directory, else it is its name. Absolute. */
export async function hostTarget(
  cwd: string,
  to: string,
  name: string,
  intoDirectory: boolean,
): Promise<string> {
  const at = path.resolve(cwd, to);
  const there = await stat(at).catch(() => undefined); // What it is not is found when it is made.
  if (there?.isDirectory() === true) return path.join(at, name);
  if (intoDirectory || to.endsWith('/')) {
    throw new FileError('ENOTDIR', `${at} here is no directory; make it: mkdir ${at}`);
  }
  return at;
}

/** Makes the tree at `target`. */
export function intoHost(target: string, parts: AsyncIterable<TreePart>): Promise<CopyInfo> {
  return makeTree(new HostMaker(Buffer.from(target)), parts);
}

class HostMaker implements TreeMaker {
  readonly copied = { files: 0, directories: 0, links: 0, bytes: 0, leftOut: [] as string[] };
  readonly #target: Buffer;
  readonly #isRoot = process.getuid?.() === 0;
  readonly #directories: TreeEntry[] = [];
  #file: { readonly handle: FileHandle; readonly entry: TreeEntry } | undefined;

  constructor(target: Buffer) {
    this.#target = target;
  }

  async entry(entry: TreeEntry): Promise<void> {
    await this.#endFile();
    this.#assertPlace(entry.path);
    while (this.#directories.length > 0 && !isBelow(entry.path, this.#directories.at(-1))) {
      await this.#leave();
    }
    const at = this.#pathOf(entry.path);
    await here(at, async () => {
      const there = await lstat(at).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined;
        throw error;
      });
      if (entry.type === 'directory') {
        if (there === undefined) await mkdir(at, 0o700);
        else if (!there.isDirectory()) throw this.#clash('ENOTDIR', at);
        this.#directories.push(entry);
        this.copied.directories += 1;
        return;
      }
      if (there?.isDirectory() === true) throw this.#clash('EISDIR', at);
      if (there !== undefined) await unlink(at);
      await this.#make(entry, at);
    });
  }

  async data({ position, bytes }: TreeData): Promise<void> {
    const file = this.#file;
    if (file === undefined) throw new FileError('EINVAL', 'data that is of no file');
    await here(this.#pathOf(file.entry.path), async () => {
      for (let at = 0; at < bytes.length; ) {
        const { bytesWritten } = await file.handle.write(
          bytes,
          at,
          bytes.length - at,
          position + at,
        );
        at += bytesWritten;
      }
    });
    this.copied.bytes += bytes.length;
  }

  async end(): Promise<void> {
    await this.#endFile();
    while (this.#directories.length > 0) await this.#leave();
  }

  async abandon(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    const at = this.#pathOf(file.entry.path);
    await file.handle.close();
    await here(at, () => unlink(at));
  }

  async #make(entry: TreeEntry, at: Buffer): Promise<void> {
    if (entry.link !== undefined) {
      this.#assertPlace(entry.link);
      await link(this.#pathOf(entry.link), at);
      this.copied.links += 1;
    } else if (entry.type === 'file') {
      const { O_CREAT, O_EXCL, O_WRONLY } = constants;
      const handle = await open(at, O_CREAT | O_EXCL | O_WRONLY, 0o600);
      this.#file = { handle, entry };
      this.copied.files += 1;
    } else if (entry.type === 'symlink') {
      await symlink(Buffer.from(entry.target ?? '', 'latin1'), at);
      await this.#settle(entry, at);
      this.copied.links += 1;
    } else this.copied.leftOut.push(at.toString()); // Node makes no devices, pipes and sockets.
  }

  async #endFile(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    const { handle, entry } = file;
    const at = this.#pathOf(entry.path);
    await here(at, async () => {
      try {
        await handle.truncate(entry.size); // It may end with a hole.
      } finally {
        await handle.close();
      }
      await this.#settle(entry, at);
    });
  }

  async #leave(): Promise<void> {
    const entry = this.#directories.pop();
    if (entry === undefined) return;
    const at = this.#pathOf(entry.path);
    await here(at, () => this.#settle(entry, at));
  }

  async #settle({ type, mode, uid, gid, atime, mtime }: TreeEntry, at: Buffer): Promise<void> {
    if (this.#isRoot) await lchown(at, uid, gid);
    if (type !== 'symlink') await chmod(at, mode);
    await lutimes(at, Number(atime) / 1e9, Number(mtime) / 1e9);
  }

  #pathOf(entryPath: string): Buffer {
    if (entryPath === '') return this.#target;
    return Buffer.concat([this.#target, Buffer.from(`/${entryPath}`, 'latin1')]);
  }

  /** A tree's paths go downwards only, and through directories that were made for it. */
  #assertPlace(entryPath: string): void {
    const names = entryPath.split('/');
    const isFine = entryPath === '' || names.every((name) => !['', '.', '..'].includes(name));
    if (isFine && !entryPath.includes('\0')) return;
    throw new FileError('EINVAL', `${JSON.stringify(entryPath)} has no place in the tree`);
  }

  #clash(code: 'EISDIR' | 'ENOTDIR', at: Buffer): FileError {
    const what = code === 'EISDIR' ? 'a directory' : 'something that is no directory';
    return new FileError(code, `there is ${what} at ${at} here already; remove it first`);
  }
}

function isBelow(entryPath: string, directory: TreeEntry | undefined): boolean {
  if (directory === undefined) return true;
  if (directory.path === '') return entryPath !== '';
  return entryPath.startsWith(`${directory.path}/`);
}
