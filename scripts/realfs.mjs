/**
 * Real file systems of the kernel on our volumes: daemon -> nbdfuse -> loop device -> ext4, XFS, Btrfs.
 *
 * Goal: what a kernel file system flushed is in the snapshot that was taken while it went on writing;
 * a branch of it mounts (its journal is replayed on the branch), passes fsck and takes writes that
 * production never sees; a snapshot of a frozen file system mounts read-only as it is. Method: copy a
 * tree, sync, take a snapshot while more is being copied, freeze, take another, delete the tree; then
 * mount a branch of the first snapshot and the second snapshot itself and compare file by file. Then
 * the snapshots of a mounted volume are shown within it, by pal snapshot mount.
 *
 * Needs root, loop devices and FUSE. Without them it skips loudly; with --require that is a failure.
 * Every mount, loop device and process made here is undone, whatever happens.
 */
import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { assertBuilt, control, nbdUri, PAL, pal, ROOT, startDaemon } from './lib/daemon.mjs';
import { Checks, missingTools, same, tool, Undo } from './lib/steps.mjs';

const { values } = parseArgs({
  options: { require: { type: 'boolean', default: false }, only: { type: 'string' } },
});
const MIB = 1 << 20;
/** Sizes are near each file system's own minimum. */
const FILE_SYSTEMS = [
  {
    name: 'ext4',
    size: 64 * MIB,
    mkfs: ['mkfs.ext4', '-q', '-F'],
    fsck: ['e2fsck', '-fn'],
    readOnly: 'ro,noload',
  },
  {
    name: 'xfs',
    size: 320 * MIB,
    mkfs: ['mkfs.xfs', '-q', '-f'],
    fsck: ['xfs_repair', '-n'],
    readOnly: 'ro,norecovery',
  },
  {
    name: 'btrfs',
    size: 160 * MIB,
    mkfs: ['mkfs.btrfs', '-q', '-f'],
    fsck: ['btrfs', 'check', '--readonly'],
    readOnly: 'ro,rescue=nologreplay',
  },
].filter(({ name }) => values.only === undefined || values.only === name);

/** Why this machine cannot; undefined when it can. */
async function obstacle() {
  const missing = missingTools([
    ...FILE_SYSTEMS.flatMap(({ mkfs, fsck }) => [mkfs[0], fsck[0]]),
    ...['nbdfuse', 'losetup', 'mount', 'umount', 'fsfreeze', 'fusermount3'],
  ]);
  if (missing.length > 0) return `missing tools: ${missing.join(', ')}`;
  if (process.getuid() !== 0) return 'mounting needs root';
  if (!existsSync('/dev/fuse')) await tool('mknod', '/dev/fuse', 'c', 10, 229).catch(() => {});
  if (!existsSync('/dev/fuse')) return 'no /dev/fuse';
  const free = await tool('losetup', '--find').catch(() => undefined);
  return free === undefined ? 'no free loop device' : undefined;
}

/** Exports `name` as a loop device; the device and how to undo it. */
async function loopDevice({ undo, work, store }, name, { readOnly = false } = {}) {
  const folder = mkdtempSync(join(work, 'fuse-'));
  const file = join(folder, 'nbd');
  const fuse = spawn('nbdfuse', [file, nbdUri(store, name)], { stdio: 'inherit' });
  const exited = new Promise((resolve) => fuse.once('exit', resolve));
  const release = undo.push(`nbdfuse ${name}`, async () => {
    await tool('fusermount3', '-u', folder).catch(() => fuse.kill('SIGTERM'));
    await exited;
  });
  for (let tries = 0; !existsSync(file) || statSync(file).size === 0; tries++) {
    if (tries > 500 || fuse.exitCode !== null) throw new Error(`nbdfuse does not serve ${name}`);
    await sleep(10);
  }
  const flags = readOnly ? ['--read-only'] : [];
  const device = (await tool('losetup', '--find', '--show', ...flags, file)).trim();
  const detach = undo.push(device, () => tool('losetup', '--detach', device));
  return {
    device,
    async close() {
      await detach();
      await release();
    },
  };
}

/** Mounts a device; the folder and how to undo it. */
async function mounted({ undo, work }, type, device, options = 'rw') {
  const folder = mkdtempSync(join(work, 'mnt-'));
  await tool('mount', '-t', type, '-o', options, device, folder);
  return { folder, close: undo.push(`mount ${folder}`, () => tool('umount', folder)) };
}

/** Fails unless both trees hold the same files with the same bytes. */
async function sameTree(expected, actual) {
  await tool('diff', '-r', '--no-dereference', expected, actual);
}

async function digestOf(context, name) {
  const copy = join(context.work, 'copy.raw');
  await tool('nbdcopy', nbdUri(context.store, name), copy);
  const sum = (await tool('sha256sum', copy)).split(' ')[0];
  rmSync(copy);
  return sum;
}

/** The whole story for one file system. */
async function story(context, { name: type, size, mkfs, fsck, readOnly }) {
  const { store, undo, work } = context;
  const source = join(ROOT, 'packages');
  const tree = join(work, `tree-${type}`);
  mkdirSync(tree);
  await tool(
    'bash',
    '-c',
    `cd '${source}' && git ls-files -z | xargs -0 cp --parents -t '${tree}'`,
  );
  const volume = `vol-${type}`;
  await control.createVolume(store, volume, size);
  const prod = await loopDevice(context, volume);
  await tool(mkfs[0], ...mkfs.slice(1), prod.device);
  const live = await mounted(context, type, prod.device);
  await tool('cp', '-a', tree, join(live.folder, 'first'));
  await tool('sync', '-f', live.folder);
  // The second tree is being written while the snapshot is taken: it may be there in part.
  const writing = (async () => {
    for (let i = 0; i < 5; i++) await tool('cp', '-a', tree, join(live.folder, `second-${i}`));
  })();
  await sleep(30);
  await control.createSnapshot(store, `${volume}@mid`);
  const sum = await digestOf(context, `${volume}@mid`);
  await writing;
  // A frozen file system has its log written out, so that this one mounts without a replay.
  await tool('fsfreeze', '--freeze', live.folder);
  const thaw = undo.push(`freeze of ${type}`, () => tool('fsfreeze', '--unfreeze', live.folder));
  await control.createSnapshot(store, `${volume}@frozen`);
  await thaw();
  await tool('rm', '-rf', join(live.folder, 'first'));
  await tool('sync', '-f', live.folder);
  await live.close();
  await tool(fsck[0], ...fsck.slice(1), prod.device);
  await prod.close();

  await control.createBranch(store, `${volume}/dev`, `${volume}@mid`);
  const branch = await loopDevice(context, `${volume}/dev`);
  const dev = await mounted(context, type, branch.device); // replays the journal on the branch
  await sameTree(tree, join(dev.folder, 'first'));
  await tool('cp', '-a', tree, join(dev.folder, 'only-on-the-branch'));
  await dev.close();
  await tool(fsck[0], ...fsck.slice(1), branch.device);
  await branch.close();

  const past = await loopDevice(context, `${volume}@frozen`, { readOnly: true });
  const old = await mounted(context, type, past.device, readOnly);
  await sameTree(tree, join(old.folder, 'first'));
  await sameTree(tree, join(old.folder, 'second-4'));
  await old.close();
  await past.close();

  const again = await loopDevice(context, volume);
  const now = await mounted(context, type, again.device);
  same(existsSync(join(now.folder, 'first')), false, 'the deleted tree on production');
  same(existsSync(join(now.folder, 'only-on-the-branch')), false, 'the branch on production');
  await sameTree(tree, join(now.folder, 'second-4'));
  await now.close();
  await again.close();
  same(await digestOf(context, `${volume}@mid`), sum, 'sha256 of the snapshot');
  return 'snapshot in mid-write, branch mounted and written, fsck clean, snapshot unchanged';
}

/** Until `look` says so. */
async function until(what, look) {
  for (let tries = 0; !look(); tries++) {
    if (tries > 400) throw new Error(`${what}: not after 20 s`);
    await sleep(50);
  }
}

/** Snapshots are seen as directories from within production, as they come and go, and cannot be written. */
async function snapshotsWithin(context) {
  const { store, undo } = context;
  const volume = 'vol-within';
  await control.createVolume(store, volume, 64 * MIB);
  const prod = await loopDevice(context, volume);
  await tool('mkfs.ext4', '-q', '-F', prod.device);
  const live = await mounted(context, 'ext4', prod.device);
  const note = join(live.folder, 'note');
  const view = join(live.folder, '.snapshots');
  const within = (name) => join(view, name, 'note');
  const take = async (text, name) => {
    writeFileSync(note, text);
    await tool('fsfreeze', '--freeze', live.folder);
    const thaw = undo.push('freeze', () => tool('fsfreeze', '--unfreeze', live.folder));
    await control.createSnapshot(store, `${volume}@${name}`);
    await thaw();
  };
  await take('first', 'one');
  const shown = spawn(
    process.execPath,
    [PAL, 'snapshot', 'mount', volume, view, '--store', store],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  let said = '';
  shown.stderr.on('data', (bytes) => {
    said += bytes;
  });
  const ended = new Promise((resolve) => shown.once('exit', resolve));
  const stop = undo.push('pal snapshot mount', async () => {
    shown.kill('SIGINT');
    same(await ended, 0, `exit code of pal snapshot mount, which said:\n${said}\n`);
  });
  await until(`snapshot one within production (${said})`, () => existsSync(within('one')));
  await take('second', 'two');
  await until('a new snapshot within production', () => existsSync(within('two')));
  writeFileSync(note, 'third');
  same(readFileSync(within('one'), 'utf8'), 'first', 'the note in snapshot one');
  same(readFileSync(within('two'), 'utf8'), 'second', 'the note in snapshot two');
  const written = await tool('touch', within('two')).catch((error) => String(error));
  if (!/Read-only file system/.test(written)) throw new Error(`written to a snapshot: ${written}`);
  await pal(store, 'snapshot', 'delete', `${volume}@one`, '--yes', '--force');
  await until('a deleted snapshot gone', () => !existsSync(join(view, 'one')));
  await stop();
  same(readdirSync(view).length, 0, 'what is left in the directory');
  await live.close();
  await prod.close();
  return 'snapshots appear below the mount of production, read-only, and go when they are deleted';
}

const reason = await obstacle();
if (reason !== undefined) {
  console.log(`SKIPPED realfs: ${reason}`);
  process.exit(values.require ? 1 : 0);
}
assertBuilt();
const undo = new Undo();
const checks = new Checks('realfs');
try {
  const work = mkdtempSync(join(tmpdir(), 'palimpsest-realfs-'));
  undo.push(work, () => rmSync(work, { recursive: true, force: true }));
  const store = join(work, 'store');
  await pal(store, 'init', store);
  const daemon = await startDaemon(store);
  undo.push('daemon', () => daemon.stop());
  for (const each of FILE_SYSTEMS) {
    await checks.check(each.name, () => story({ undo, work, store }, each));
    if (checks.failed > 0) break; // its mounts are undone below, not before the next
  }
  if (checks.failed === 0 && (values.only === undefined || values.only === 'within')) {
    await checks.check('within', () => snapshotsWithin({ undo, work, store }));
  }
} finally {
  await undo.all();
}
checks.finish();
