/**
 * A file tree as data: what two file systems must agree on. Read from a Vfs, or from a folder of the
 * machine.
 */
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT_INO, type Vfs } from '../../src/index.js';

/** Path to a line that says all of what is there. */
export type Tree = Record<string, string>;

/** The whole tree of a file system, without lost+found. */
export async function treeOf(fs: Vfs): Promise<Tree> {
  const tree: Tree = {};
  const visit = async (ino: number, path: string): Promise<void> => {
    for await (const { name, ino: child } of entriesOf(fs, ino)) {
      const text = Buffer.from(name).toString('latin1');
      if (text === '.' || text === '..' || (path === '' && text === 'lost+found')) continue;
      const at = `${path}/${text}`;
      const { type, mode, uid, gid, size, links } = await fs.getattr(child);
      const who = `${type} ${mode.toString(8)} ${uid}:${gid}`;
      if (type === 'directory') {
        tree[at] = who;
        await visit(child, at);
      } else if (type === 'symlink') {
        tree[at] = `${who} -> ${Buffer.from(await fs.readlink(child)).toString('latin1')}`;
      } else if (type === 'file') {
        tree[at] = `${who} ${size} x${links} ${hash(await contentOf(fs, child))}`;
      } else {
        tree[at] = who;
      }
    }
  };
  await visit(ROOT_INO, '');
  return tree;
}

/** All entries of a directory, a few at a time. */
export async function* entriesOf(
  fs: Vfs,
  ino: number,
): AsyncGenerator<{ name: Uint8Array; ino: number }> {
  for (let cookie = 0; ; ) {
    const entries = await fs.readdir(ino, cookie, 50);
    const last = entries.at(-1);
    if (last === undefined) return;
    yield* entries;
    cookie = last.cookie;
  }
}

/** All bytes of a file. */
export async function contentOf(fs: Vfs, ino: number): Promise<Uint8Array> {
  const { size } = await fs.getattr(ino);
  const bytes = new Uint8Array(size).fill(0xa5);
  const length = await fs.read(ino, bytes, 0);
  if (length !== size) throw new Error(`inode ${ino}: read ${length} of ${size}`);
  return bytes;
}

/** The inode at a path. */
export async function find(fs: Vfs, path: string): Promise<number> {
  let ino = ROOT_INO;
  for (const part of path.split('/').filter((each) => each !== '')) {
    ino = await fs.lookup(ino, Buffer.from(part));
  }
  return ino;
}

/** A folder of the machine, as `treeOf` would say it. */
export function folderTree(root: string): Tree {
  const tree: Tree = {};
  const visit = (folder: string, path: string): void => {
    for (const name of readdirSync(folder)) {
      if (path === '' && name === 'lost+found') continue;
      const file = join(folder, name);
      const at = `${path}/${Buffer.from(name).toString('latin1')}`;
      const { mode, uid, gid, size, nlink } = lstatSync(file);
      const who = (type: string): string => `${type} ${(mode & 0o7777).toString(8)} ${uid}:${gid}`;
      const type = mode & 0xf000;
      if (type === 0x4000) {
        tree[at] = who('directory');
        visit(file, at);
      } else if (type === 0xa000) {
        tree[at] = `${who('symlink')} -> ${readlinkSync(file)}`;
      } else if (type === 0x1000) {
        tree[at] = who('fifo');
      } else {
        tree[at] = `${who('file')} ${size} x${nlink} ${hash(readFileSync(file))}`;
      }
    }
  };
  visit(root, '');
  return tree;
}

function hash(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('hex');
}
