/**
 * Two worlds with the same paths: the system's own node:fs in a temporary directory, and ours on a Vfs.
 * A case runs in both, each time in a new directory with the same things in it, and what it answers,
 * what it throws and what it leaves behind must be the same.
 */
import nodeFsSync, { accessSync, constants } from 'node:fs';
import nodeFsPromises from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type FsPromises, fsPromises, type NodeFsOptions, type Vfs } from '../../src/index.js';

/** What cases call: Node's own type would refuse the wrong arguments that cases try. */
// biome-ignore lint/suspicious/noExplicitAny: cases pass what no type allows
export type AnyFs = Record<keyof FsPromises, any>;

export interface Case {
  readonly name: string;
  /** It changes nothing, so that one directory does for all of these. */
  readonly readsOnly?: boolean;
  /** `at` makes a path in the case's own directory. */
  readonly run: (fs: AnyFs, at: (path: string) => string) => Promise<unknown>;
}

/** Functions on the two sides, and the directory that both have. */
export interface Worlds {
  readonly real: AnyFs;
  readonly ours: AnyFs;
  readonly root: string;
  end(): Promise<void>;
}

/** As whom this process runs. */
export function self(): Required<Pick<NodeFsOptions, 'uid' | 'gid' | 'groups' | 'umask'>> {
  return {
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    groups: process.getgroups?.() ?? [],
    umask: process.umask(),
  };
}

export async function openWorlds(vfs: Vfs): Promise<Worlds> {
  const root = await nodeFsPromises.mkdtemp(join(quickFolder(), 'fs-'));
  const superuser = fsPromises(vfs, { umask: 0 });
  await superuser.mkdir(root, { recursive: true });
  await superuser.chown(root, self().uid, self().gid);
  await superuser.chmod(root, 0o700);
  return {
    real: nodeFsPromises as unknown as AnyFs,
    ours: fsPromises(vfs, self()),
    root,
    end: () => nodeFsPromises.rm(root, { recursive: true, force: true }),
  };
}

/** Memory if the system has a folder there: most of the time goes into making and removing. */
function quickFolder(): string {
  try {
    accessSync('/dev/shm', constants.W_OK);
    return '/dev/shm';
  } catch {
    return tmpdir();
  }
}

/** Node's functions without promises: several times as fast. */
const realSync: AnyFs = new Proxy({} as AnyFs, {
  get: (_, name) => Reflect.get(nodeFsSync, `${String(name)}Sync`),
});

/** One of everything, in a directory of the case's own. */
async function furnish(fs: AnyFs, at: (path: string) => string): Promise<void> {
  for (const folder of ['', 'dir', 'full', 'full/sub']) await fs.mkdir(at(folder));
  const files = {
    file: 'content of file',
    other: 'other',
    'full/inner': 'inner',
    'full/sub/deep': 'deep',
  };
  for (const [path, content] of Object.entries(files)) await fs.writeFile(at(path), content);
  await fs.link(at('file'), at('hard'));
  const links = {
    'to-file': 'file',
    'to-full': 'full',
    'to-nowhere': 'nowhere',
    loop: 'loop',
    'to-absolute': at('file'),
    'to-slash': 'full/',
    'full/up': '../other',
  };
  for (const [path, target] of Object.entries(links)) await fs.symlink(target, at(path));
}

/** What a call came to, in a form that can be compared and printed. */
async function outcome(call: () => Promise<unknown>): Promise<unknown> {
  try {
    return { answers: plain(await call()) };
  } catch (error) {
    return { throws: plainError(error) };
  }
}

/** Everything under a path, as `lstat` and reading tell it. */
async function remains(fs: AnyFs, path: string): Promise<unknown> {
  const stats = await fs.lstat(path);
  const common = { mode: stats.mode.toString(8), nlink: stats.nlink, uid: stats.uid };
  if (stats.isSymbolicLink()) return { ...common, target: await fs.readlink(path) };
  if (stats.isFile()) {
    const content = stats.size > 1e6 ? stats.size : (await fs.readFile(path)).toString('latin1');
    return { ...common, content };
  }
  const names: string[] = (await fs.readdir(path)).toSorted();
  const entries: [string, unknown][] = [];
  for (const name of names) {
    entries.push([name.replace(/^(tmp-).{6}$/, '$1XXXXXX'), await remains(fs, join(path, name))]);
  }
  return { ...common, names: Object.fromEntries(entries) };
}

/** Runs cases in both worlds; answers a sentence for each that differs. */
export async function differences(worlds: Worlds, cases: readonly Case[]): Promise<string[]> {
  const { real, ours, root } = worlds;
  const found: string[] = [];
  const compare = async (
    { name, run }: Case,
    at: (path: string) => string,
    left: (fs: AnyFs) => Promise<unknown>,
  ): Promise<void> => {
    const sides: string[] = [];
    for (const [fs, quick] of [
      [real, realSync],
      [ours, ours],
    ] as const) {
      const result = await outcome(() => run(fs, at));
      sides.push(JSON.stringify({ result, left: await left(quick) }, null, 1));
    }
    if (sides[0] !== sides[1]) found.push(difference(name, sides));
  };
  const shared = (path: string): string => join(root, 'shared', path);
  for (const fs of [realSync, ours])
    await furnish(fs, (path) => (path === '' ? join(root, 'shared') : shared(path)));
  for (const each of cases.filter(({ readsOnly }) => readsOnly)) {
    await compare(each, shared, async () => undefined);
  }
  let count = 0;
  for (const each of cases.filter(({ readsOnly }) => !readsOnly)) {
    const folder = `${root}/c${count++}`;
    const at = (path: string): string => (path === '' ? folder : `${folder}/${path}`);
    for (const fs of [realSync, ours]) await furnish(fs, at);
    await compare(each, at, (fs) => remains(fs, folder));
    for (const fs of [realSync, ours]) await fs.rm(folder, { recursive: true, force: true });
  }
  for (const fs of [realSync, ours]) await fs.rm(join(root, 'shared'), { recursive: true });
  return found;
}

/** A part of the cases, the same for the same seed; all of them with TOYFS_ALL=1. */
export function some(cases: readonly Case[], share: number): readonly Case[] {
  if (process.env.TOYFS_ALL !== undefined) return cases;
  let state = Number(process.env.SEED ?? 1);
  return cases.filter(() => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32 < share;
  });
}

function difference(name: string, [real = '', ours = '']: readonly string[]): string {
  const [left, right] = [real.split('\n'), ours.split('\n')];
  const only = (a: string[], b: string[]): string =>
    a
      .filter((line) => !b.includes(line))
      .slice(0, 8)
      .join(' ')
      .replaceAll(/\s+/g, ' ')
      .replaceAll(/(?:\w\/){20,}/g, '…');
  return `${name}: node has ${only(left, right)}; ours has ${only(right, left)}`;
}

function plainError(error: unknown): unknown {
  if (!(error instanceof Error)) return `no error: ${String(error)}`;
  const { name, message } = error;
  const fields = Object.fromEntries(Object.entries(error).map(sorted).toSorted());
  return hideChance({ name, message, ...fields, isTypeError: error instanceof TypeError });
}

function sorted([key, value]: [string, unknown]): [string, unknown] {
  const isObject = typeof value === 'object' && value !== null;
  return [key, isObject ? Object.fromEntries(Object.entries(value).toSorted()) : value];
}

/** Random names of temporary directories, which no two calls share. */
function hideChance(value: object): unknown {
  return JSON.parse(JSON.stringify(value).replaceAll(/(tmp-)\w{6}/g, '$1XXXXXX'));
}

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}n`;
  if (value === undefined) return 'undefined';
  if (typeof value === 'string') return value.replace(/(tmp-).{6}$/, '$1XXXXXX');
  if (typeof value !== 'object' || value === null) return value;
  if (Buffer.isBuffer(value)) return { buffer: value.toString('latin1') };
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('latin1') };
  if (value instanceof Date) return { date: value.getTime() };
  if (Array.isArray(value)) return value.map(plain);
  if ('birthtimeMs' in value) return plainStats(value as never);
  if ('parentPath' in value) return plainDirent(value as never);
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]));
}

const QUESTIONS = [
  'isFile',
  'isDirectory',
  'isSymbolicLink',
  'isFIFO',
  'isSocket',
  'isBlockDevice',
  'isCharacterDevice',
] as const;

function answers(value: Record<(typeof QUESTIONS)[number], () => boolean>): string {
  return QUESTIONS.filter((question) => value[question]()).join();
}

/** What two file systems can agree on. */
function plainStats(stats: Record<string, unknown>): unknown {
  const { mode, nlink, uid, gid, size, blksize } = stats;
  const isDirectory = (stats as { isDirectory(): boolean }).constructor.name;
  const kind = answers(stats as never);
  return {
    ...{ mode: String(mode), nlink: String(nlink), uid: String(uid), gid: String(gid) },
    ...{ size: kind === 'isDirectory' ? 'any' : String(size), blksize: String(blksize) },
    ...{ kind, keys: Object.keys(stats), types: Object.values(stats).map((each) => typeof each) },
    ...{ class: isDirectory },
  };
}

function plainDirent(dirent: Record<string, unknown>): unknown {
  const { name, parentPath, path } = dirent;
  return { name: plain(name), parentPath, path, kind: answers(dirent as never) };
}
