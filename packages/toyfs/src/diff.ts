/**
 * diff: what differs between two states of one file system, by path. Meant for two snapshots: an inode
 * that is the same in all that changes with it (number, generation, time of change) is the same, and
 * its bytes are not read.
 */
import type { Attributes, DirectoryEntry, Vfs } from './vfs.js';
import { ROOT_INO } from './vfs.js';

/** One difference. */
export interface Difference {
  /** `changed`: its bytes, its attributes or its xattrs; what it is a name of, when that is no directory. */
  readonly kind: 'added' | 'removed' | 'changed';
  /** Bytes, from the root, with a slash before each name. */
  readonly path: Uint8Array;
}

/** Names read at once. */
const BATCH = 1000;

/**
 * The differences on the way from `before` to `after`, directories before what is in them. What lies
 * in a directory that was added or removed is told too. A directory is `changed` when its attributes
 * are; names in it that came or went are told by themselves.
 */
export async function* diff(before: Vfs, after: Vfs): AsyncGenerator<Difference> {
  const same = await attributesMatch(before, ROOT_INO, after, ROOT_INO);
  if (!same) yield { kind: 'changed', path: Uint8Array.of(0x2f) };
  yield* between(before, ROOT_INO, after, ROOT_INO, new Uint8Array(0));
}

async function* between(
  before: Vfs,
  oldIno: number,
  after: Vfs,
  newIno: number,
  path: Uint8Array,
): AsyncGenerator<Difference> {
  const old = await namesOf(before, oldIno);
  const fresh = await namesOf(after, newIno);
  for (const [key, entry] of old) {
    const at = joined(path, entry.name);
    const other = fresh.get(key);
    if (other === undefined) {
      yield* all('removed', before, entry.ino, at);
      continue;
    }
    const [a, b] = [await before.getattr(entry.ino), await after.getattr(other.ino)];
    if ((a.type === 'directory') !== (b.type === 'directory')) {
      yield* all('removed', before, entry.ino, at);
      yield* all('added', after, other.ino, at);
      continue;
    }
    if (!isSame(a, b)) yield { kind: 'changed', path: at };
    if (a.type === 'directory') yield* between(before, entry.ino, after, other.ino, at);
  }
  for (const [key, { name, ino }] of fresh) {
    if (!old.has(key)) yield* all('added', after, ino, joined(path, name));
  }
}

/** A path and everything below it. */
async function* all(
  kind: 'added' | 'removed',
  fs: Vfs,
  ino: number,
  path: Uint8Array,
): AsyncGenerator<Difference> {
  yield { kind, path };
  if ((await fs.getattr(ino)).type !== 'directory') return;
  for (const { name, ino: child } of (await namesOf(fs, ino)).values()) {
    yield* all(kind, fs, child, joined(path, name));
  }
}

async function namesOf(fs: Vfs, ino: number): Promise<Map<string, DirectoryEntry>> {
  const names = new Map<string, DirectoryEntry>();
  for (let cookie = 0; ; ) {
    const entries = await fs.readdir(ino, cookie, BATCH);
    const last = entries.at(-1);
    if (last === undefined) break;
    for (const entry of entries) names.set(Buffer.from(entry.name).toString('latin1'), entry);
    cookie = last.cookie;
  }
  names.delete('.');
  names.delete('..');
  return names;
}

async function attributesMatch(a: Vfs, aIno: number, b: Vfs, bIno: number): Promise<boolean> {
  return isSame(await a.getattr(aIno), await b.getattr(bIno));
}

/** Directories change with each name in them: of those only what is their own counts. */
function isSame(a: Attributes, b: Attributes): boolean {
  const isOwn = a.mode === b.mode && a.uid === b.uid && a.gid === b.gid && a.type === b.type;
  if (!isOwn) return false;
  if (a.type === 'directory') return true;
  return (
    a.ino === b.ino &&
    a.generation === b.generation &&
    a.size === b.size &&
    a.mtime === b.mtime &&
    a.ctime === b.ctime
  );
}

function joined(path: Uint8Array, name: Uint8Array): Uint8Array {
  const result = new Uint8Array(path.length + 1 + name.length);
  result.set(path);
  result[path.length] = 0x2f;
  result.set(name, path.length + 1);
  return result;
}
