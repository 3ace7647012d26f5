/**
 * Every function on every kind of path, and every function of two paths on pairs of them.
 */
import { constants as c } from 'node:fs';
import type { AnyFs, Case } from './world.js';

const CHAIN = 'chain';

/** Paths in the case's directory, with what is there. */
const PATHS = [
  'file',
  'dir',
  'full',
  'full/inner',
  'full/up',
  'missing',
  'missing/below',
  'file/below',
  'hard',
  'to-file',
  'to-full',
  'to-full/inner',
  'to-nowhere',
  'to-nowhere/below',
  'to-absolute',
  'to-slash',
  'loop',
  'loop/below',
  'file/',
  'dir/',
  'full//',
  'missing/',
  'missing//',
  'to-file/',
  'to-full/',
  'to-nowhere/',
  'loop/',
  'dir/.',
  'dir/..',
  'full/./sub/../inner',
  'file/..',
  'to-full/..',
  '//file',
  'n'.repeat(255),
  'n'.repeat(256),
  `${'n'.repeat(256)}/below`,
  `dir/${'m/'.repeat(2100)}`,
  `${CHAIN}39`,
  `${CHAIN}40`,
  'ünïcode',
] as const;

/** A smaller choice for pairs. */
const PAIR_PATHS = [
  'file',
  'hard',
  'dir',
  'full',
  'full/sub',
  'full/sub/deep',
  'missing',
  'missing/below',
  'file/below',
  'to-file',
  'to-full',
  'to-nowhere',
  'missing/',
  'dir/',
  'file/',
  'to-full/',
  'dir/.',
  'full/new',
  'n'.repeat(256),
] as const;

type OnPath = (fs: AnyFs, path: string) => Promise<unknown>;

const FLAGS: readonly (string | number)[] = [
  'r',
  'r+',
  'w',
  'wx',
  'w+',
  'a',
  'ax+',
  c.O_RDONLY | c.O_NOFOLLOW,
  c.O_RDONLY | c.O_DIRECTORY,
  c.O_RDONLY | c.O_TRUNC,
  c.O_WRONLY | c.O_CREAT,
  c.O_RDWR | c.O_CREAT | c.O_EXCL | c.O_NOFOLLOW,
  c.O_WRONLY | c.O_CREAT | c.O_NOFOLLOW,
];

const ON_PATH: Record<string, OnPath> = {
  access: (fs, path) => fs.access(path),
  'access R': (fs, path) => fs.access(path, c.R_OK),
  'access W': (fs, path) => fs.access(path, c.W_OK),
  'access X': (fs, path) => fs.access(path, c.X_OK),
  stat: (fs, path) => fs.stat(path),
  'stat bigint': (fs, path) => fs.stat(path, { bigint: true }),
  lstat: (fs, path) => fs.lstat(path),
  readlink: (fs, path) => fs.readlink(path),
  'readlink buffer': (fs, path) => fs.readlink(path, 'buffer'),
  realpath: (fs, path) => fs.realpath(path),
  'realpath hex': (fs, path) => fs.realpath(path, { encoding: 'hex' }),
  readdir: async (fs, path) => (await fs.readdir(path)).toSorted(),
  'readdir types': async (fs, path) => byName(await fs.readdir(path, { withFileTypes: true })),
  'readdir recursive': async (fs, path) => (await fs.readdir(path, { recursive: true })).toSorted(),
  'readdir recursive types': async (fs, path) =>
    byName(await fs.readdir(path, { withFileTypes: true, recursive: true })),
  'readdir buffer': async (fs, path) => (await fs.readdir(path, 'buffer')).map(String).toSorted(),
  opendir: async (fs, path) => {
    const names: unknown[] = [];
    const dir = await fs.opendir(path);
    for await (const entry of dir) names.push(entry);
    return { path: dir.path, names: byName(names as never) };
  },
  unlink: (fs, path) => fs.unlink(path),
  rmdir: (fs, path) => fs.rmdir(path),
  rm: (fs, path) => fs.rm(path),
  'rm force': (fs, path) => fs.rm(path, { force: true }),
  'rm recursive': (fs, path) => fs.rm(path, { recursive: true }),
  'rm recursive force': (fs, path) => fs.rm(path, { recursive: true, force: true }),
  mkdir: (fs, path) => fs.mkdir(path),
  'mkdir mode': (fs, path) => fs.mkdir(path, 0o1751),
  'mkdir recursive': (fs, path) => fs.mkdir(path, { recursive: true, mode: '700' }),
  'mkdir recursive deep': (fs, path) => fs.mkdir(`${path}/p/q`, { recursive: true }),
  readFile: (fs, path) => fs.readFile(path),
  'readFile utf8': (fs, path) => fs.readFile(path, 'utf8'),
  writeFile: (fs, path) => fs.writeFile(path, 'new'),
  'writeFile mode': (fs, path) => fs.writeFile(path, 'new', { mode: 0o640, flush: true }),
  appendFile: (fs, path) => fs.appendFile(path, ' more'),
  truncate: (fs, path) => fs.truncate(path, 3),
  'truncate longer': (fs, path) => fs.truncate(path, 20),
  chmod: (fs, path) => fs.chmod(path, 0o4755),
  chown: (fs, path) => fs.chown(path, self().uid, self().gid),
  lchown: (fs, path) => fs.lchown(path, self().uid, self().gid),
  utimes: async (fs, path) => {
    await fs.utimes(path, 1_000_000_000.123456, new Date(1_600_000_000_789));
    return times(await fs.stat(path, { bigint: true }));
  },
  lutimes: async (fs, path) => {
    await fs.lutimes(path, '1000000000.5', 1_234_567_890.25);
    return times(await fs.lstat(path, { bigint: true }));
  },
  statfs: async (fs, path) => Object.keys(await fs.statfs(path)),
  'statfs bigint': async (fs, path) => typeof (await fs.statfs(path, { bigint: true })).bfree,
  mkdtemp: (fs, path) => fs.mkdtemp(`${path}/tmp-`),
  'open and write': async (fs, path) => {
    const handle = await fs.open(path, 'r+');
    try {
      return await handle.write('0123', 2);
    } finally {
      await handle.close();
    }
  },
  'URL and bytes': async (fs, path) => [
    await fs.readFile(new URL(`file://${path}`), 'utf8'),
    await fs.readFile(Buffer.from(path), 'utf8'),
  ],
  ...Object.fromEntries(
    FLAGS.map((flags) => [
      `open ${flags}`,
      async (fs: AnyFs, path: string) => {
        const handle = await fs.open(path, flags, 0o654);
        const stats = await handle.stat();
        await handle.close();
        return stats;
      },
    ]),
  ),
};

/** Functions that change nothing. */
const READS = /^(?:access|l?stat|statfs|read|opendir|URL)/;

/** Ends of `cp` that fail together with another. */
const TOLD_BY_CHANCE = /n{256}|file\/(?:below)?/;

type OnPair = (fs: AnyFs, from: string, to: string) => Promise<unknown>;

const ON_PAIR: Record<string, OnPair> = {
  rename: (fs, from, to) => fs.rename(from, to),
  link: (fs, from, to) => fs.link(from, to),
  symlink: (fs, from, to) => fs.symlink(from, to),
  copyFile: (fs, from, to) => fs.copyFile(from, to),
  'copyFile exclusive': (fs, from, to) => fs.copyFile(from, to, c.COPYFILE_EXCL),
  cp: (fs, from, to) => fs.cp(from, to),
  'cp recursive': (fs, from, to) => fs.cp(from, to, { recursive: true }),
  'cp dereference': (fs, from, to) => fs.cp(from, to, { recursive: true, dereference: true }),
  'cp careful': (fs, from, to) =>
    fs.cp(from, to, { recursive: true, force: false, errorOnExist: true, verbatimSymlinks: true }),
};

export const pathCases: readonly Case[] = Object.entries(ON_PATH).flatMap(([name, run]) =>
  // Node removes all at once: what is left of a removal that fails is a matter of chance.
  PATHS.filter((path) => !(name.startsWith('rm recursive') && path.endsWith('/..'))).map(
    (path) => ({
      name: `${name} ${shown(path)}`,
      readsOnly: READS.test(name) && !path.startsWith(CHAIN),
      run: async (fs: AnyFs, at: (path: string) => string) => {
        if (path.startsWith(CHAIN)) await chain(fs, at, Number(path.slice(CHAIN.length)));
        return run(fs, at(path));
      },
    }),
  ),
);

export const pairCases: readonly Case[] = Object.entries(ON_PAIR).flatMap(([name, run]) =>
  PAIR_PATHS.flatMap((from) =>
    // Node looks at both ends of `cp` at once: which failure is told is a matter of chance.
    PAIR_PATHS.filter((to) => !(name.startsWith('cp') && TOLD_BY_CHANCE.test(to + from))).map(
      (to) => ({
        name: `${name} ${shown(from)} -> ${shown(to)}`,
        run: (fs: AnyFs, at: (path: string) => string) => run(fs, at(from), at(to)),
      }),
    ),
  ),
);

/** Links to links: `chain3` leads to the file through three more. */
async function chain(fs: AnyFs, at: (path: string) => string, links: number): Promise<void> {
  await fs.symlink('file', at(`${CHAIN}0`));
  for (let i = 1; i <= links; i++) await fs.symlink(`${CHAIN}${i - 1}`, at(`${CHAIN}${i}`));
}

function byName<T extends { name: unknown; parentPath: string }>(entries: T[]): T[] {
  const key = (entry: T): string => `${entry.parentPath}/${entry.name}`;
  return entries.toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
}

function times({ atimeNs, mtimeNs }: { atimeNs: bigint; mtimeNs: bigint }): unknown {
  return { atimeNs, mtimeNs };
}

function self(): { uid: number; gid: number } {
  return { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
}

function shown(path: string): string {
  return path.length > 40 ? `${path.slice(0, 12)}… (${path.length})` : path;
}
