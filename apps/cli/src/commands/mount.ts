/**
 * pal snapshot mount: the snapshots of a volume or branch as directories, for example in `.snapshots` of
 * the file system that lies on the volume itself. nbdfuse makes each a file, and the kernel mounts that
 * read-only; with --images it stays a file, which needs no root.
 *
 *   SM1  What is listed is shown, as it comes and goes, until the command is asked to stop; then nothing
 *        of it is left but the directory.
 *   SM2  A snapshot is never written: where the file system's log would have to be replayed, it is mounted
 *        without, and that is said.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type CommandContext, UsageError, withStore } from '../command-context.js';
import { unixUri } from '../shell.js';

/** How often it is looked for snapshots that came or went. */
const LOOK_MS = 1000;
/** How long nbdfuse may take until its file is there. */
const PATIENCE_MS = 20_000;

/** Ways to mount a file system without writing to its disk, the first that works; `` is any other. */
const WAYS: Readonly<Record<string, readonly string[]>> = {
  ext2: ['ro'],
  ext3: ['ro', 'ro,noload'],
  ext4: ['ro', 'ro,noload'],
  // The volume that it is a snapshot of has the same UUID, and is mounted perhaps.
  xfs: ['ro,nouuid', 'ro,nouuid,norecovery'],
  btrfs: ['ro', 'ro,rescue=nologreplay'],
  '': ['ro'],
};

/** A snapshot that is shown. */
interface Shown {
  hide(): Promise<void>;
}

/** pal snapshot mount TARGET DIRECTORY [--images] */
export async function mountSnapshots(
  context: CommandContext,
  target: string,
  directory: string,
): Promise<void> {
  const { options, output, terminal } = context;
  const folder = path.resolve(terminal.cwd, directory);
  const images = options.images === true;
  const stopped = new AbortController();
  terminal.onStop(() => stopped.abort());
  await withStore(context, async (client) => {
    const socket = (await client.status()).service?.nbdSocket;
    if (socket === undefined) {
      throw new UsageError('nobody serves this store; start a daemon beside this: pal serve');
    }
    await mkdir(folder, { recursive: true });
    if ((await readdir(folder)).length > 0) {
      throw new UsageError(`${folder} is not empty; name a directory that is, or none`);
    }
    // In memory: so nothing but an empty directory is added to what the directory lies on.
    if (!images) await tool('mount', '-t', 'tmpfs', '-o', 'size=1m,mode=755', 'snapshots', folder);
    /** By name; undefined when it cannot be shown, which is said once. */
    const shown = new Map<string, Shown | undefined>();
    try {
      output.say(`showing the snapshots of ${target} in ${folder}; Ctrl-C stops`);
      while (!stopped.signal.aborted) {
        const listed = await client.listSnapshots(target);
        const names = new Map(listed.map(({ name, reference }) => [name, reference]));
        for (const [name, each] of shown) {
          if (names.has(name)) continue;
          await each?.hide();
          shown.delete(name);
        }
        for (const [name, reference] of names) {
          if (shown.has(name) || stopped.signal.aborted) continue;
          const from = unixUri(socket, reference);
          const show = images ? showImage : showTree;
          try {
            shown.set(name, await show(context, from, path.join(folder, name)));
            output.item(
              'Shown',
              { reference, path: path.join(folder, name) },
              path.join(folder, name),
            );
          } catch (error) {
            shown.set(name, undefined);
            output.say(`${reference} is not shown: ${(error as Error).message}`);
          }
        }
        await sleep(LOOK_MS, undefined, { signal: stopped.signal }).catch(() => undefined);
      }
    } finally {
      for (const each of [...shown.values()].reverse()) await each?.hide();
      if (!images) await tool('umount', folder);
    }
    output.say('stopped');
  });
}

/** The disk as a file of a directory: DIRECTORY/disk.img. */
async function showImage(_context: CommandContext, uri: string, folder: string): Promise<Shown> {
  await mkdir(folder);
  const file = path.join(folder, 'disk.img');
  const fuse = spawn('nbdfuse', ['--readonly', file, uri], {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true, // Ctrl-C is for this process: it unmounts what uses the file first
  });
  const hide = async (): Promise<void> => {
    await end(fuse, folder);
    await rmdir(folder);
  };
  try {
    await served(fuse, file);
  } catch (error) {
    await hide().catch(() => undefined);
    throw error;
  }
  return { hide };
}

/** The file system of the disk as a directory. */
async function showTree(context: CommandContext, uri: string, folder: string): Promise<Shown> {
  const hidden = path.join(await mkdtemp(path.join(tmpdir(), 'palimpsest-mount-')), 'snapshot');
  const image = await showImage(context, uri, hidden);
  const release = async (): Promise<void> => {
    await image.hide();
    await rmdir(path.dirname(hidden));
  };
  try {
    await mkdir(folder);
    const file = path.join(hidden, 'disk.img');
    const type = await tool('blkid', '-o', 'value', '-s', 'TYPE', file).catch(() => '');
    const ways = WAYS[type.trim()] ?? (WAYS[''] as readonly string[]);
    let failure: unknown;
    for (const [index, way] of ways.entries()) {
      try {
        await tool('mount', '-o', `${way},loop`, file, folder);
        if (index > 0) {
          context.output.say(
            `${path.basename(folder)}: its file system was in use, and its log is not replayed here; ` +
              'a branch of it can be mounted as after a power cut',
          );
        }
        return {
          async hide() {
            await tool('umount', folder);
            await rmdir(folder);
            await release();
          },
        };
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  } catch (error) {
    await rmdir(folder).catch(() => undefined);
    await release();
    throw error;
  }
}

/** Until the file is there. */
async function served(fuse: ChildProcess, file: string): Promise<void> {
  let said = '';
  fuse.stderr?.on('data', (bytes) => {
    said += bytes;
  });
  let ended: Error | undefined;
  fuse.once('error', (error: NodeJS.ErrnoException) => {
    ended = error.code === 'ENOENT' ? missing('nbdfuse') : error;
  });
  fuse.once('exit', () => {
    ended ??= new Error(`nbdfuse ended: ${said.trim()}`);
  });
  for (let waited = 0; !existsSync(file); waited += 10) {
    if (ended !== undefined) throw ended;
    if (waited > PATIENCE_MS) throw new Error('nbdfuse does not start');
    await sleep(10);
  }
}

/** Unmounts, and waits for the end. */
async function end(fuse: ChildProcess, folder: string): Promise<void> {
  if (fuse.exitCode !== null || fuse.signalCode !== null || fuse.pid === undefined) return;
  const exited = once(fuse, 'exit');
  await tool('fusermount3', '-u', folder).catch(() => fuse.kill('SIGTERM'));
  await exited;
}

/** Runs a program; what it printed. */
async function tool(command: string, ...args: string[]): Promise<string> {
  try {
    return (await promisify(execFile)(command, args)).stdout;
  } catch (error) {
    const { code, stderr, message } = error as NodeJS.ErrnoException & { stderr?: string };
    if (code === 'ENOENT') throw missing(command);
    throw new Error((stderr || message).trim(), { cause: error });
  }
}

function missing(command: string): UsageError {
  return new UsageError(`this needs ${command}: apt install libnbd-bin fuse3 mount util-linux`);
}
