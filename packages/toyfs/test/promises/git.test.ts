/**
 * Goal: a program that knows nothing of us works on us: isomorphic-git clones, commits, branches and
 * checks out, and git itself finds no fault in what it left.
 * Method: a repository made by git, served by `git http-backend` on the loopback interface; after the
 * work the tree is copied out and given to `git fsck`, `log` and `status`.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMemoryDevice } from '@palimpsest/block-device';
import git from 'isomorphic-git';
import http from 'isomorphic-git/http/node';
import { describe, expect, test } from 'vitest';
import { type FsPromises, format, nodeFs, openFileSystem, type Vfs } from '../../src/index.js';
import { MemoryVfs } from '../../src/testing/index.js';

const hasGit =
  spawnSync('git', ['http-backend'], { env: { PATH: process.env.PATH } }).status !== null &&
  spawnSync('git', ['--version']).status === 0;
if (!hasGit) process.stderr.write('git is not here: what isomorphic-git leaves is NOT checked\n');

const author = { name: 'Ann', email: 'ann@example.com' };

/** The process's own settings must not matter. */
const env = {
  PATH: process.env.PATH,
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_AUTHOR_NAME: author.name,
  GIT_AUTHOR_EMAIL: author.email,
  GIT_COMMITTER_NAME: author.name,
  GIT_COMMITTER_EMAIL: author.email,
};

function native(folder: string, ...args: string[]): string {
  const options = ['-c', 'safe.directory=*', '-C', folder, ...args];
  return execFileSync('git', options, { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** A repository with two branches, files of several kinds and a link. */
function makeRepository(folder: string): void {
  mkdirSync(join(folder, 'src/deep'), { recursive: true });
  native(folder, 'init', '-q', '-b', 'main');
  for (let i = 0; i < 40; i++)
    writeFileSync(join(folder, `src/deep/file-${i}`), `line ${i}\n`.repeat(i));
  writeFileSync(join(folder, 'run.sh'), '#!/bin/sh\n', { mode: 0o755 });
  symlinkSync('src/deep/file-3', join(folder, 'link'));
  native(folder, 'add', '.');
  native(folder, 'commit', '-qm', 'First');
  native(folder, 'checkout', '-qb', 'side');
  writeFileSync(join(folder, 'only-on-side'), 'side\n');
  native(folder, 'add', '.');
  native(folder, 'commit', '-qm', 'Aside');
  native(folder, 'checkout', '-q', 'main');
}

/** `git http-backend` as a CGI program behind a server on the loopback interface. */
async function serve(root: string): Promise<{ url: string; close: () => void }> {
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const { pathname, search } = new URL(request.url ?? '/', 'http://localhost');
    const child = spawn('git', ['-c', 'safe.directory=*', 'http-backend'], {
      env: {
        ...env,
        GIT_PROJECT_ROOT: root,
        GIT_HTTP_EXPORT_ALL: '1',
        GIT_CONFIG_COUNT: '1',
        GIT_CONFIG_KEY_0: 'safe.directory',
        GIT_CONFIG_VALUE_0: '*',
        PATH_INFO: pathname,
        QUERY_STRING: search.slice(1),
        REQUEST_METHOD: request.method,
        CONTENT_TYPE: request.headers['content-type'] ?? '',
        GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
      },
    });
    request.pipe(child.stdin);
    const parts: Buffer[] = [];
    child.stdout.on('data', (part: Buffer) => parts.push(part));
    child.on('close', () => {
      const all = Buffer.concat(parts);
      const end = all.indexOf('\r\n\r\n');
      const head = all.subarray(0, end).toString().split('\r\n');
      for (const line of head) {
        const [name = '', value = ''] = line.split(': ');
        if (name === 'Status') response.statusCode = Number(value.slice(0, 3));
        else response.setHeader(name, value);
      }
      response.end(all.subarray(end + 4));
    });
  };
  const server = createServer(answer).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, close: () => void server.close() };
}

/** Copies a tree out to the system's own file system. */
async function exportTree(fs: FsPromises, from: string, to: string): Promise<void> {
  mkdirSync(to);
  for (const entry of await fs.readdir(from, { withFileTypes: true })) {
    const [source, target] = [`${from}/${entry.name}`, join(to, entry.name)];
    if (entry.isDirectory()) await exportTree(fs, source, target);
    else if (entry.isSymbolicLink()) symlinkSync(await fs.readlink(source), target);
    else {
      const { mode } = await fs.stat(source);
      writeFileSync(target, await fs.readFile(source), { mode: mode & 0o777 });
    }
  }
}

const SYSTEMS: Record<string, () => Promise<Vfs>> = {
  'the model in memory': async () => new MemoryVfs(),
  'toyfs on a device': async () => {
    const device = createMemoryDevice({ size: 64 << 20 });
    await format(device);
    return openFileSystem(device);
  },
};

describe.skipIf(!hasGit).each(Object.entries(SYSTEMS))('isomorphic-git on %s', (_, open) => {
  test('clones, commits, branches, checks out; git finds no fault', async () => {
    const scratch = mkdtempSync(join(tmpdir(), 'git-'));
    mkdirSync(join(scratch, 'origin'));
    makeRepository(join(scratch, 'origin'));
    const server = await serve(scratch);
    try {
      const fs = nodeFs(await open());
      const dir = '/clone';
      const repository = { fs, dir };
      await git.clone({ ...repository, http, url: `${server.url}/origin/.git` });
      expect(await fs.promises.readFile('/clone/src/deep/file-7', 'utf8')).toBe(
        'line 7\n'.repeat(7),
      );
      expect(await fs.promises.readlink('/clone/link')).toBe('src/deep/file-3');
      expect((await fs.promises.stat('/clone/run.sh')).mode & 0o111).not.toBe(0);

      await git.branch({ ...repository, ref: 'work', checkout: true });
      await fs.promises.writeFile('/clone/src/new', 'new\n');
      await fs.promises.appendFile('/clone/src/deep/file-1', 'more\n');
      await fs.promises.unlink('/clone/src/deep/file-2');
      await git.add({ ...repository, filepath: ['src/new', 'src/deep/file-1'] });
      await git.remove({ ...repository, filepath: 'src/deep/file-2' });
      const oid = await git.commit({ ...repository, message: 'Work', author });
      await git.checkout({ ...repository, ref: 'side', remote: 'origin' });
      expect(await fs.promises.readFile('/clone/only-on-side', 'utf8')).toBe('side\n');
      await expect(fs.promises.stat('/clone/src/new')).rejects.toMatchObject({ code: 'ENOENT' });
      await git.checkout({ ...repository, ref: 'work' });
      await git.merge({ ...repository, ours: 'work', theirs: 'side', author });
      await git.checkout({ ...repository, ref: 'work' });

      const copy = join(scratch, 'copy');
      await exportTree(fs.promises, dir, copy);
      expect(native(copy, 'fsck', '--full', '--strict')).toBe('');
      expect(native(copy, 'rev-parse', 'work^1').trim()).toBe(oid);
      expect(native(copy, 'diff', 'HEAD', '--stat')).toBe('');
      expect(native(copy, 'ls-files')).toContain('only-on-side');
    } finally {
      server.close();
      rmSync(scratch, { recursive: true });
    }
  });
});
