/**
 * Packing: a file, or a directory and all below it, as the parts of a tree. What is a hole is left out;
 * a file with several names in the tree comes once, and then as a link to that.
 */
import { type DirectoryEntry, isFsError, type Vfs } from '@palimpsest/toyfs';
import type { TreeData, TreeEntry, TreePart } from './file-types.js';

/** Bytes read at once. */
const CHUNK = 256 << 10;
/** Names read at once. */
const NAMES = 1000;

/** Packs the inode and, if it is a directory, what is below it. */
export async function* packTree(fs: Vfs, ino: number): AsyncGenerator<TreePart> {
  yield* pack(fs, ino, '', new Map());
}

async function* pack(
  fs: Vfs,
  ino: number,
  path: string,
  known: Map<number, string>,
): AsyncGenerator<TreePart> {
  await fs.open(ino); // It stays what it is while it is read, whoever removes its name.
  try {
    const entry = await entryOf(fs, ino, path, known);
    yield entry;
    if (entry.link !== undefined) return;
    if (entry.type === 'file') yield* dataOf(fs, ino, entry.size);
    if (entry.type !== 'directory') return;
    for (const { name, ino: child } of await namesOf(fs, ino)) {
      const text = Buffer.from(name).toString('latin1');
      try {
        yield* pack(fs, child, path === '' ? text : `${path}/${text}`, known);
      } catch (error) {
        if (!isFsError(error, 'ENOENT')) throw error; // removed since it was listed
      }
    }
  } finally {
    await fs.release(ino);
  }
}

async function entryOf(
  fs: Vfs,
  ino: number,
  path: string,
  known: Map<number, string>,
): Promise<TreeEntry> {
  const { type, mode, uid, gid, size, atime, mtime, links, rdev } = await fs.getattr(ino);
  const common = { kind: 'entry', path, type, mode, uid, gid, size, atime, mtime } as const;
  if (links > 1 && type !== 'directory') {
    const link = known.get(ino);
    if (link !== undefined) return { ...common, link };
    known.set(ino, path);
  }
  const xattrs = await xattrsOf(fs, ino);
  return {
    ...common,
    ...(type === 'symlink'
      ? { target: Buffer.from(await fs.readlink(ino)).toString('latin1') }
      : {}),
    ...(type === 'character-device' || type === 'block-device' ? { rdev } : {}),
    ...(xattrs.length > 0 ? { xattrs } : {}),
  };
}

async function xattrsOf(fs: Vfs, ino: number): Promise<readonly (readonly [string, string])[]> {
  const found: [string, string][] = [];
  for (const name of await fs.listXattrs(ino)) {
    found.push([name, Buffer.from(await fs.getXattr(ino, name)).toString('latin1')]);
  }
  return found;
}

async function* dataOf(fs: Vfs, ino: number, size: number): AsyncGenerator<TreeData> {
  for (let at = 0; at < size; ) {
    const start = await seekData(fs, ino, at);
    if (start === undefined) return;
    const end = Math.min(size, await fs.seek(ino, start, 'hole'));
    for (at = start; at < end; ) {
      const bytes = Buffer.allocUnsafe(Math.min(CHUNK, end - at));
      const count = await fs.read(ino, bytes, at);
      if (count === 0) return; // It became shorter meanwhile.
      yield { kind: 'data', position: at, bytes: bytes.subarray(0, count) };
      at += count;
    }
  }
}

async function seekData(fs: Vfs, ino: number, at: number): Promise<number | undefined> {
  try {
    return await fs.seek(ino, at, 'data');
  } catch (error) {
    if (isFsError(error, 'ENXIO')) return undefined;
    throw error;
  }
}

/** The names in a directory but `.` and `..`, in the order of their bytes. */
export async function namesOf(fs: Vfs, ino: number): Promise<readonly DirectoryEntry[]> {
  const names: DirectoryEntry[] = [];
  for (let cookie = 0; ; ) {
    const some = await fs.readdir(ino, cookie, NAMES);
    const last = some.at(-1);
    if (last === undefined) break;
    names.push(...some.filter(({ name }) => !isDots(name)));
    cookie = last.cookie;
  }
  return names.sort((a, b) => Buffer.compare(a.name, b.name));
}

function isDots(name: Uint8Array): boolean {
  return name.length <= 2 && name.every((byte) => byte === 0x2e);
}
