import { chmod, mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { serveStore } from '../src/serve-store.js';
import { answers, listenOnLoopback, listenOnSocket, shortSocketPath } from '../src/sockets.js';
import { ensureToken, readToken, sameToken } from '../src/token.js';
import { refusal, scratch, scratchStore } from './scratch.js';

const servers: net.Server[] = [];
const newServer = (): net.Server => {
  const server = net.createServer((socket) => socket.destroy());
  servers.push(server);
  return server;
};
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

test('a socket is for its owner alone, whatever the umask was (L1)', async () => {
  const before = process.umask(0);
  try {
    const name = path.join(await scratch(), 'deep/er/x.sock');
    await listenOnSocket(newServer(), name);
    expect((await stat(name)).mode & 0o777).toBe(0o600);
    expect((await stat(path.dirname(name))).mode & 0o777).toBe(0o700);
    expect(process.umask()).toBe(0);
  } finally {
    process.umask(before);
  }
});

test('a stale socket is replaced, one that answers is not (L2)', async () => {
  const name = path.join(await scratch(), 'x.sock');
  const first = newServer();
  await listenOnSocket(first, name);
  expect((await refusal(() => listenOnSocket(newServer(), name))).code).toBe('ERR_BUSY');
  expect(await answers(name)).toBe(true);

  // What a killed process leaves: a socket file that nobody listens on.
  const stale = path.join(path.dirname(name), 'stale.sock');
  const other = newServer();
  await listenOnSocket(other, path.join(path.dirname(name), 'other.sock'));
  await import('node:fs/promises').then(({ rename }) =>
    rename(path.join(path.dirname(name), 'other.sock'), stale),
  );
  await new Promise((resolve) => other.close(resolve));
  expect((await stat(stale)).isSocket()).toBe(true);
  await listenOnSocket(newServer(), stale);
  expect(await answers(stale)).toBe(true);
});

test('a file or a link in the way is not removed (L2)', async () => {
  const folder = await scratch();
  const file = path.join(folder, 'file');
  await writeFile(file, 'precious');
  const link = path.join(folder, 'link');
  await symlink(file, link);
  for (const name of [file, link]) {
    expect((await refusal(() => listenOnSocket(newServer(), name))).code).toBe('ERR_EXISTS');
  }
  expect(await readFile(file, 'utf8')).toBe('precious');
});

test('TCP is for loopback only (L3), and steps to the next free port when told to', async () => {
  for (const host of ['0.0.0.0', '::', '192.0.2.1', 'example.org', '127.0.0.1.evil.example']) {
    const refused = await refusal(() => listenOnLoopback(newServer(), { host, port: 0 }));
    expect(refused.code).toBe('ERR_INVALID');
  }
  const port = await listenOnLoopback(newServer(), { host: '127.0.0.1', port: 0 });
  const taken = { host: '127.0.0.1', port };
  expect((await refusal(() => listenOnLoopback(newServer(), taken))).code).toBe('ERR_BUSY');
  const next = await listenOnLoopback(newServer(), { ...taken, tryNext: true });
  expect(next).toBeGreaterThan(port);
});

test('a long path is reached all the same', async () => {
  const folder = path.join(await scratch(), 'x'.repeat(100), 'y'.repeat(100));
  await mkdir(folder, { recursive: true });
  const name = path.join(folder, 'x.sock');
  const release = await listenOnSocket(newServer(), name);
  const { path: short, release: releasePath } = shortSocketPath(name);
  expect(await answers(short)).toBe(true);
  releasePath();
  release();
  const impossible = path.join(folder, 'z'.repeat(120));
  expect(() => shortSocketPath(impossible)).toThrow(
    expect.objectContaining({ code: 'ERR_INVALID' }),
  );
});

test('the token is made once, for its owner alone, and compared whole', async () => {
  const folder = await scratch();
  const token = await ensureToken(folder);
  expect(token).toMatch(/^[0-9a-f]{64}$/);
  expect(await ensureToken(folder)).toBe(token);
  expect(await readToken(folder)).toBe(token);
  const file = path.join(folder, 'token');
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  await chmod(file, 0o600);
  await writeFile(file, 'short');
  expect((await refusal(() => readToken(folder))).code).toBe('ERR_INVALID');
  expect((await refusal(() => readToken(path.join(folder, 'none')))).code).toBe('ERR_NOT_FOUND');
  expect([sameToken(token, token), sameToken(token, token.slice(1)), sameToken('', token)]).toEqual(
    [true, false, false],
  );
});

test('a store reached through a link is the same store', async () => {
  const directory = await scratchStore();
  const link = path.join(await scratch(), 'link');
  await symlink(directory, link);
  const server = await serveStore({ dir: link });
  await server.store.createVolume({ name: 'prod', size: 4096 });
  await server.store.releaseVolume('prod');
  const image = path.join(link, 'volumes/prod.img');
  const adopted = await server.store.adoptVolume({ name: 'again', path: image });
  expect(adopted.path).toBe(path.join(directory, 'volumes/prod.img'));
  expect((await refusal(() => serveStore({ dir: directory }))).code).toBe('ERR_BUSY');
  await server.close();
});

test('what a failed start had opened is closed again, and a stopped server leaves no socket (V1, V2)', async () => {
  const directory = await scratchStore();
  const port = await listenOnLoopback(newServer(), { host: '127.0.0.1', port: 0 });
  const refused = await refusal(() => serveStore({ dir: directory, nbd: { tcp: { port } } }));
  expect(refused.code).toBe('ERR_BUSY');
  // The lock and the sockets are free: it starts at once when the port is another.
  const server = await serveStore({ dir: directory, nbd: { tcp: { port: 0 } } });
  const idle = net.connect(server.addresses.nbdSocket);
  idle.on('error', () => undefined);
  await new Promise((resolve) => idle.once('connect', resolve));
  await server.close();
  await server.close();
  for (const name of [server.addresses.nbdSocket, server.addresses.controlSocket]) {
    await expect(stat(name)).rejects.toMatchObject({ code: 'ENOENT' });
  }
  await (await serveStore({ dir: directory })).close();
});
