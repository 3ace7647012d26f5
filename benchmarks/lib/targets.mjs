/**
 * The servers that are compared: ours (the built daemon on a store on disk) and its peers, each on
 * a Unix socket in the same directory. Every image starts with the same bytes, all allocated, and
 * is read once, so that the page cache is warm. Only processes started here are ended here.
 */
import { execFile, spawn } from 'node:child_process';
import { createReadStream, existsSync, rmSync } from 'node:fs';
import { copyFile, mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { control, nbdSocket, nbdUri, pal, startDaemon } from '../../scripts/lib/daemon.mjs';
import { connectNbd } from '../../scripts/lib/nbd-client.mjs';

const exec = promisify(execFile);
const BLOCK = 4096;

/**
 * @typedef {object} Target
 * @property {() => { uri: string, pid: number }} at where it is now
 * @property {() => Promise<void>} [prepare] called before each measurement that asks for it
 */

/** Writes `size` bytes that no file system or server can take for zeros. */
export async function makeImage(path, size) {
  const file = await open(path, 'w');
  const piece = Buffer.alloc(1 << 20);
  for (let at = 0; at < piece.length; at += 4) piece.writeUInt32LE((at * 2_654_435_761) >>> 0, at);
  for (let at = 0; at < size; at += piece.length) {
    piece.writeUInt32LE(at / piece.length, 0);
    await file.write(piece, 0, Math.min(piece.length, size - at), at);
  }
  await file.sync();
  await file.close();
}

/** Reads a file to its end, for the sake of the page cache. */
async function warm(path) {
  for await (const _ of createReadStream(path, { highWaterMark: 1 << 20 }));
}

/**
 * Our daemon, with a volume without snapshots (`plain`), one with a growing number of them
 * (`prod`), and a branch that is made anew before each measurement of new writes.
 * @param {string} directory
 * @param {{ image: string, snapshots: number, profile?: string }} options profile: a directory
 */
export async function startOurs(directory, { image, snapshots, profile }) {
  const store = join(directory, 'store');
  await pal(store, 'init', store);
  for (const name of ['plain', 'prod']) {
    const path = join(directory, `${name}.img`);
    await copyFile(image, path);
    await pal(store, 'volume', 'adopt', path, '--name', name);
    await warm(path);
  }
  let log = '';
  const nodeArgs = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
  const daemon = await startDaemon(store, { nodeArgs, log: (text) => (log += text) });
  const { pid } = daemon;
  const at = (name) => () => ({ uri: nbdUri(store, name), pid });
  let taken = 0;
  let branches = 0;
  await growQueue(store, snapshots);
  await control.createBranch(store, 'prod/b0', 'prod@q1');
  return {
    /** @type {Record<string, Target>} */
    targets: {
      'ours: production': { at: at('plain') },
      'ours: production with snapshots': { at: at('prod') },
      'ours: first writes': {
        at: at('prod'),
        async prepare() {
          taken += 1;
          await control.createSnapshot(store, `prod@r${taken}`);
        },
      },
      'ours: oldest snapshot': { at: at('prod@q1') },
      'ours: youngest snapshot': { at: at(`prod@q${snapshots}`) },
      'ours: new branch': {
        at: () => at(`prod/b${branches}`)(),
        async prepare() {
          branches += 1;
          await control.createBranch(store, `prod/b${branches}`, 'prod@q1');
        },
      },
      'ours: newest branch': { at: () => at(`prod/b${branches}`)() },
    },
    async stop() {
      await daemon.stop();
      if (/^\S+Z (?:warn|error) /m.test(log)) console.error(`the daemon said:\n${log}`);
    },
  };
}

/** Makes `count` snapshots of `prod` with 64 changed blocks between each two. */
async function growQueue(store, count) {
  const client = await connectNbd(nbdSocket(store), 'prod');
  const bytes = Buffer.alloc(BLOCK);
  const blocks = client.size / BLOCK;
  for (let snapshot = 1; snapshot <= count; snapshot += 1) {
    await control.createSnapshot(store, `prod@q${snapshot}`);
    bytes.fill(snapshot);
    const writes = [];
    for (let n = 0; n < 64; n += 1) {
      const block = (snapshot * 7919 + n * 104_729) % blocks;
      writes.push(client.write(block * BLOCK, bytes));
    }
    await Promise.all(writes);
  }
  await client.flush();
  await client.close();
}

/** The peers, each on an image of its own. */
export async function startPeers(directory, { image }) {
  await mkdir(directory, { recursive: true });
  const started = [];
  const images = {};
  for (const name of ['raw', 'nbdkit', 'cow', 'base']) {
    images[name] = join(directory, `${name}.img`);
    await copyFile(image, images[name]);
    await warm(images[name]);
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
      ...[
        '-t',
        '-f',
        format,
        '-k',
        socket,
        '-e',
        '16',
        '--cache=writeback',
        '--discard=unmap',
        path,
      ],
    ]);
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
  await warm(internal);
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
  return {
    /** @type {Record<string, Target>} */
    targets: {
      'qemu-nbd raw': { at: () => raw.at },
      'nbdkit file': { at: () => file.at },
      'nbdkit cow': { at: () => cow.at },
      'qemu-nbd qcow2 after snapshot': {
        at: () => withSnapshot.at,
        async prepare() {
          // An internal snapshot can only be made while no server has the image open.
          await withSnapshot.stop();
          round += 1;
          await exec('qemu-img', ['snapshot', '-c', `r${round}`, internal]);
          withSnapshot = await qemu('internal', 'qcow2', internal);
        },
      },
      'qemu-nbd qcow2 with snapshots': { at: () => withSnapshot.at },
      'qemu-nbd qcow2 overlay': { at: () => onOverlay.at },
      'qemu-nbd new qcow2 overlay': { at: () => onOverlay.at, prepare: makeOverlay },
    },
    async stop() {
      for (const server of started) await server.stop();
    },
  };
}

/** Starts a server and waits until its socket is there. */
async function spawnServer(command, args, socket) {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (bytes) => {
    said += bytes;
  });
  const exited = new Promise((resolve) => child.once('exit', resolve));
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
    at: { uri: `nbd+unix:///?socket=${socket}`, pid: child.pid },
    async stop() {
      if (stopped) return;
      stopped = true;
      child.kill('SIGTERM');
      await exited;
    },
  };
}
