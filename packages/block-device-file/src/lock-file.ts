/**
 * lockFile: exclusive use of a file among polite processes, without a file that can be left behind.
 * The lock is a listening socket named after the file's device and inode numbers; binding the name
 * a second time fails, and the kernel frees it when its holder dies, however it dies.
 *
 *   L1  A lock of a dead process never needs a human.
 *   L2  It is advice: a process that does not ask is not stopped, and on Linux each network
 *       namespace (container) has names of its own. The store's owner id and epoch detect the rest.
 *
 * Linux has names in no file system (abstract sockets), Windows has named pipes. Elsewhere a
 * socket file in the temporary directory stands in: one that nobody answers on is left over from
 * a dead process and is replaced. Two processes that find it at the same instant could both do
 * that; the owner id and epoch are the safeguard there too.
 */
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { StorageError } from '@palimpsest/block-device';
import { systemCode, translate } from './system-errors.js';

/** How long to wait for the holder to say who it is. It may be stopped. */
const ASK_MS = 300;

/** A lock that is held. */
export interface FileLock extends AsyncDisposable {
  /** Lets go. Idempotent. */
  release(): Promise<void>;
}

/** Where the names of locks live. */
export type LockNames = 'abstract' | 'pipe' | 'file';

/**
 * Takes the lock of the file at `path`, under whatever name it is found (a link, a relative path).
 * Held until released or until the process ends. It does not keep the process alive.
 * @throws {StorageError} ERR_BUSY when another holds it; ERR_NOT_FOUND when there is no such file.
 */
export function lockFile(path: string): Promise<FileLock> {
  return lockBy(platformNames(), path);
}

/** As `lockFile`, with names of the given kind. */
export async function lockBy(names: LockNames, file: string): Promise<FileLock> {
  const address = addressOf(names, file);
  for (let attempt = 0; ; attempt++) {
    try {
      return hold(await listen(address));
    } catch (error) {
      if (systemCode(error) !== 'EADDRINUSE') throw translate(error, `lock ${file}`);
      const holder = await ask(address);
      if (names === 'file' && holder === 'nobody' && attempt === 0) {
        fs.rmSync(address, { force: true }); // L1: its holder is dead
        continue;
      }
      throw new StorageError('ERR_BUSY', `${file} is in use by ${holder}`, { cause: error });
    }
  }
}

function platformNames(): LockNames {
  if (process.platform === 'linux' || process.platform === 'android') return 'abstract';
  return process.platform === 'win32' ? 'pipe' : 'file';
}

function addressOf(names: LockNames, file: string): string {
  let name: string;
  try {
    const { dev, ino } = fs.statSync(file, { bigint: true });
    name = `palimpsest-lock-${dev.toString(16)}-${ino.toString(16)}`;
  } catch (error) {
    throw translate(error, `lock ${file}`);
  }
  if (names === 'abstract') return `\0${name}`;
  return names === 'pipe' ? `\\\\.\\pipe\\${name}` : path.join(os.tmpdir(), `${name}.sock`);
}

function listen(address: string): Promise<net.Server> {
  return new Promise((resolve, reject) => {
    const server = net.createServer((socket) => {
      socket.on('error', () => socket.destroy()); // the other side may be gone already
      socket.end(`process ${process.pid}`);
    });
    server.once('error', reject);
    // `exclusive`: workers of a cluster would otherwise share the socket, and so the lock.
    server.listen({ path: address, exclusive: true }, () => {
      server.off('error', reject);
      server.unref();
      resolve(server);
    });
  });
}

function hold(server: net.Server): FileLock {
  let released: Promise<void> | undefined;
  const release = (): Promise<void> => {
    released ??= new Promise((resolve) => server.close(() => resolve()));
    return released;
  };
  return { release, [Symbol.asyncDispose]: release };
}

/** Who holds the lock. A holder that is stopped or busy does not answer, but it is not nobody. */
function ask(address: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect(address);
    let answer = '';
    socket.setTimeout(ASK_MS, () => socket.destroy());
    socket.on('data', (text) => {
      answer += text;
    });
    socket.on('error', (error) => {
      resolve(systemCode(error) === 'ECONNREFUSED' ? 'nobody' : 'another process');
    });
    socket.on('close', () => {
      resolve(/^process \d+$/.test(answer) ? answer : 'another process');
    });
  });
}
