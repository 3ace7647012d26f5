/**
 * What people do with files, on the mounts of a store.
 *
 *   FV1  What changes is durable when it resolves.
 *   FV2  Failures are sentences about the place that was asked for; see explain.ts.
 */
import { check, diff, fsPromises } from '@palimpsest/toyfs';
import { explained, explanation } from './explain.js';
import { FileError } from './file-error.js';
import type {
  CheckInfo,
  CopyInfo,
  CopyTarget,
  FileChange,
  FileInfo,
  FilePlace,
  FileSpace,
  FileVerbs,
  FormatInfo,
  TreePart,
} from './file-types.js';
import { formatVolume } from './format-volume.js';
import { listFiles, statFile, tidied } from './list-files.js';
import type { Mount, Mounts } from './mounts.js';
import { type ImageChoice, readablePart } from './open-image.js';
import { packTree } from './pack-tree.js';
import { unpackTree } from './unpack-tree.js';

/** The verbs on a store's mounts. */
export function createFileVerbs(mounts: Mounts): FileVerbs {
  return new MountedVerbs(mounts);
}

class MountedVerbs implements FileVerbs {
  readonly #mounts: Mounts;

  constructor(mounts: Mounts) {
    this.#mounts = mounts;
  }

  format(reference: string, options: Parameters<FileVerbs['format']>[1] = {}): Promise<FormatInfo> {
    return this.#mounts.withDevice(reference, (opened) =>
      formatVolume(opened.device, opened.reference, options),
    );
  }

  list(
    place: FilePlace,
    { recursive = false }: { readonly recursive?: boolean } = {},
  ): AsyncIterable<FileInfo> {
    return this.#telling(place, ({ fs }) => listFiles(fs, tidied(place.path), recursive));
  }

  async stat(place: FilePlace): Promise<FileInfo> {
    await using mount = await this.#mounts.mount(place.reference, part(place));
    const at = { ...place, reference: mount.reference };
    return await explained(at, () => statFile(mount.fs, tidied(place.path)));
  }

  read(place: FilePlace, options: Parameters<FileVerbs['read']>[1] = {}): AsyncIterable<TreePart> {
    return this.#telling(place, (mount) => readTree(mount, place, options));
  }

  write(target: CopyTarget, tree: AsyncIterable<TreePart>): Promise<CopyInfo> {
    return this.#changing(target, (mount) => writeTree(mount, target, tree));
  }

  copy(
    from: FilePlace,
    to: CopyTarget,
    options: { readonly recursive?: boolean } = {},
  ): Promise<CopyInfo> {
    // The side that is written first: what only reads shares it, whatever state it was found in.
    return this.#changing(to, async (target) => {
      await using source = await this.#mounts.mount(from.reference, part(from));
      const at = { ...from, reference: source.reference };
      await explained(at, () => assertApart(source, from, target, to));
      const tree = readTree(source, at, options);
      return await writeTree(target, to, explainedTree(tree, at));
    });
  }

  makeDirectory(
    place: FilePlace,
    { parents = false }: { readonly parents?: boolean } = {},
  ): Promise<void> {
    return this.#changing(place, async ({ fs }) => {
      await fsPromises(fs).mkdir(tidied(place.path), { recursive: parents });
    });
  }

  remove(place: FilePlace, options: Parameters<FileVerbs['remove']>[1] = {}): Promise<void> {
    return this.#changing(place, async ({ fs }) => {
      const { recursive = false, force = false } = options;
      const path = tidied(place.path);
      if (path === '/') throw new FileError('EBUSY', 'the root directory stays; say pal fs format');
      await fsPromises(fs).rm(path, { recursive, force });
    });
  }

  move(from: FilePlace, to: FilePlace): Promise<void> {
    return this.#changing(to, async (target) => {
      await using source = await this.#mounts.mount(from.reference, part(from));
      if (source.fs !== target.fs) throw explanation(crossing(), from);
      const at = { ...from, reference: source.reference };
      await explained(at, () => move(target, tidied(from.path), tidied(to.path)));
    });
  }

  async space(
    reference: string,
    options: { readonly partition?: number } = {},
  ): Promise<FileSpace> {
    await using mount = await this.#mounts.mount(reference, part(options));
    return await spaceOf(mount);
  }

  check(
    reference: string,
    { partition }: { readonly partition?: number } = {},
  ): Promise<CheckInfo> {
    return this.#mounts.withDevice(reference, async (opened) => {
      const device = await readablePart(opened.device, opened.reference, partition);
      const findings = (await check(device)).map(({ code, severity, message, path }) => ({
        ...{ code, severity, message },
        ...(path === undefined ? {} : { path }),
      }));
      return { reference: opened.reference, findings };
    });
  }

  async *diff(
    before: string,
    after: string,
    options: { readonly partition?: number } = {},
  ): AsyncGenerator<FileChange> {
    await using old = await this.#mounts.mount(before, part(options));
    const place = { ...part(options), reference: after, path: '/' };
    yield* this.#telling(place, ({ fs }) => changes(old, fs));
  }

  /** Changes something, and makes it durable (FV1). */
  async #changing<T>(place: FilePlace, work: (mount: Mount) => Promise<T>): Promise<T> {
    const choice = { ...part(place), write: true };
    await using mount = await this.#mounts.mount(place.reference, choice);
    return await explained(
      { ...place, reference: mount.reference },
      async () => {
        const result = await work(mount);
        if (!mount.fs.readOnly) await mount.fs.sync();
        return result;
      },
      () => mount.fs.report.readOnlyReason,
    );
  }

  /** Tells items one by one (FV2). */
  async *#telling<T>(
    place: FilePlace,
    items: (mount: Mount) => AsyncIterable<T>,
  ): AsyncGenerator<T> {
    await using mount = await this.#mounts.mount(place.reference, part(place));
    yield* explainedTree(items(mount), { ...place, reference: mount.reference });
  }
}

function part({ partition }: { readonly partition?: number }): ImageChoice {
  return partition === undefined ? {} : { partition };
}

/** The same items; a failure between them is told about the place that they are of (FV2). */
async function* explainedTree<T>(items: AsyncIterable<T>, place: FilePlace): AsyncGenerator<T> {
  try {
    yield* items;
  } catch (error) {
    throw explanation(error, place);
  }
}

async function* readTree(
  { fs }: Mount,
  { path }: FilePlace,
  { recursive = false, follow = false }: { recursive?: boolean; follow?: boolean },
): AsyncGenerator<TreePart> {
  const files = fsPromises(fs);
  const found = await (follow ? files.stat : files.lstat)(tidied(path));
  if (found.isDirectory() && !recursive) throw Object.assign(new Error(), isDirectory);
  yield* packTree(fs, found.ino);
}

/** As Node's own call would have it. */
const isDirectory = { code: 'EISDIR', syscall: 'read' };

function crossing(): Error {
  return Object.assign(new Error(), { code: 'EXDEV', syscall: 'rename' });
}

async function writeTree(
  { fs }: Mount,
  target: CopyTarget,
  tree: AsyncIterable<TreePart>,
): Promise<CopyInfo> {
  const { parent, name } = await placeFor({ fs } as Mount, target);
  return await unpackTree(fs, parent, Buffer.from(name), tree);
}

/** The directory that gets the copy, and its name there. */
async function placeFor(
  { fs }: Mount,
  { path, name, intoDirectory = false }: CopyTarget,
): Promise<{ parent: number; name: string }> {
  const files = fsPromises(fs);
  const wanted = intoDirectory || path.endsWith('/');
  const at = tidied(path);
  const there = await files.stat(at).catch((error: { code?: string }) => {
    if (error.code === 'ENOENT' && !wanted) return undefined;
    throw error;
  });
  if (there?.isDirectory() === true) return { parent: there.ino, name };
  if (wanted) await files.readdir(at); // ENOTDIR
  const slash = at.lastIndexOf('/');
  const above = await files.stat(slash === 0 ? '/' : at.slice(0, slash));
  if (!above.isDirectory()) await files.readdir(at.slice(0, slash)); // ENOTDIR
  return { parent: above.ino, name: at.slice(slash + 1) };
}

/** Nothing is copied onto or into itself. */
async function assertApart(
  source: Mount,
  from: FilePlace,
  target: Mount,
  to: CopyTarget,
): Promise<void> {
  if (source.fs !== target.fs) return;
  const files = fsPromises(source.fs);
  const origin = await files.realpath(tidied(from.path));
  const { parent, name } = await placeFor(target, to);
  const into = await pathOf(source, to, parent);
  const copy = into === '/' ? `/${name}` : `${into}/${name}`;
  if (copy !== origin && !copy.startsWith(origin === '/' ? '/' : `${origin}/`)) return;
  throw new FileError('EINVAL', `${origin} on ${source.reference} cannot be copied into itself`);
}

/** The real path of the directory that a copy goes into. */
async function pathOf({ fs }: Mount, { path }: CopyTarget, parent: number): Promise<string> {
  const files = fsPromises(fs);
  const at = tidied(path);
  const there = await files.stat(at).catch(() => undefined); // It may be what is to be made.
  if (there?.ino === parent) return files.realpath(at);
  const slash = at.lastIndexOf('/');
  return files.realpath(slash === 0 ? '/' : at.slice(0, slash));
}

async function move({ fs }: Mount, from: string, to: string): Promise<void> {
  const files = fsPromises(fs);
  const there = await files.stat(to).catch((error: { code?: string }) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  const name = from.slice(from.lastIndexOf('/') + 1);
  const isInto = there?.isDirectory() === true && to !== from;
  await files.rename(from, isInto ? `${to === '/' ? '' : to}/${name}` : to);
}

async function spaceOf({ reference, fs }: Mount): Promise<FileSpace> {
  const { blockSize, blocks, freeBlocks, inodes, freeInodes, label } = await fs.statfs();
  const { readOnlyReason } = fs.report;
  return {
    reference,
    label,
    sizeBytes: blocks * blockSize,
    usedBytes: (blocks - freeBlocks) * blockSize,
    freeBytes: freeBlocks * blockSize,
    inodes,
    freeInodes,
    ...(readOnlyReason === undefined ? {} : { readOnly: readOnlyReason }),
  };
}

async function* changes(old: Mount, fs: Mount['fs']): AsyncGenerator<FileChange> {
  for await (const { kind, path } of diff(old.fs, fs)) {
    yield { kind, path: Buffer.from(path).toString() };
  }
}
