/** pal fs cp, cat: between here, stdin and stdout, and the volumes, snapshots and branches of a store. */
import path from 'node:path';
import { formatSize } from '@palimpsest/control/grammar';
import type { CopyInfo, FilePlace, FileVerbs, TreePart } from '@palimpsest/mounted-files';
import { type CommandContext, UsageError, withStore } from '../command-context.js';
import { lastName, placeIn, placeOf } from '../file-place.js';
import { hostTree } from '../host/host-tree.js';
import { hostTarget, intoHost } from '../host/into-host.js';

/** Zeros written at once, where a file has a hole. */
const ZEROS = new Uint8Array(64 << 10);

/** pal fs cat PATHS... */
export async function writeOut(context: CommandContext, paths: readonly string[]): Promise<void> {
  await withStore(context, async ({ files }) => {
    for (const text of paths) {
      await toStdout(context, files.read(placeOf(context, text), { follow: true }));
    }
  });
}

/** pal fs cp SOURCES... TARGET [-r] */
export async function copyFiles(context: CommandContext, paths: readonly string[]): Promise<void> {
  const to = paths.at(-1);
  const sources = paths.slice(0, -1);
  if (to === undefined || sources.length === 0) {
    throw new UsageError('say from where and to where: pal fs cp -r DIRECTORY prod/dev:/');
  }
  const several = sources.length > 1;
  const target = placeIn(context, to);
  const copied: CopyInfo[] = [];
  await withStore(context, async ({ files }) => {
    for (const from of sources) {
      const source = placeIn(context, from);
      if (source === undefined && target === undefined) {
        throw new UsageError(
          `neither "${from}" nor "${to}" is on a volume, snapshot or branch; write VOLUME:PATH, and ` +
            './PATH for a file here whose name has a colon',
        );
      }
      if (target !== undefined) copied.push(await toVolume(context, files, from, target, several));
      else copied.push(await toHost(context, files, source as FilePlace, to, several));
    }
  });
  if (to === '-') return;
  const all = copied.reduce(together);
  if (context.json) context.output.item('Copy', all, '');
  const { files, directories, links, bytes, leftOut } = all;
  context.output.say(
    `copied ${files} file${files === 1 ? '' : 's'}, ${directories} director` +
      `${directories === 1 ? 'y' : 'ies'}, ${links} links: ${formatSize(bytes)}`,
  );
  if (leftOut.length > 0) {
    context.output.say(`left out, as they cannot be made there: ${leftOut.slice(0, 8).join(', ')}`);
  }
}

async function toVolume(
  context: CommandContext,
  files: FileVerbs,
  from: string,
  target: FilePlace,
  intoDirectory: boolean,
): Promise<CopyInfo> {
  const recursive = context.options.recursive === true;
  const source = placeIn(context, from);
  if (source !== undefined) {
    const to = { ...target, name: lastName(source.path) || source.reference, intoDirectory };
    return files.copy(source, to, { recursive });
  }
  if (from === '-') {
    const name = lastName(target.path);
    if (name === '' || intoDirectory) {
      throw new UsageError('what comes from stdin needs a name: pal fs cp - prod/dev:/file');
    }
    return files.write({ ...target, name }, fromStdin(context));
  }
  const here = path.resolve(context.terminal.cwd, from);
  const to = { ...target, name: path.basename(here), intoDirectory };
  const leftOut: string[] = [];
  const done = await files.write(to, hostTree(here, recursive, leftOut));
  return { ...done, leftOut: [...done.leftOut, ...leftOut] };
}

async function toHost(
  context: CommandContext,
  files: FileVerbs,
  source: FilePlace,
  to: string,
  intoDirectory: boolean,
): Promise<CopyInfo> {
  const recursive = context.options.recursive === true;
  if (to === '-') {
    await toStdout(context, files.read(source, { follow: true }));
    return { files: 1, directories: 0, links: 0, bytes: 0, leftOut: [] };
  }
  const name = lastName(source.path) || source.reference.replaceAll(/[/:@]/g, '-');
  const target = await hostTarget(context.terminal.cwd, to, name, intoDirectory);
  return intoHost(target, files.read(source, { recursive }));
}

async function* fromStdin({ terminal }: CommandContext): AsyncGenerator<TreePart> {
  const now = BigInt(Date.now()) * 1_000_000n;
  const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const file = { kind: 'entry', path: '', type: 'file', mode: 0o644 } as const;
  yield { ...file, ...owner, size: 0, atime: now, mtime: now };
  let position = 0;
  for await (const chunk of terminal.input()) {
    // No part is larger than a frame may be.
    for (let at = 0; at < chunk.length; at += 1 << 20) {
      const bytes = chunk.subarray(at, at + (1 << 20));
      yield { kind: 'data', position, bytes };
      position += bytes.length;
    }
  }
}

/** A file's bytes, its holes as zeros. */
async function toStdout(
  { terminal }: CommandContext,
  parts: AsyncIterable<TreePart>,
): Promise<void> {
  let size = 0;
  let written = 0;
  const zeros = async (until: number): Promise<void> => {
    while (written < until) {
      const bytes = ZEROS.subarray(0, Math.min(ZEROS.length, until - written));
      await terminal.outBytes(bytes);
      written += bytes.length;
    }
  };
  for await (const part of parts) {
    if (part.kind === 'entry') size = part.type === 'file' ? part.size : 0;
    else {
      await zeros(part.position);
      await terminal.outBytes(part.bytes);
      written += part.bytes.length;
    }
  }
  await zeros(size);
}

function together(a: CopyInfo, b: CopyInfo): CopyInfo {
  return {
    files: a.files + b.files,
    directories: a.directories + b.directories,
    links: a.links + b.links,
    bytes: a.bytes + b.bytes,
    leftOut: [...a.leftOut, ...b.leftOut],
  };
}
