/**
 * What a measurement needs of a server, whoever's it is: where it listens, its process, and what is to
 * be done before and after. Besides, what is done to files and exports between measurements.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { connectNbd } from '../../scripts/lib/nbd-client.mjs';

const exec = promisify(execFile);

/**
 * @typedef {object} Target
 * @property {() => { uri: string, pid: number, socket: string, name: string }} at where it is now
 * @property {() => string[]} [reads] files that the server reads; the page cache has them when a
 *   measurement begins, see `measure`
 * @property {() => Promise<void>} [prepare] called before each measurement
 * @property {() => Promise<void>} [after] called after each measurement
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

/** Milliseconds for which a file counts as warm: machines that put pages aside wait longer. */
const WARM_MS = 20_000;
/** When files were warmed last. */
const warmed = new Map();

/** Sees to it that the page cache has a file. */
export async function warm(path) {
  if (performance.now() - (warmed.get(path) ?? Number.NEGATIVE_INFINITY) < WARM_MS) return;
  const cat = spawn('cat', [path], { stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = await once(cat, 'exit');
  if (code !== 0) throw new Error(`cat ${path} ended with ${code}`);
  warmed.set(path, performance.now());
}

/** Takes files out of the page cache. */
export async function chill(paths) {
  for (const path of paths) {
    warmed.delete(path);
    await exec('dd', [`of=${path}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0']);
  }
}

/** Changes the bytes between two shares of an export, and flushes. */
export function overwrite({ socket, name }, from, to) {
  return asClient(socket, name, async (client) => {
    const piece = Buffer.alloc(1 << 20, 0x5a);
    for (let at = from * client.size; at < to * client.size; at += piece.length) {
      await client.write(at, piece.subarray(0, to * client.size - at));
    }
    await client.flush();
  });
}

/** Asks a server to put all it has on disk, so that the next one is not measured meanwhile. */
export function settle({ socket, name }) {
  return asClient(socket, name, (client) => client.flush());
}

/** Opens an export, does `work`, and leaves. */
export async function asClient(socket, name, work) {
  const client = await connectNbd(socket, name);
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}
