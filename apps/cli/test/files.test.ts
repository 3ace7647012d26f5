/**
 * Goal: pal fs says and does the same with a daemon and without one, on every kind of reference, and what
 * it writes and reads is right for e2fsck and for mke2fs.
 * Method: sessions on a real store, in both ways; files of this machine copied there and back.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import {
  chmod,
  link,
  lstat,
  mkdir,
  open,
  readFile,
  readlink,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { type RunningServer, serveStore } from '@palimpsest/server';
import { afterEach, describe, expect, test } from 'vitest';
import { type Outcome, palIn, type Setting, scratch } from './fake-terminal.js';

const servers: RunningServer[] = [];
const tool = (name: string): string | undefined =>
  ['/sbin', '/usr/sbin', '/bin', '/usr/bin'].map((at) => path.join(at, name)).find(existsSync);
const mke2fs = tool('mke2fs');
const e2fsck = tool('e2fsck');
const sfdisk = tool('sfdisk');
if ((mke2fs === undefined || e2fsck === undefined) && process.env.CI) {
  throw new Error('e2fsprogs is missing, and CI must have it');
}
if (sfdisk === undefined) {
  if (process.env.CI) throw new Error('sfdisk (package fdisk) is missing, and CI must have it');
  console.warn('SKIPPED: partitions made by sfdisk (package fdisk): it is missing');
}

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

/** What e2fsck has to say of the image of a volume that nobody has open. */
function complaints(file: string): string {
  if (e2fsck === undefined) return '';
  try {
    execFileSync(e2fsck, ['-fn', file], { stdio: 'pipe' });
    return '';
  } catch (error) {
    return String((error as { stdout?: Buffer }).stdout ?? error);
  }
}

describe.each(['direct', 'daemon'] as const)('%s', (mode) => {
  async function session() {
    const folder = await scratch();
    const pal = palIn({ cwd: folder });
    expect(await pal('init')).toMatchObject({ code: 0 });
    if (mode === 'daemon') {
      servers.push(await serveStore({ dir: path.join(folder, 'palimpsest-store') }));
    }
    const ok = async (...args: string[]): Promise<Outcome> => {
      const outcome = await pal(...args);
      expect(outcome, `pal ${args.join(' ')}: ${outcome.err}`).toMatchObject({ code: 0 });
      return outcome;
    };
    const withStreams = (setting: Partial<Setting>, ...args: string[]): Promise<Outcome> =>
      palIn({ cwd: folder, ...setting })(...args);
    const image = (name: string): string =>
      path.join(folder, `palimpsest-store/volumes/${name}.img`);
    /** The daemon keeps a file system open for a moment; without it the image is at rest. */
    const stop = async (): Promise<void> => {
      for (const server of servers.splice(0)) await server.close();
    };
    return { folder, pal, ok, withStreams, image, stop };
  }

  test('a tree goes there, to a branch, and back as it was', async () => {
    const { folder, pal, ok, image, stop } = await session();
    await ok('volume', 'create', 'prod', '--size', '16M');
    expect(await pal('fs', 'ls', 'prod')).toMatchObject({ code: 7, out: '' });
    expect((await ok('fs', 'format', 'prod', '--label', 'data')).out).toBe('prod\n');
    const tree = path.join(folder, 'tree');
    await mkdir(path.join(tree, 'etc/empty'), { recursive: true });
    await writeFile(path.join(tree, 'etc/motd'), 'hello\n');
    await chmod(path.join(tree, 'etc/motd'), 0o640);
    await utimes(path.join(tree, 'etc/motd'), 1_000_000_000, 1_100_000_000);
    await link(path.join(tree, 'etc/motd'), path.join(tree, 'etc/same'));
    await symlink('motd', path.join(tree, 'etc/link'));
    await symlink('/nowhere/at all', path.join(tree, 'etc/broken'));
    await writeFile(path.join(tree, 'big'), Buffer.alloc(1_000_001, 'x'));
    const sparse = await open(path.join(tree, 'sparse'), 'w');
    await sparse.write('end', 3_000_000);
    await sparse.truncate(5_000_000);
    await sparse.close();
    await chmod(path.join(tree, 'etc/empty'), 0o555);
    await utimes(path.join(tree, 'etc'), 5, 1_200_000_000);

    const copied = await ok('fs', 'cp', '-r', 'tree', 'prod:/', '--json');
    expect(JSON.parse(copied.out)).toMatchObject({
      kind: 'Copy',
      files: 3,
      directories: 3,
      links: 3,
      leftOut: [],
    });
    await ok('snapshot', 'create', 'prod@one');
    await ok('branch', 'create', 'dev', '--from', 'prod@one');
    await ok('fs', 'cp', '-r', 'prod@one:tree', 'prod/dev:/again');
    await ok('fs', 'cp', '-r', 'prod/dev:/again', 'back');

    const back = path.join(folder, 'back');
    const motd = await stat(path.join(back, 'etc/motd'));
    expect(await readFile(path.join(back, 'etc/motd'), 'utf8')).toBe('hello\n');
    expect(motd.mode & 0o7777).toBe(0o640);
    expect([motd.atimeMs, motd.mtimeMs]).toEqual([1_000_000_000_000, 1_100_000_000_000]);
    expect((await stat(path.join(back, 'etc/same'))).ino).toBe(motd.ino);
    expect(await readlink(path.join(back, 'etc/link'))).toBe('motd');
    expect(await readlink(path.join(back, 'etc/broken'))).toBe('/nowhere/at all');
    expect((await stat(path.join(back, 'etc'))).mtimeMs).toBe(1_200_000_000_000);
    expect((await stat(path.join(back, 'etc/empty'))).mode & 0o777).toBe(0o555);
    for (const name of ['big', 'sparse']) {
      const [before, after] = [path.join(tree, name), path.join(back, name)];
      expect((await readFile(after)).equals(await readFile(before))).toBe(true);
    }
    expect((await stat(path.join(back, 'sparse'))).blocks).toBeLessThan(100);
    // The branch has both, production one, and its snapshot is as it was.
    expect((await ok('fs', 'ls', 'prod/dev:/')).out).toBe('again\nlost+found\ntree\n');
    expect((await ok('fs', 'ls', 'prod')).out).toBe('lost+found\ntree\n');
    const listed = JSON.parse((await ok('fs', 'ls', '-R', 'prod@one:tree/', '--json')).out);
    const sizes = listed.items.map((each: { path: string; size: number }) => [
      each.path,
      each.size,
    ]);
    expect(sizes).toContainEqual(['/tree/sparse', 5_000_000]);
    const held = listed.items.find((each: { name: string }) => each.name === 'sparse');
    expect(held.allocated).toBeLessThan(100_000);
    await stop();
    expect(complaints(image('prod'))).toBe('');
  });

  test('files are made, moved, removed and compared; a snapshot refuses all of it', async () => {
    const { ok, pal, withStreams } = await session();
    await ok('volume', 'create', 'prod', '--size', '16M');
    await ok('fs', 'format', 'prod');
    const input = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from('one ');
      yield Buffer.from('two');
    };
    expect(await withStreams({ input }, 'fs', 'cp', '-', 'prod:/file')).toMatchObject({ code: 0 });
    const bytes: Uint8Array[] = [];
    await withStreams({ bytes }, 'fs', 'cat', 'prod:/file', 'prod:file');
    expect(Buffer.concat(bytes).toString()).toBe('one twoone two');
    expect((await ok('snapshot', 'create', 'prod@a')).err).toContain('clean');
    await ok('fs', 'mkdir', '-p', 'prod:/x/y/z');
    await ok('fs', 'mv', 'prod:/file', 'prod:/x/y');
    await ok('fs', 'cp', 'prod:/x/y/file', 'prod:/x/.hidden');
    expect((await ok('fs', 'ls', 'prod:/x')).out).toBe('y\n');
    expect((await ok('fs', 'ls', '-a', 'prod:/x')).out).toBe('.hidden\ny\n');
    expect((await ok('fs', 'ls', '-l', 'prod:/x/y')).out).toMatch(
      /^MODE +LINKS.*\n-rw-r--r-- +1 .* 7 .* file\ndrwxr-xr-x +2 .* z\n$/,
    );
    const changes = await ok('fs', 'diff', 'prod@a', 'prod');
    expect(changes.out.split('\n').sort()).toEqual(
      ['', '+ /x', '+ /x/.hidden', '+ /x/y', '+ /x/y/file', '+ /x/y/z', '- /file'].sort(),
    );
    const space = JSON.parse((await ok('fs', 'df', 'prod', '--json')).out);
    expect(space.items[0].sizeBytes).toBeGreaterThan(10 << 20);

    const refused = async (code: number, words: RegExp, ...args: string[]): Promise<void> => {
      const outcome = await pal('fs', ...args);
      expect(outcome.code, outcome.err).toBe(code);
      expect(outcome.err).toMatch(words);
      expect(outcome.err).not.toContain(' at '); // no stack
    };
    await refused(8, /snapshot and never changes.*pal branch create.*EROFS/s, 'mkdir', 'prod@a:/n');
    await refused(8, /never changes/, 'rm', 'prod@latest:/file');
    await refused(8, /never changes/, 'format', 'prod@a', '-y');
    await refused(3, /there is no \/nope on prod.*pal fs ls prod:\/.*ENOENT/s, 'cat', 'prod:/nope');
    await refused(3, /no snapshot "z"/, 'ls', 'prod@z:/');
    await refused(2, /is a directory.*-r/, 'rm', 'prod:/x');
    await refused(2, /is a directory.*-r/, 'cp', 'prod:/x', 'prod:/w');
    await refused(2, /into itself/, 'cp', '-r', 'prod:/x', 'prod:/x/y');
    await refused(2, /into itself/, 'cp', '-r', 'prod:/x', 'prod:/x/y/new');
    await refused(2, /no directory/, 'ls', 'prod:/x/y/file/deeper');
    await refused(4, /there already/, 'mkdir', 'prod:/x');
    await refused(2, /neither "a" nor "b"/, 'cp', 'a', 'b');
    await refused(3, /absent here/, 'cp', 'absent', 'prod:/');
    await refused(2, /--partition takes/, 'ls', 'prod:/', '--partition', '0');
    await refused(3, /no partition table/, 'ls', 'prod:/', '--partition', '1');
    await refused(2, /an ext4 file system.*--yes/s, 'format', 'prod');
    expect((await ok('fs', 'format', 'prod', '--dry-run')).err).toContain('nothing was done');
    await ok('fs', 'rm', '-r', 'prod:/x');
    await ok('fs', 'rm', '-f', 'prod:/x');
    expect((await ok('fs', 'ls', 'prod')).out).toBe('lost+found\n');
    expect((await ok('fs', 'ls', 'prod@a')).out).toBe('file\nlost+found\n');
    await ok('fs', 'format', 'prod', '-y');
  });

  test.skipIf(mke2fs === undefined)(
    "a guest's ext4, as mke2fs makes it, is read and not changed; so is one in a partition",
    async () => {
      const { folder, ok, pal, stop } = await session();
      const tree = path.join(folder, 'guest');
      await mkdir(path.join(tree, 'etc'), { recursive: true });
      await writeFile(path.join(tree, 'etc/hostname'), 'guest\n');
      await writeFile(path.join(tree, 'etc/large'), Buffer.alloc(300_000, 'g'));
      const disk = path.join(folder, 'guest.img');
      execFileSync(mke2fs as string, ['-q', '-t', 'ext4', '-d', tree, disk, '32M']);
      const before = await readFile(disk);
      await ok('volume', 'adopt', 'guest.img');
      await ok('snapshot', 'create', 'guest@now');
      expect((await ok('snapshot', 'info', 'guest@now')).out).toMatch(/content: +clean/);
      expect((await ok('fs', 'ls', '-R', 'guest:/etc')).out).toBe('/etc/hostname\n/etc/large\n');
      await ok('fs', 'cp', '-r', 'guest@now:/etc', 'out');
      expect(await readFile(path.join(folder, 'out/hostname'), 'utf8')).toBe('guest\n');
      expect(
        (await readFile(path.join(folder, 'out/large'))).equals(Buffer.alloc(300_000, 'g')),
      ).toBe(true);
      await stop();
      expect((await readFile(disk)).equals(before)).toBe(true);

      // The same behind a partition table: one Linux partition at 1 MiB.
      const whole = Buffer.alloc((1 << 20) + before.length);
      before.copy(whole, 1 << 20);
      whole.writeUInt8(0x83, 446 + 4);
      whole.writeUInt32LE(2048, 446 + 8);
      whole.writeUInt32LE(before.length / 512, 446 + 12);
      whole.writeUInt16LE(0xaa55, 510);
      await writeFile(path.join(folder, 'disk.img'), whole);
      await ok('volume', 'adopt', 'disk.img');
      const refused = await pal('fs', 'ls', 'disk');
      expect(refused.err).toContain('--partition 1');
      const inside = await ok('fs', 'ls', 'disk:/etc', '--partition', '1');
      expect(inside.out).toBe('hostname\nlarge\n');
    },
  );

  test.skipIf(mke2fs === undefined || sfdisk === undefined)(
    'a partition of a GPT disk is found in a snapshot, and by the copy of a damaged table',
    async () => {
      const { folder, ok, pal, stop } = await session();
      const tree = path.join(folder, 'guest');
      await mkdir(path.join(tree, 'etc'), { recursive: true });
      await writeFile(path.join(tree, 'etc/hostname'), 'guest\n');
      const inner = path.join(folder, 'inner.img');
      execFileSync(mke2fs as string, ['-q', '-t', 'ext4', '-d', tree, inner, '16M']);
      const disk = path.join(folder, 'disk.img');
      await writeFile(disk, '');
      await truncate(disk, 24 << 20);
      const input = 'label: gpt\nstart=2048, size=1M, type=swap\nstart=4096, size=16M\n';
      execFileSync(sfdisk as string, ['-q', disk], { input });
      const file = await open(disk, 'r+');
      await file.write(await readFile(inner), 0, undefined, 4096 * 512);
      await file.close();
      await ok('volume', 'adopt', 'disk.img');
      await ok('snapshot', 'create', 'disk@snap');
      const refused = await pal('fs', 'ls', 'disk@snap:/');
      expect(refused.err).toMatch(/partitions \(1, 2\)/);
      expect((await ok('fs', 'ls', 'disk@snap:/etc', '--partition', '2')).out).toBe('hostname\n');
      expect((await pal('fs', 'ls', 'disk@snap:/', '--partition', '1')).err).toMatch(
        /there is no ext2/,
      );
      // Production loses its table, and then the copy; the snapshot has both.
      const damage = async (at: number): Promise<void> => {
        await stop();
        const bytes = await open(disk, 'r+');
        await bytes.write(Buffer.alloc(512), 0, 512, at);
        await bytes.close();
      };
      await damage(512);
      expect((await ok('fs', 'ls', 'disk:/etc', '--partition', '2')).out).toBe('hostname\n');
      await damage((24 << 20) - 512);
      const lost = await pal('fs', 'ls', 'disk:/etc', '--partition', '2');
      expect(lost).toMatchObject({
        code: 7,
        err: expect.stringContaining('(GPT) of disk is damaged'),
      });
    },
  );

  test.skipIf(mke2fs === undefined).each(['4096', '1024'])(
    "a guest's ext4 with blocks of %s bytes is written, checksums and all, and e2fsck agrees",
    async (blockSize) => {
      const { folder, ok, stop } = await session();
      const disk = path.join(folder, 'guest.img');
      execFileSync(mke2fs as string, ['-q', '-t', 'ext4', '-b', blockSize, disk, '32M']);
      await ok('volume', 'adopt', 'guest.img');
      await writeFile(path.join(folder, 'file'), 'from the host');
      await ok('fs', 'mkdir', '-p', 'guest:/etc/app');
      await ok('fs', 'cp', 'file', 'guest:/etc/app/');
      expect((await ok('snapshot', 'create', 'guest')).err).toContain(', clean;');
      await stop();
      expect(complaints(disk)).toBe('');
      expect((await ok('fs', 'ls', 'guest@latest:/etc/app')).out).toBe('file\n');
    },
  );

  test('a file system is checked, and damage is found', async () => {
    const { folder, ok, pal, image, stop } = await session();
    await ok('volume', 'create', 'prod', '--size', '16M');
    await ok('fs', 'format', 'prod');
    await writeFile(path.join(folder, 'file'), Buffer.alloc(50_000, 'x'));
    await ok('fs', 'cp', 'file', 'prod:/');
    await ok('snapshot', 'create', 'prod@now');
    for (const reference of ['prod', 'prod@now']) {
      expect(await ok('fs', 'check', reference)).toMatchObject({ out: '' });
    }
    await stop();
    const bytes = await readFile(image('prod'));
    // The count of free blocks in the superblock.
    bytes.writeUInt32LE(bytes.readUInt32LE(1024 + 12) + 3, 1024 + 12);
    await writeFile(image('prod'), bytes);
    const found = await pal('fs', 'check', 'prod', '--json');
    expect(found.code).toBe(7);
    expect(JSON.parse(found.out).items.length).toBeGreaterThan(0);
    expect(found.err).toContain('ERR_CORRUPT');
  });

  test('what an NBD client has open is not read beside it; a snapshot of it is', async () => {
    if (mode === 'direct') return; // Without a daemon there are no clients.
    const { ok, pal } = await session();
    await ok('volume', 'create', 'prod', '--size', '16M');
    await ok('fs', 'format', 'prod');
    const client = await (servers[0] as RunningServer).store.openExport('prod');
    const refused = await pal('fs', 'ls', 'prod');
    expect(refused.code).toBe(4);
    expect(refused.err).toContain('pal snapshot create prod');
    await ok('snapshot', 'create', 'prod@now');
    expect((await ok('fs', 'ls', 'prod@now')).out).toBe('lost+found\n');
    await client.release();
    await ok('fs', 'ls', 'prod');
  });

  test('a tree from a store cannot reach out of where it is copied to', async () => {
    const { folder, ok } = await session();
    await ok('volume', 'create', 'prod', '--size', '16M');
    await ok('fs', 'format', 'prod');
    await mkdir(path.join(folder, 'src/d'), { recursive: true });
    await writeFile(path.join(folder, 'src/d/file'), 'new');
    await ok('fs', 'cp', '-r', 'src', 'prod:/');
    // A link is in the way of a file: the link is replaced, what it leads to stays.
    await mkdir(path.join(folder, 'dst/src/d'), { recursive: true });
    await writeFile(path.join(folder, 'precious'), 'keep');
    await symlink('../../../precious', path.join(folder, 'dst/src/d/file'));
    await ok('fs', 'cp', '-r', 'prod:/src', 'dst');
    expect(await readFile(path.join(folder, 'precious'), 'utf8')).toBe('keep');
    expect((await lstat(path.join(folder, 'dst/src/d/file'))).isFile()).toBe(true);
  });
});
