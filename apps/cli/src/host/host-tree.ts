/**
 * HostTree: files of this machine as the parts of a tree. A sparse file's blocks of zeros are left out; a
 * file that comes again under another name is a link to the first.
 */
import { constants, type FileHandle, lstat, open, readdir, readlink } from 'node:fs/promises';
import type { TreeData, TreeEntry, TreePart } from '@palimpsest/mounted-files';
import { FileError } from '@palimpsest/mounted-files/wire';
import { here } from './host-error.js';

/** Bytes read at once. */
const CHUNK = 256 << 10;
/** Zeros of this length, at a place that is a multiple of it, are a hole in a sparse file. */
const HOLE = 4096;
const SLASH = Buffer.from('/');

/** What is at `path`, absolute. Paths of sockets and the like, which have no content, go to `leftOut`. */
export async function* hostTree(
  path: string,
  recursive: boolean,
  leftOut: string[],
): AsyncGenerator<TreePart> {
  const entry = await here(path, () => lstat(path));
  if (entry.isDirectory() && !recursive) {
    throw new FileError('EISDIR', `${path} here is a directory; with all that is in it: -r`);
  }
  yield* pack(Buffer.from(path), '', new Map(), leftOut);
}

async function* pack(
  at: Buffer,
  path: string,
  known: Map<string, string>,
  leftOut: string[],
): AsyncGenerator<TreePart> {
  const found = await here(at, () => lstat(at, { bigint: true }));
  const type = found.isFile()
    ? 'file'
    : found.isDirectory()
      ? 'directory'
      : found.isSymbolicLink()
        ? 'symlink'
        : undefined;
  if (type === undefined) {
    leftOut.push(at.toString());
    return;
  }
  const entry: TreeEntry = {
    ...{ kind: 'entry', path, type },
    mode: Number(found.mode) & 0o7777,
    uid: Number(found.uid),
    gid: Number(found.gid),
    size: Number(found.size),
    atime: found.atimeNs,
    mtime: found.mtimeNs,
  };
  const key = `${found.dev}:${found.ino}`;
  const link = found.nlink > 1n && type !== 'directory' ? known.get(key) : undefined;
  if (link !== undefined) {
    yield { ...entry, link };
    return;
  }
  known.set(key, path);
  if (type === 'symlink') {
    const target = await here(at, () => readlink(at, { encoding: 'buffer' }));
    yield { ...entry, target: target.toString('latin1') };
  } else if (type === 'directory') {
    yield entry;
    const names = await here(at, () => readdir(at, { encoding: 'buffer' }));
    for (const name of names.sort(Buffer.compare)) {
      const text = name.toString('latin1');
      const below = path === '' ? text : `${path}/${text}`;
      yield* pack(Buffer.concat([at, SLASH, name]), below, known, leftOut);
    }
  } else {
    const isSparse = found.blocks * 512n < found.size;
    yield* contents(at, entry, isSparse);
  }
}

async function* contents(
  at: Buffer,
  entry: TreeEntry,
  isSparse: boolean,
): AsyncGenerator<TreePart> {
  // What was a file a moment ago is not followed if it is a link now.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW;
  const file = await here(at, () => open(at, flags));
  try {
    yield entry;
    for (let position = 0; position < entry.size; ) {
      const bytes = await here(at, () => chunkOf(file, position, entry.size - position));
      if (bytes.length === 0) return; // It became shorter meanwhile.
      if (isSparse) yield* withoutHoles(bytes, position);
      else yield { kind: 'data', position, bytes };
      position += bytes.length;
    }
  } finally {
    await file.close();
  }
}

async function chunkOf(file: FileHandle, position: number, rest: number): Promise<Uint8Array> {
  const buffer = Buffer.allocUnsafe(Math.min(CHUNK, rest));
  const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
  return buffer.subarray(0, bytesRead);
}

function* withoutHoles(bytes: Uint8Array, position: number): Generator<TreeData> {
  let start = 0;
  for (let at = 0; at <= bytes.length; at += HOLE) {
    const block = bytes.subarray(at, at + HOLE);
    if (at < bytes.length && block.some((byte) => byte !== 0)) continue;
    if (at > start) {
      const data = bytes.subarray(start, Math.min(at, bytes.length));
      yield { kind: 'data', position: position + start, bytes: data };
    }
    start = at + HOLE;
  }
  if (start < bytes.length && bytes.length % HOLE !== 0) {
    yield { kind: 'data', position: position + start, bytes: bytes.subarray(start) };
  }
}
