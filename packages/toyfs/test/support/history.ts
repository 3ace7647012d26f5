/**
 * Random histories of a file system, and a model that knows what each operation leaves: names, types
 * and bytes. Operations are small enough that each is one step of the file system.
 */
import type { Random } from '@palimpsest/block-device/testing';
import { type FileSystem, isFsError, ROOT_INO } from '../../src/index.js';

/** An inode of the model. Never changed: an operation makes a new one under the same id. */
export type ModelNode =
  | { readonly kind: 'directory' }
  | { readonly kind: 'symlink'; readonly target: string }
  | { readonly kind: 'file'; readonly bytes: Buffer };

/** A state of the model: names lead to ids, ids to nodes. Paths are absolute, the root is ''. */
export interface State {
  readonly names: ReadonlyMap<string, number>;
  readonly nodes: ReadonlyMap<number, ModelNode>;
}

export const EMPTY: State = {
  names: new Map([['', 0]]),
  nodes: new Map([[0, { kind: 'directory' }]]),
};

const NAMES = ['a', 'b', 'c', 'dee', 'a name that is longer than the others', 'x'.repeat(200)];

/** Does one random operation on both; answers the state after it, and what it was. */
export async function step(
  fs: FileSystem,
  state: State,
  random: Random,
): Promise<{ state: State; what: string }> {
  const names = new Map(state.names);
  const nodes = new Map(state.nodes);
  const of = (kind: string): string[] =>
    [...names].filter(([path, id]) => path !== '' && nodes.get(id)?.kind === kind).map(([p]) => p);
  const folder = (): string => random.pick(['', '', ...of('directory')]);
  const fresh = (): string => `${folder()}/${random.pick(NAMES)}${random.below(4)}`;
  const inoOf = (path: string): Promise<number> => inodeAt(fs, path);
  const split = (path: string): [string, Buffer] => {
    const at = path.lastIndexOf('/');
    return [path.slice(0, at), Buffer.from(path.slice(at + 1))];
  };
  const make = async (path: string, node: ModelNode): Promise<void> => {
    what = `${kind} ${path}`;
    const [parent, name] = split(path);
    const ino = await inoOf(parent);
    if (node.kind === 'directory') await fs.mkdir(ino, name, { mode: 0o755 });
    else if (node.kind === 'symlink') await fs.symlink(ino, name, Buffer.from(node.target), {});
    else await fs.create(ino, name, { mode: 0o644 });
    const id = Math.max(...nodes.keys()) + 1;
    names.set(path, id);
    nodes.set(id, node);
  };
  const change = async (
    path: string,
    work: (ino: number, bytes: Buffer) => Promise<Buffer>,
  ): Promise<void> => {
    const id = names.get(path) as number;
    const { bytes } = nodes.get(id) as { bytes: Buffer };
    nodes.set(id, { kind: 'file', bytes: await work(await inoOf(path), bytes) });
  };
  const files = of('file');
  const kinds = ['create', 'create', 'mkdir', 'symlink'];
  if (files.length > 0) {
    kinds.push(
      'append',
      'append',
      'write',
      'write',
      'truncate',
      'unlink',
      'link',
      'rename',
      'rename',
    );
    kinds.push('punch', 'allocate', 'extend');
  }
  if (of('directory').length > 0) kinds.push('rmdir', 'move');
  const kind = random.pick(kinds);
  const file = files.length > 0 ? random.pick(files) : '';
  let what = `${kind} ${file}`;
  try {
    if (kind === 'create') await make(fresh(), { kind: 'file', bytes: Buffer.alloc(0) });
    else if (kind === 'mkdir') await make(fresh(), { kind: 'directory' });
    else if (kind === 'symlink') {
      const target = 't'.repeat(random.pick([1, 59, 60, 700]));
      await make(fresh(), { kind: 'symlink', target });
    } else if (kind === 'append' || kind === 'write') {
      const length = random.pick([1, 100, 4096, 9000, 40_000]);
      await change(file, async (ino, bytes) => {
        const at = kind === 'append' ? bytes.length : random.below(bytes.length + 20_000);
        const source = Buffer.alloc(length, `${random.below(1e9)} `);
        await fs.write(ino, source, at);
        const after = Buffer.alloc(Math.max(bytes.length, at + length));
        bytes.copy(after);
        source.copy(after, at);
        return after;
      });
    } else if (kind === 'truncate' || kind === 'extend') {
      await change(file, async (ino, bytes) => {
        const size =
          kind === 'extend' ? bytes.length + random.below(30_000) : random.below(bytes.length + 1);
        await fs.setattr(ino, { size });
        const after = Buffer.alloc(size);
        bytes.copy(after);
        return after;
      });
    } else if (kind === 'punch') {
      await change(file, async (ino, bytes) => {
        const at = random.below(bytes.length + 1);
        const length = 1 + random.below(20_000);
        await fs.punchHole(ino, at, length);
        return Buffer.from(bytes).fill(0, at, Math.min(bytes.length, at + length));
      });
    } else if (kind === 'allocate') {
      await change(file, async (ino, bytes) => {
        const at = random.below(bytes.length + 10_000);
        const length = 1 + random.below(30_000);
        const keepSize = random.chance(0.5);
        await fs.fallocate(ino, at, length, { keepSize });
        if (keepSize) return bytes;
        const after = Buffer.alloc(Math.max(bytes.length, at + length));
        bytes.copy(after);
        return after;
      });
    } else if (kind === 'unlink') {
      await fs.unlink(await inoOf(split(file)[0]), split(file)[1]);
      names.delete(file);
    } else if (kind === 'link') {
      const to = fresh();
      await fs.link(await inoOf(file), await inoOf(split(to)[0]), split(to)[1]);
      names.set(to, names.get(file) as number);
    } else if (kind === 'rmdir') {
      const path = random.pick(of('directory'));
      await fs.rmdir(await inoOf(split(path)[0]), split(path)[1]);
      names.delete(path);
    } else {
      const from = kind === 'move' ? random.pick(of('directory')) : file;
      const to = random.chance(0.4) && kind === 'rename' ? random.pick(files) : fresh();
      what = `${kind} ${from} to ${to}`;
      await fs.rename(
        await inoOf(split(from)[0]),
        split(from)[1],
        await inoOf(split(to)[0]),
        split(to)[1],
      );
      if (names.get(from) !== names.get(to)) {
        for (const [path, id] of [...names]) {
          if (path !== from && !path.startsWith(`${from}/`)) continue;
          names.delete(path);
          names.set(to + path.slice(from.length), id);
        }
      }
    }
  } catch (error) {
    // What may be refused: a name that is taken or gone, a directory that is not empty or its own.
    if (!isFsError(error)) throw error;
    if (!['EEXIST', 'ENOTEMPTY', 'EINVAL', 'EISDIR', 'ENOTDIR', 'ENOSPC'].includes(error.code))
      throw error;
    return { state, what: `${what}: ${error.code}` };
  }
  return { state: { names, nodes }, what };
}

async function inodeAt(fs: FileSystem, path: string): Promise<number> {
  let ino = ROOT_INO;
  for (const part of path.split('/'))
    if (part !== '') ino = await fs.lookup(ino, Buffer.from(part));
  return ino;
}

/** Names, types, links and sizes of a state: what must be that of one state. */
export function shapeOf({ names, nodes }: State): string {
  const links = new Map<number, number>();
  for (const id of names.values()) links.set(id, (links.get(id) ?? 0) + 1);
  return [...names]
    .filter(([path]) => path !== '')
    .map(([path, id]) => {
      const node = nodes.get(id) as ModelNode;
      if (node.kind === 'directory') return `${path}/`;
      if (node.kind === 'symlink') return `${path} -> ${node.target}`;
      return `${path} ${node.bytes.length} x${links.get(id)}`;
    })
    .sort()
    .join('\n');
}

/** What a file system holds: its shape, and the bytes of its files by path. */
export async function contentsOf(
  fs: FileSystem,
): Promise<{ shape: string; files: Map<string, Buffer> }> {
  const lines: string[] = [];
  const files = new Map<string, Buffer>();
  const visit = async (ino: number, path: string): Promise<void> => {
    for (const { name, ino: child } of await fs.readdir(ino, 0, 10_000)) {
      const text = Buffer.from(name).toString();
      if (text === '.' || text === '..' || (path === '' && text === 'lost+found')) continue;
      const at = `${path}/${text}`;
      const { type, size, links } = await fs.getattr(child);
      if (type === 'directory') {
        lines.push(`${at}/`);
        await visit(child, at);
      } else if (type === 'symlink') {
        lines.push(`${at} -> ${Buffer.from(await fs.readlink(child)).toString()}`);
      } else {
        lines.push(`${at} ${size} x${links}`);
        const bytes = Buffer.alloc(size, 0xa5);
        await fs.read(child, bytes, 0);
        files.set(at, bytes);
      }
    }
  };
  await visit(ROOT_INO, '');
  return { shape: lines.sort().join('\n'), files };
}
