/**
 * Goal: one user cannot do what only another may, and hears the code that Linux tells.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { type FsPromises, fsPromises, type Vfs } from '../../src/index.js';
import { MemoryVfs } from '../../src/testing/index.js';

let vfs: Vfs;
let root: FsPromises;
let ann: FsPromises;
let bob: FsPromises;

beforeEach(async () => {
  vfs = new MemoryVfs();
  root = fsPromises(vfs);
  ann = fsPromises(vfs, { uid: 1, gid: 1, groups: [50] });
  bob = fsPromises(vfs, { uid: 2, gid: 2 });
  await root.mkdir('/ann');
  await root.chown('/ann', 1, 1);
  await root.mkdir('/tmp');
  await root.chmod('/tmp', 0o1777);
  await ann.writeFile('/ann/own', 'hers', { mode: 0o600 });
  await ann.writeFile('/ann/shown', 'for all', { mode: 0o644 });
  await ann.writeFile('/ann/program', '', { mode: 0o744 });
  await ann.setxattr('/ann/own', 'user.x', 'hers');
  await ann.writeFile('/tmp/of-ann', '');
});

const refused = (code: string): object => expect.objectContaining({ code });

describe('what another user may not', () => {
  test.each<[string, string, (fs: FsPromises) => Promise<unknown>]>([
    ['read what is private', 'EACCES', (fs) => fs.readFile('/ann/own')],
    ['write what is only readable', 'EACCES', (fs) => fs.writeFile('/ann/shown', '')],
    ['truncate it', 'EACCES', (fs) => fs.truncate('/ann/shown')],
    ['open it to be made shorter', 'EACCES', (fs) => fs.open('/ann/shown', 0o1000)],
    ['make a file', 'EACCES', (fs) => fs.writeFile('/ann/new', '')],
    ['make a directory', 'EACCES', (fs) => fs.mkdir('/ann/new')],
    ['make a link', 'EACCES', (fs) => fs.symlink('x', '/ann/new')],
    ['make a hard link', 'EACCES', (fs) => fs.link('/ann/shown', '/ann/new')],
    ['remove a name', 'EACCES', (fs) => fs.unlink('/ann/shown')],
    ['move a name away', 'EACCES', (fs) => fs.rename('/ann/shown', '/tmp/mine')],
    ['remove from a sticky directory', 'EPERM', (fs) => fs.unlink('/tmp/of-ann')],
    ['move in a sticky directory', 'EPERM', (fs) => fs.rename('/tmp/of-ann', '/tmp/mine')],
    ['change a mode', 'EPERM', (fs) => fs.chmod('/ann/shown', 0o777)],
    ['take a file', 'EPERM', (fs) => fs.chown('/ann/shown', 2, 2)],
    ['set times', 'EPERM', (fs) => fs.utimes('/ann/shown', 1, 1)],
    ['ask to write', 'EACCES', (fs) => fs.access('/ann/shown', 2)],
    ['ask to execute', 'EACCES', (fs) => fs.access('/ann/program', 1)],
    ['freeze', 'EPERM', (fs) => fs.freeze()],
    ['read an xattr of what is private', 'EACCES', (fs) => fs.getxattr('/ann/own', 'user.x')],
    ['set an xattr', 'EACCES', (fs) => fs.setxattr('/ann/shown', 'user.x', '1')],
    ['set a trusted xattr', 'EPERM', (fs) => fs.setxattr('/ann/shown', 'trusted.x', '1')],
  ])('%s: %s', async (_, code, act) => {
    await expect(act(bob)).rejects.toEqual(refused(code));
    await act(root); // it is for the user, not for the call
  });

  test('search a directory that is closed', async () => {
    await ann.chmod('/ann', 0o700);
    for (const act of [bob.stat, bob.lstat, bob.readFile, bob.realpath, bob.readlink, bob.unlink]) {
      await expect(act('/ann/shown')).rejects.toEqual(refused('EACCES'));
    }
    await ann.chmod('/ann', 0o711);
    await expect(bob.readdir('/ann')).rejects.toEqual(refused('EACCES'));
    expect(await bob.readFile('/ann/shown', 'utf8')).toBe('for all');
  });
});

test('the first class that fits decides: an owner can be shut out where others are not', async () => {
  await ann.chmod('/ann/own', 0o044);
  await expect(ann.readFile('/ann/own')).rejects.toEqual(refused('EACCES'));
  expect(await bob.readFile('/ann/own', 'utf8')).toBe('hers');
});

test('owners give to their groups only, and lose set-id bits', async () => {
  await ann.chmod('/ann/own', 0o6755);
  await ann.chown('/ann/own', -1, 50);
  expect(await root.stat('/ann/own')).toMatchObject({ uid: 1, gid: 50, mode: 0o100755 });
  await expect(ann.chown('/ann/own', -1, 51)).rejects.toEqual(refused('EPERM'));
  await expect(ann.chown('/ann/own', 2, -1)).rejects.toEqual(refused('EPERM'));
});

test('a mode keeps the group bit only for those who are in the group', async () => {
  await root.chown('/ann/own', 1, 77);
  await ann.chmod('/ann/own', 0o2755);
  expect((await root.stat('/ann/own')).mode).toBe(0o100755);
  await ann.chown('/ann/own', -1, 1).catch((error: unknown) => error);
  await root.chown('/ann/own', 1, 50);
  await ann.chmod('/ann/own', 0o2755);
  expect((await root.stat('/ann/own')).mode).toBe(0o102755);
});

test("another's write takes the set-id bits, the superuser's leaves them", async () => {
  await ann.chmod('/ann/shown', 0o4777);
  await root.appendFile('/ann/shown', '!');
  expect((await root.stat('/ann/shown')).mode).toBe(0o104777);
  await bob.appendFile('/ann/shown', '?');
  expect((await root.stat('/ann/shown')).mode).toBe(0o100777);
  await ann.chmod('/ann/shown', 0o4777);
  await bob.writeFile('/ann/shown', '?', { flag: 'r+' });
  expect((await root.stat('/ann/shown')).mode).toBe(0o100777);
});

test('new inodes are the user’s, less the umask; a file that is made so may be written at once', async () => {
  const dark = fsPromises(vfs, { uid: 1, gid: 1, umask: 0o077 });
  await using handle = await dark.open('/ann/dark', 'w', 0o400);
  await handle.write('written all the same');
  expect(await root.stat('/ann/dark')).toMatchObject({ uid: 1, gid: 1, mode: 0o100400 });
  await expect(dark.open('/ann/dark', 'w')).rejects.toEqual(refused('EACCES'));
});

test('what cannot be written at all says so before it asks who wants it', async () => {
  const still = fsPromises(new MemoryVfs({ readOnly: true }), { uid: 9, gid: 9 });
  for (const act of [
    () => still.mkdir('/x'),
    () => still.writeFile('/x', ''),
    () => still.access('/', 2),
  ]) {
    await expect(act()).rejects.toEqual(refused('EROFS'));
  }
});
