/**
 * Goal: what mkfs.ext4 and debugfs write, we read as they mean it.
 * Method: a folder with everything a tree can have goes into images of every kind of the read set;
 * each is compared with the folder, name by name, byte by byte.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  openSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openFileSystem } from '../src/index.js';
import { chosen, deviceOf, hasTools, run, scratch } from './support/tools.js';
import { find, folderTree, treeOf } from './support/tree.js';

/** Arguments of mke2fs beyond size and folder. */
const KINDS: Record<string, readonly string[]> = {
  'ext4 with its defaults, 4 KiB': ['-t', 'ext4', '-b', '4096', '-O', '64bit,metadata_csum'],
  'ext4 with large xattrs': ['-t', 'ext4', '-b', '1024', '-O', 'ea_inode,uninit_bg'],
  'ext4, 1 KiB': ['-t', 'ext4', '-b', '1024', '-O', '64bit,metadata_csum,flex_bg,huge_file'],
  'ext4 with inline data': ['-t', 'ext4', '-b', '4096', '-O', 'inline_data,metadata_csum,64bit'],
  'ext3, 1 KiB': ['-t', 'ext3', '-b', '1024', '-O', 'has_journal,^extent'],
  'ext3, 4 KiB': ['-t', 'ext3', '-b', '4096', '-O', 'has_journal,^extent'],
  'ext2, 1 KiB': ['-t', 'ext2', '-b', '1024', '-I', '128', '-O', '^has_journal,^extent'],
  'ext2, 2 KiB': ['-t', 'ext2', '-b', '2048', '-O', '^has_journal,^extent'],
};

function makeFolder(root: string): void {
  let path = root;
  for (let depth = 0; depth < 6; depth++) {
    path = join(path, `level ${depth}`);
    mkdirSync(path);
    writeFileSync(join(path, 'note'), `at ${depth}`);
  }
  const many = join(root, 'many');
  mkdirSync(many);
  for (let i = 0; i < 150; i++)
    writeFileSync(join(many, `a rather long name, number ${i}`), `${i}`);
  writeFileSync(join(root, 'empty'), '');
  writeFileSync(join(root, 'tiny'), 'tiny');
  writeFileSync(join(root, 'some'), Buffer.alloc(150, 'some '));
  writeFileSync(join(root, 'big'), Buffer.alloc(1_000_001, 'palimpsest'));
  writeFileSync(join(root, 'sparse'), '');
  const sparse = openSync(join(root, 'sparse'), 'r+');
  for (const at of [0, 100_000, 5_000_000, 7_345_678])
    writeSync(sparse, Buffer.from('here'), 0, 4, at);
  truncateSync(join(root, 'sparse'), 9_000_000);
  symlinkSync('tiny', join(root, 'short link'));
  symlinkSync('x'.repeat(59), join(root, 'link of 59'));
  symlinkSync('y'.repeat(60), join(root, 'link of 60'));
  symlinkSync('z'.repeat(900), join(root, 'long link'));
  linkSync(join(root, 'tiny'), join(root, 'second name'));
  writeFileSync(join(root, 'n'.repeat(255)), 'long');
  chmodSync(join(root, 'some'), 0o4751);
  execFileSync('mkfifo', [join(root, 'pipe')]);
}

describe.skipIf(!hasTools)('images of others', () => {
  const source = scratch();
  beforeAll(() => makeFolder(source.path));
  afterAll(() => source[Symbol.dispose]());

  for (const [kind, args] of chosen(KINDS)) {
    test(kind, async () => {
      using folder = scratch();
      const file = join(folder.path, 'image');
      run('mke2fs', [...args, '-q', '-d', source.path, file, '12M']);
      const fs = await openFileSystem(await deviceOf(file), { readOnly: true });
      const expected = folderTree(source.path);
      // mke2fs itself loses the hole at a file's end where it writes inline data.
      if (kind.includes('inline')) expected['/sparse'] = (await treeOf(fs))['/sparse'] ?? '';
      expect(await treeOf(fs)).toEqual(expected);
      // Names found one by one are those listed.
      expect(
        await fs.lookup(await find(fs, 'many'), Buffer.from('a rather long name, number 77')),
      ).toBe(await find(fs, 'many/a rather long name, number 77'));
      await fs.close();
    });
  }
});
