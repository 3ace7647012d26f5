/**
 * A disk image whose every read and write takes as long as it is told, whatever lies beneath: nbdkit's
 * delay filter over memory, shown as a file by nbdfuse. Only processes started here are ended here.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Requests that the disk works on at once: what a client can have under way. */
const THREADS = 64;
/** It is mounted in a moment, or never. */
const READY_MS = 10_000;

/** The programs that are missing, or `/dev/fuse`. */
export function missingForSlowDisks() {
  const tools = ['nbdkit', 'nbdfuse', 'fusermount3'];
  const missing = tools.filter((tool) => spawnSync('which', [tool]).status !== 0);
  if (!existsSync('/dev/fuse')) missing.push('/dev/fuse');
  return missing;
}

/**
 * Makes such a disk in a directory of its own.
 * @param {string} directory
 * @param {{ megabytes: number, delayMs: number }} options
 */
export async function startSlowDisk(directory, { megabytes, delayMs }) {
  mkdirSync(directory, { recursive: true });
  const socket = join(directory, 'disk.sock');
  const mount = join(directory, 'mount');
  const path = join(mount, 'disk.img');
  mkdirSync(mount);
  const disk = start('nbdkit', [
    ...['-f', '-U', socket, '-t', String(THREADS), '--filter=delay'],
    ...['memory', `${megabytes}M`, `rdelay=${delayMs}ms`, `wdelay=${delayMs}ms`],
  ]);
  let file;
  try {
    await until(() => existsSync(socket), disk);
    file = start('nbdfuse', [path, `nbd+unix:///?socket=${socket}`]);
    await until(() => existsSync(path) && statSync(path).size > 0, file);
  } catch (error) {
    await file?.stop();
    await disk.stop();
    throw error;
  }
  return {
    path,
    async stop() {
      await file.stop();
      await disk.stop();
    },
  };
}

function start(command, args) {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (bytes) => {
    said += bytes;
  });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  return {
    ended: () => child.exitCode !== null || child.signalCode !== null,
    said: () => `${command} said:\n${said}`,
    async stop() {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

async function until(condition, server) {
  for (const begun = performance.now(); !condition(); await sleep(20)) {
    if (server.ended()) throw new Error(`it ended; ${server.said()}`);
    if (performance.now() - begun > READY_MS) throw new Error(`it is not ready; ${server.said()}`);
  }
}
