/**
 * `cp`: copying whole trees, with Node's rules for what may replace what.
 */
import { posix } from 'node:path';
import type { AttributeFunctions } from './attribute-functions.js';
import type { DirectoryFunctions } from './directory-functions.js';
import type { FileFunctions } from './file-functions.js';
import type { NameFunctions } from './name-functions.js';
import { codedError, nodeRefusal } from './node-errors.js';
import { checkedPath, type PathLike, pathText } from './path-like.js';
import type { BigIntStats } from './stats.js';
import { boolean, functionOf, integer, object } from './validate.js';

/** How `cp` copies. */
export interface CpOptions {
  /** Copy what links lead to. @default false */
  readonly dereference?: boolean;
  /** With `force: false`, refuse what is there rather than leave it. @default false */
  readonly errorOnExist?: boolean;
  /** Copies only what it answers true for. */
  readonly filter?: (from: string, to: string) => boolean | Promise<boolean>;
  /** Replace files that are there. @default true */
  readonly force?: boolean;
  /** As for `copyFile`. @default 0 */
  readonly mode?: number;
  /** @default false */
  readonly preserveTimestamps?: boolean;
  /** Copy directories. @default false */
  readonly recursive?: boolean;
  /** Leave relative links as they are. @default false: they lead where they led */
  readonly verbatimSymlinks?: boolean;
}

/** What copying needs. */
export type CopyFunctions = AttributeFunctions & DirectoryFunctions & FileFunctions & NameFunctions;

/** The function, on those of one caller whose relative paths start at `cwd`. */
export function copyTree(
  fs: CopyFunctions & { unlink: NameFunctions['unlink'] },
  cwd: string,
): (from: PathLike, to: PathLike, options?: CpOptions) => Promise<void> {
  return async (from, to, options) => {
    const checked = checkedOptions(options);
    const paths = [pathText(checkedPath(from, 'src')), pathText(checkedPath(to, 'dest'))] as const;
    await new TreeCopy(fs, cwd, checked).run(...paths);
  };
}

/** One call of `cp`. */
class TreeCopy {
  readonly #fs: CopyFunctions;
  readonly #cwd: string;
  readonly #options: CpOptions;

  constructor(fs: CopyFunctions, cwd: string, options: CpOptions) {
    this.#fs = fs;
    this.#cwd = cwd;
    this.#options = options;
  }

  async run(from: string, to: string): Promise<void> {
    const pair = await this.#look(from, to);
    if (pair === undefined) return;
    await this.#assertNotInside(from, pair.source, to);
    const parent = posix.dirname(to);
    if ((await this.#find(parent, true)) === undefined) {
      await this.#fs.mkdir(parent, { recursive: true });
    }
    await this.#copy(from, to, pair);
  }

  /** What is at both ends; undefined when the filter leaves it out. */
  async #look(from: string, to: string): Promise<Pair | undefined> {
    const { filter, dereference = false } = this.#options;
    if (filter !== undefined && !(await filter(from, to))) return undefined;
    const source = await this.#stat(from, dereference);
    const target = await this.#find(to, dereference);
    if (target !== undefined) {
      if (isSame(source, target)) throw invalid(to, 'src and dest cannot be the same');
      if (source.isDirectory() && !target.isDirectory()) {
        const message = `cannot overwrite non-directory ${to} with directory ${from}`;
        throw refusal('DIR_TO_NON_DIR', 'EISDIR', to, message);
      }
      if (!source.isDirectory() && target.isDirectory()) {
        const message = `cannot overwrite directory ${to} with non-directory ${from}`;
        throw refusal('NON_DIR_TO_DIR', 'ENOTDIR', to, message);
      }
    }
    if (source.isDirectory() && this.#isInside(from, to)) {
      throw invalid(to, `cannot copy ${from} to a subdirectory of self ${to}`);
    }
    return { source, target };
  }

  async #copy(from: string, to: string, { source, target }: Pair): Promise<void> {
    if (source.isDirectory()) {
      if (this.#options.recursive !== true) {
        const info = { code: 'EISDIR', syscall: 'cp', path: from } as const;
        const message = `${from} is a directory (not copied)`;
        throw nodeRefusal('ERR_FS_EISDIR', 'Path is a directory', { ...info, message });
      }
      return this.#copyDirectory(from, to, source, target);
    }
    if (source.isFile() || source.isCharacterDevice() || source.isBlockDevice()) {
      return this.#copyFile(from, to, source, target);
    }
    if (source.isSymbolicLink()) return this.#copyLink(from, to, target);
    if (source.isSocket())
      throw refusal('SOCKET', 'EINVAL', to, `cannot copy a socket file: ${to}`);
    throw refusal('FIFO_PIPE', 'EINVAL', to, `cannot copy a FIFO pipe: ${to}`);
  }

  async #copyDirectory(from: string, to: string, source: Found, target?: Found): Promise<void> {
    if (target === undefined) await this.#fs.mkdir(to);
    for (const name of await this.#fs.readdir(from)) {
      const [inner, innerTo] = [posix.join(from, name), posix.join(to, name)];
      const pair = await this.#look(inner, innerTo);
      if (pair !== undefined) await this.#copy(inner, innerTo, pair);
    }
    if (target === undefined) await this.#fs.chmod(to, modeOf(source));
  }

  async #copyFile(from: string, to: string, source: Found, target?: Found): Promise<void> {
    const { errorOnExist, force = true, mode, preserveTimestamps } = this.#options;
    if (target !== undefined) {
      if (force) await this.#fs.unlink(to);
      else if (errorOnExist) throw refusal('EEXIST', 'EEXIST', to, `${to} already exists`);
      else return;
    }
    await this.#fs.copyFile(from, to, mode);
    if (preserveTimestamps) {
      const { atime, mtime } = await this.#fs.stat(from);
      await this.#fs.utimes(to, atime, mtime);
    }
    await this.#fs.chmod(to, modeOf(source));
  }

  async #copyLink(from: string, to: string, target?: Found): Promise<void> {
    const read = await this.#fs.readlink(from);
    const isKept = this.#options.verbatimSymlinks === true || posix.isAbsolute(read);
    const leadsTo = isKept ? read : this.#resolve(posix.dirname(from), read);
    if (target === undefined) return this.#fs.symlink(leadsTo, to);
    // What is no link is in the way, and `symlink` says so.
    if (!target.isSymbolicLink()) return this.#fs.symlink(leadsTo, to);
    const ledTo = this.#resolve(posix.dirname(to), await this.#fs.readlink(to));
    if (this.#isInside(leadsTo, ledTo)) {
      throw invalid(to, `cannot copy ${leadsTo} to a subdirectory of self ${ledTo}`);
    }
    const source = await this.#stat(from, true);
    if (source.isDirectory() && this.#isInside(ledTo, leadsTo)) {
      const message = `cannot overwrite ${ledTo} with ${leadsTo}`;
      throw refusal('SYMLINK_TO_SUBDIRECTORY', 'EINVAL', to, message);
    }
    await this.#fs.unlink(to);
    await this.#fs.symlink(leadsTo, to);
  }

  /** Walks up from the target: a directory is not copied into itself, by whatever name. */
  async #assertNotInside(from: string, source: Found, to: string): Promise<void> {
    const stop = this.#resolve(posix.dirname(from));
    for (let above = this.#resolve(posix.dirname(to)); ; above = posix.dirname(above)) {
      if (above === stop || above === '/') return;
      const found = await this.#find(above, true);
      if (found === undefined) return;
      if (isSame(source, found)) {
        throw invalid(to, `cannot copy ${from} to a subdirectory of self ${to}`);
      }
    }
  }

  async #stat(path: string, follow: boolean): Promise<Found> {
    return follow ? this.#fs.stat(path, { bigint: true }) : this.#fs.lstat(path, { bigint: true });
  }

  async #find(path: string, follow: boolean): Promise<Found | undefined> {
    try {
      return await this.#stat(path, follow);
    } catch (error) {
      if ((error as { code?: unknown }).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  #resolve(...paths: readonly string[]): string {
    return posix.resolve(this.#cwd, ...paths);
  }

  /** By the names alone. */
  #isInside(outer: string, inner: string): boolean {
    const [above, below] = [outer, inner].map((path) => `${this.#resolve(path)}/`);
    return (below as string).replace('//', '/').startsWith((above as string).replace('//', '/'));
  }
}

type Found = BigIntStats;

interface Pair {
  readonly source: Found;
  readonly target: Found | undefined;
}

function isSame(a: Found, b: Found): boolean {
  return a.ino === b.ino && a.dev === b.dev;
}

function modeOf(stats: Found): number {
  return Number(stats.mode & 0o7777n);
}

const PREFIXES = {
  DIR_TO_NON_DIR: 'Cannot overwrite non-directory with directory',
  NON_DIR_TO_DIR: 'Cannot overwrite directory with non-directory',
  EEXIST: 'Target already exists',
  EINVAL: 'Invalid src or dest',
  SOCKET: 'Cannot copy a socket file',
  FIFO_PIPE: 'Cannot copy a FIFO pipe',
  SYMLINK_TO_SUBDIRECTORY: 'Cannot overwrite symlink in subdirectory of self',
} as const;

function refusal(
  what: keyof typeof PREFIXES,
  code: 'EEXIST' | 'EINVAL' | 'EISDIR' | 'ENOTDIR',
  path: string,
  message: string,
): Error {
  return nodeRefusal(`ERR_FS_CP_${what}`, PREFIXES[what], { code, message, path, syscall: 'cp' });
}

function invalid(path: string, message: string): Error {
  return refusal('EINVAL', 'EINVAL', path, message);
}

function checkedOptions(options: CpOptions | undefined): CpOptions {
  if (options === undefined) return {};
  object(options, 'options');
  for (const name of [
    'dereference',
    'errorOnExist',
    'force',
    'preserveTimestamps',
    'recursive',
    'verbatimSymlinks',
  ] as const) {
    if (options[name] !== undefined) boolean(options[name], `options.${name}`);
  }
  if (options.mode !== undefined && options.mode !== null) integer(options.mode, 'mode', 0, 7);
  if (options.dereference === true && options.verbatimSymlinks === true) {
    const message =
      'Option "dereference" cannot be used in combination with option "verbatimSymlinks"';
    throw codedError(new TypeError(message), 'ERR_INCOMPATIBLE_OPTION_PAIR');
  }
  if (options.filter !== undefined) functionOf(options.filter, 'options.filter');
  return options;
}
