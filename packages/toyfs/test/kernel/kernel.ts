/**
 * The kernel as a judge: loop mounts, and what it says of a tree. Needs root and loop devices. Where
 * they are missing the tests are skipped, aloud; with CI and TOYFS_ALL set that is a failure.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type FileSystem, ROOT_INO } from '../../src/index.js';
import { all, hasTools, run, scratch } from '../support/tools.js';
import { entriesOf } from '../support/tree.js';

/** What is said of one name: everything that the kernel and we can say of it. */
export type Said = Record<string, unknown>;

/** Why the kernel cannot be asked here; undefined when it can. */
export function obstacle(): string | undefined {
  if (process.getuid?.() !== 0) return 'mounting needs root';
  if (!hasTools) return 'e2fsprogs are missing';
  try {
    run('python3', ['-c', 'import os, ctypes; os.SEEK_DATA']);
    using folder = scratch();
    const file = `${folder.path}/image`;
    run('mke2fs', ['-q', '-t', 'ext4', file, '2M']);
    using _mount = mounted(file, 'ro');
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Whether a machine that cannot ask the kernel fails these tests. */
export const isRequired: boolean = all && process.env.CI !== undefined;

/** Mounts an image until the end of the block. */
export function mounted(
  file: string,
  options: string,
  type = 'ext4',
): { path: string; unmount(): void; [Symbol.dispose](): void } {
  const path = mkdtempSync(`${file}.mount-`);
  run('mount', ['-t', type, '-o', `loop,noatime,${options}`, file, path]);
  let isMounted = true;
  const unmount = (): void => {
    if (!isMounted) return;
    isMounted = false;
    run('umount', [path]);
    rmdirSync(path);
  };
  return { path, unmount, [Symbol.dispose]: unmount };
}

/** What the kernel says of a folder. */
export function kernelTree(folder: string): Record<string, Said> {
  return JSON.parse(run('python3', [script('tree.py'), folder]));
}

/** Has the kernel make a random history in a folder; answers how to let it close its files. */
export async function kernelHistory(
  folder: string,
  seed: string,
  count: number,
  scale: 'small' | 'large',
): Promise<() => Promise<void>> {
  const args = [script('history.py'), folder, seed, String(count), scale];
  const child = spawn('python3', args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const first = await Promise.race([once(child.stdout, 'data'), exited]);
  if (!String(first[0]).startsWith('done')) throw new Error(`history.py ended with ${first[0]}`);
  return async () => {
    child.stdin.end();
    await exited;
  };
}

function script(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

/** Where two trees differ: the first few places, since thousands would tell no more. */
export function differences(ours: Record<string, Said>, theirs: Record<string, Said>): string[] {
  const found: string[] = [];
  for (const path of new Set([...Object.keys(ours), ...Object.keys(theirs)])) {
    for (const key of new Set(Object.keys({ ...ours[path], ...theirs[path] }))) {
      const [us, them] = [ours[path]?.[key], theirs[path]?.[key]].map((it) => JSON.stringify(it));
      if (us !== them) found.push(`${path.slice(0, 80)} ${key}: ours ${us}, the kernel's ${them}`);
      if (found.length > 4) return found;
    }
  }
  return found;
}

/** What we say of a file system. */
export async function ourTree(fs: FileSystem): Promise<Record<string, Said>> {
  const tree: Record<string, Said> = {};
  const visit = async (ino: number, path: string): Promise<void> => {
    for await (const { name, ino: child } of entriesOf(fs, ino)) {
      const text = Buffer.from(name).toString('latin1');
      if (text === '.' || text === '..' || (path === '' && text === 'lost+found')) continue;
      tree[`${path}/${text}`] = await describe(fs, child);
      if (tree[`${path}/${text}`]?.is === 'directory') await visit(child, `${path}/${text}`);
    }
  };
  await visit(ROOT_INO, '');
  return tree;
}

async function describe(fs: FileSystem, ino: number): Promise<Said> {
  const a = await fs.getattr(ino);
  const xattrs: Record<string, string> = {};
  for (const name of [...(await fs.listXattrs(ino))].sort()) {
    xattrs[name] = Buffer.from(await fs.getXattr(ino, name)).toString('hex');
  }
  const said: Said = {
    ...{ is: a.type, mode: a.mode, who: `${a.uid}:${a.gid}`, links: a.links },
    ...{ size: a.size, allocated: a.allocated, xattrs },
    times: [a.atime, a.mtime, a.ctime].map(String),
  };
  if (a.type === 'symlink') said.target = Buffer.from(await fs.readlink(ino)).toString('latin1');
  if (a.type.endsWith('device')) {
    const major = (a.rdev >>> 8) & 0xfff;
    said.device = `${major}:${(a.rdev & 0xff) | ((a.rdev >>> 12) & 0xf_ff00)}`;
  }
  if (a.type === 'file') {
    const data = await rangesOf(fs, ino, a.size);
    said.data = data;
    said.md5 = await digest(fs, ino, data);
  }
  return said;
}

async function rangesOf(fs: FileSystem, ino: number, size: number): Promise<[number, number][]> {
  const found: [number, number][] = [];
  for (let at = 0; at < size; ) {
    let start: number;
    try {
      start = await fs.seek(ino, at, 'data');
    } catch {
      break;
    }
    at = await fs.seek(ino, start, 'hole');
    found.push([start, at]);
  }
  return found;
}

async function digest(
  fs: FileSystem,
  ino: number,
  ranges: readonly [number, number][],
): Promise<string> {
  const total = createHash('md5');
  for (const [from, to] of ranges) {
    total.update(`${from}:`);
    for (let at = from; at < to; ) {
      const part = new Uint8Array(Math.min(1 << 20, to - at));
      await fs.read(ino, part, at);
      total.update(part);
      at += part.length;
    }
  }
  return total.digest('hex');
}
