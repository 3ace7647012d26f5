/**
 * Listening, safely: Unix sockets that only their owner can use, and TCP on loopback only.
 *
 *   L1  A Unix socket is never open to others, not for an instant: the umask is set before bind.
 *   L2  What is in the way is removed only when it is a socket that nobody answers on. A link or
 *       another kind of file is refused.
 *   L3  TCP listens on loopback addresses only.
 */
import { closeSync, openSync } from 'node:fs';
import { lstat, mkdir, unlink } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { StorageError } from '@palimpsest/block-device';
import { translateSystemError } from '@palimpsest/block-device-file';

/** Bytes of a Unix socket's path that the system takes. */
const LONGEST_SOCKET_PATH = 107;
/** Hosts that TCP may listen on. */
const LOOPBACK: readonly string[] = ['127.0.0.1', '::1', 'localhost'];
/** How many ports after the wanted one are tried. */
const PORTS_TRIED = 50;

/** A path that the system takes for a socket, and what to do when it is not needed any more. */
export interface SocketPath {
  readonly path: string;
  release(): void;
}

/**
 * A short path to the same socket: a long one is reached through its directory, held open.
 * @throws {StorageError} ERR_INVALID when the socket's own name is too long.
 */
export function shortSocketPath(name: string): SocketPath {
  if (Buffer.byteLength(name) <= LONGEST_SOCKET_PATH) return { path: name, release() {} };
  const descriptor = openSync(path.dirname(name), 'r');
  const short = `/proc/self/fd/${descriptor}/${path.basename(name)}`;
  if (process.platform !== 'linux' || Buffer.byteLength(short) > LONGEST_SOCKET_PATH) {
    closeSync(descriptor);
    throw new StorageError(
      'ERR_INVALID',
      `the socket path ${name} has ${Buffer.byteLength(name)} bytes, and the system takes ` +
        `${LONGEST_SOCKET_PATH}; put the store in a directory with a shorter path`,
    );
  }
  let released = false;
  return {
    path: short,
    release() {
      if (!released) closeSync(descriptor);
      released = true;
    },
  };
}

/**
 * Listens on a Unix socket (L1, L2). Returns what is to be called after the server is closed.
 * @throws {StorageError} ERR_BUSY when someone answers there; ERR_EXISTS when it is not a socket.
 */
export async function listenOnSocket(server: net.Server, name: string): Promise<() => void> {
  await mkdir(path.dirname(name), { recursive: true, mode: 0o700 }).catch((error) => {
    throw translateSystemError(error, `make ${path.dirname(name)}`);
  });
  const { path: short, release } = shortSocketPath(name);
  try {
    await clearTheWay(name, short);
    // Node binds within `listen`, before it returns, so the umask holds for this bind alone.
    const umask = process.umask(0o177);
    try {
      await listening(
        server,
        () => server.listen(short),
        () => process.umask(umask),
      );
    } catch (error) {
      throw translateSystemError(error, `listen on ${name}`);
    }
    return release;
  } catch (error) {
    release();
    throw error;
  }
}

/**
 * Listens on a loopback port (L3), or, with `tryNext`, on the next one that is free. Port 0 is any.
 * @throws {StorageError} ERR_INVALID when the host is not loopback; ERR_BUSY for a taken port.
 */
export async function listenOnLoopback(
  server: net.Server,
  where: { readonly host: string; readonly port: number; readonly tryNext?: boolean },
): Promise<number> {
  const { host } = where;
  if (!LOOPBACK.includes(host)) {
    throw new StorageError(
      'ERR_INVALID',
      `${host} is not a loopback address; listen on 127.0.0.1 and reach it through a tunnel: ` +
        `ssh -L ${where.port}:127.0.0.1:${where.port} HOST`,
    );
  }
  for (let port = where.port; ; port += 1) {
    try {
      await listening(server, () => server.listen({ host, port }));
      return (server.address() as net.AddressInfo).port;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE')
        throw translateSystemError(error, `listen on ${host}`);
      if (where.tryNext === true && port < where.port + PORTS_TRIED) continue;
      throw new StorageError(
        'ERR_BUSY',
        `port ${port} of ${host} is taken; choose another one, or 0 for any`,
        { cause: error },
      );
    }
  }
}

/** Waits until the server listens or fails to. */
function listening(server: net.Server, start: () => void, started?: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: Error): void => reject(error);
    server.once('error', onError);
    server.once('listening', () => {
      server.off('error', onError);
      resolve();
    });
    try {
      start();
    } finally {
      started?.();
    }
  });
}

async function clearTheWay(name: string, short: string): Promise<void> {
  const found = await lstat(name).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw translateSystemError(error, `use ${name}`);
  });
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new StorageError(
      'ERR_EXISTS',
      `${name} is in the way and is not a socket; look what it is, and move it away`,
    );
  }
  if (await answers(short)) {
    throw new StorageError('ERR_BUSY', `another server answers on ${name}; stop that one first`);
  }
  await unlink(name).catch((error) => {
    throw translateSystemError(error, `use ${name}`);
  });
}

/** True when someone accepts connections there. */
export function answers(name: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(name);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false);
      else reject(translateSystemError(error, `connect to ${name}`));
    });
  });
}
