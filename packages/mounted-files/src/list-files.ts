/** Listing: files as people see them, from a path on. */
import { type Attributes, type FileSystem, fsPromises, isFsError } from '@palimpsest/toyfs';
import type { FileInfo } from './file-types.js';
import { namesOf } from './pack-tree.js';

/** What is at a path, or in it, when it is a directory; in the order of names. */
export async function* listFiles(
  fs: FileSystem,
  path: string,
  recursive: boolean,
): AsyncGenerator<FileInfo> {
  const { ino } = await fsPromises(fs).stat(path);
  const attributes = await fs.getattr(ino);
  if (attributes.type !== 'directory') yield await told(fs, path, attributes);
  else yield* inside(fs, ino, path, recursive);
}

/** What is at the end of a path. */
export async function statFile(fs: FileSystem, path: string): Promise<FileInfo> {
  const { ino } = await fsPromises(fs).stat(path);
  return told(fs, path, await fs.getattr(ino));
}

/** The path with a slash before each name, and none behind. */
export function tidied(path: string): string {
  return `/${path
    .split('/')
    .filter((name) => name !== '' && name !== '.')
    .join('/')}`;
}

async function* inside(
  fs: FileSystem,
  ino: number,
  path: string,
  recursive: boolean,
): AsyncGenerator<FileInfo> {
  const above = path === '/' ? '' : path;
  for (const { name, ino: child } of await namesOf(fs, ino)) {
    const at = `${above}/${Buffer.from(name).toString()}`;
    let attributes: Attributes;
    try {
      attributes = await fs.getattr(child);
    } catch (error) {
      if (isFsError(error, 'ENOENT')) continue; // removed since it was listed
      throw error;
    }
    yield await told(fs, at, attributes);
    if (recursive && attributes.type === 'directory') yield* inside(fs, child, at, true);
  }
}

async function told(fs: FileSystem, path: string, attributes: Attributes): Promise<FileInfo> {
  const { type, mode, links, uid, gid, size, allocated, mtime, ino } = attributes;
  return {
    path,
    name: path.slice(path.lastIndexOf('/') + 1),
    ...{ type, mode, links, uid, gid, size, allocated },
    modifiedAt: new Date(Number(mtime / 1_000_000n)).toISOString(),
    ...(type === 'symlink' ? { target: Buffer.from(await fs.readlink(ino)).toString() } : {}),
  };
}
