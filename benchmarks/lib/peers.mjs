/**
 * The servers that ours is compared with: qemu-nbd and nbdkit, each on an image of its own with the same
 * bytes, all allocated. Only processes started here are ended here.
 */
import { execFile, spawn } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { chill } from './targets.mjs';

/** @typedef {import('./targets.mjs').Target} Target */

const exec = promisify(execFile);

/** The peers, each on an image of its own. */
export async function startPeers(directory, { image }) {
  await mkdir(directory, { recursive: true });
  const started = [];
  const images = {};
  for (const name of ['raw', 'nbdkit', 'cow', 'base']) {
    images[name] = join(directory, `${name}.img`);
    await copyFile(image, images[name]);
  }
  const start = async (name, command, args) => {
    const socket = join(directory, `${name}.sock`);
    rmSync(socket, { force: true });
    const server = await spawnServer(command, args(socket), socket);
    started.push(server);
    return server;
  };
  const qemu = (name, format, path) =>
    start(name, 'qemu-nbd', (socket) => [
      ...['-t', '-f', format, '-k', socket, '-e', '16'],
      ...['--cache=writeback', '--discard=unmap', path],
    ]);
  const huge = async (format) => {
    const path = join(directory, `huge.${format}`);
    await exec('qemu-img', ['create', '-q', '-f', format, path, '1T']);
    return qemu(`huge-${format}`, format, path);
  };
  const hugeQcow2 = await huge('qcow2');
  const hugeRaw = await huge('raw');
  const raw = await qemu('raw', 'raw', images.raw);
  const file = await start('nbdkit', 'nbdkit', (socket) => [
    '-f',
    '-U',
    socket,
    'file',
    images.nbdkit,
  ]);
  const cow = await start('cow', 'nbdkit', (socket) => [
    ...['-f', '-U', socket, '--filter=cow', 'file', images.cow],
  ]);
  const internal = join(directory, 'internal.qcow2');
  await exec('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', image, internal]);
  const overlay = join(directory, 'overlay.qcow2');
  let withSnapshot = await qemu('internal', 'qcow2', internal);
  let onOverlay;
  let round = 0;
  const makeOverlay = async () => {
    await onOverlay?.stop();
    rmSync(overlay, { force: true });
    await exec('qemu-img', [
      ...['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', images.base, overlay],
    ]);
    onOverlay = await qemu('overlay', 'qcow2', overlay);
  };
  await makeOverlay();
  const overlaid = () => [images.base, overlay];
  return {
    /** @type {Record<string, Target>} */
    targets: {
      'qemu-nbd raw': { at: () => raw.at, reads: () => [images.raw] },
      'qemu-nbd raw, cold': { at: () => raw.at, prepare: () => chill([images.raw]) },
      'nbdkit file, cold': { at: () => file.at, prepare: () => chill([images.nbdkit]) },
      'nbdkit file': { at: () => file.at, reads: () => [images.nbdkit] },
      'nbdkit cow': { at: () => cow.at, reads: () => [images.cow] },
      'qemu-nbd qcow2 after snapshot': {
        at: () => withSnapshot.at,
        reads: () => [internal],
        async prepare() {
          // An internal snapshot can only be made while no server has the image open.
          await withSnapshot.stop();
          round += 1;
          await exec('qemu-img', ['snapshot', '-c', `r${round}`, internal]);
          withSnapshot = await qemu('internal', 'qcow2', internal);
        },
      },
      'qemu-nbd qcow2 with snapshots': { at: () => withSnapshot.at, reads: () => [internal] },
      'qemu-nbd qcow2 overlay': { at: () => onOverlay.at, reads: overlaid },
      'qemu-nbd qcow2, 1 TiB': { at: () => hugeQcow2.at },
      'qemu-nbd raw, 1 TiB': { at: () => hugeRaw.at },
      'qemu-nbd new qcow2 overlay': {
        at: () => onOverlay.at,
        reads: overlaid,
        prepare: makeOverlay,
      },
    },
    async stop() {
      for (const server of started) await server.stop();
    },
  };
}

/** Servers end with this process, however that ends in order. */
const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Starts a server and waits until its socket is there. */
async function spawnServer(command, args, socket) {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  running.add(child);
  let said = '';
  child.stderr.on('data', (bytes) => {
    said += bytes;
  });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  exited.then(() => running.delete(child));
  const failed = exited.then((code) => {
    throw new Error(`${command} ended with ${code}:\n${said}`);
  });
  failed.catch(() => {
    // Looked at only while the server starts.
  });
  const ready = (async () => {
    while (!existsSync(socket)) await sleep(20);
    await sleep(50);
  })();
  await Promise.race([ready, failed]);
  let stopped = false;
  return {
    at: { uri: `nbd+unix:///?socket=${socket}`, pid: child.pid, socket, name: '' },
    async stop() {
      if (stopped) return;
      stopped = true;
      child.kill('SIGTERM');
      await exited;
    },
  };
}
