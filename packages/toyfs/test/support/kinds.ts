/**
 * Images of others, of every kind of the read set, with everything in them that a tree can have.
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
import { runFromShell } from './shell.js';
import { run, SYSTEM_PATH } from './tools.js';

/** Arguments of mke2fs beyond size and folder. */
export const KINDS: Record<string, readonly string[]> = {
  'ext4 with its defaults, 4 KiB': ['-t', 'ext4', '-b', '4096', '-O', '64bit,metadata_csum'],
  'ext4 with large xattrs': ['-t', 'ext4', '-b', '1024', '-O', 'ea_inode,uninit_bg'],
  'ext4, 1 KiB': ['-t', 'ext4', '-b', '1024', '-O', '64bit,metadata_csum,flex_bg,huge_file'],
  'ext4 with inline data': ['-t', 'ext4', '-b', '4096', '-O', 'inline_data,metadata_csum,64bit'],
  'ext3, 1 KiB': ['-t', 'ext3', '-b', '1024', '-O', 'has_journal,^extent'],
  'ext3, 4 KiB': ['-t', 'ext3', '-b', '4096', '-O', 'has_journal,^extent'],
  'ext4 with a file of orphans': [
    '-t',
    'ext4',
    '-b',
    '1024',
    '-O',
    'orphan_file,metadata_csum_seed',
  ],
  'ext2, 1 KiB': ['-t', 'ext2', '-b', '1024', '-I', '128', '-O', '^has_journal,^extent'],
  'ext2, 2 KiB': ['-t', 'ext2', '-b', '2048', '-O', '^has_journal,^extent'],
};

/** Fills a folder with everything. */
export function makeFolder(root: string): void {
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
  writeFileSync(join(root, 'scattered'), '');
  const scattered = openSync(join(root, 'scattered'), 'r+');
  for (let i = 0; i < 30; i++) writeSync(scattered, Buffer.from('here'), 0, 4, i * 20_000);
  symlinkSync('tiny', join(root, 'short link'));
  symlinkSync('x'.repeat(59), join(root, 'link of 59'));
  symlinkSync('y'.repeat(60), join(root, 'link of 60'));
  symlinkSync('z'.repeat(900), join(root, 'long link'));
  linkSync(join(root, 'tiny'), join(root, 'second name'));
  writeFileSync(join(root, 'n'.repeat(255)), 'long');
  chmodSync(join(root, 'some'), 0o4751);
  execFileSync('mkfifo', [join(root, 'pipe')]);
}

/** An image with a directory that has a hash index of two levels. */
export async function makeIndexed(file: string): Promise<void> {
  const root = `${file}.root`;
  mkdirSync(join(root, 'many'), { recursive: true });
  for (let i = 0; i < 2500; i++) writeFileSync(join(root, 'many', `name number ${i}`), '');
  const args = ['-q', '-t', 'ext4', '-b', '1024', '-O', '^metadata_csum', '-N', '3000'];
  run('mke2fs', [...args, '-d', root, file, '12M']);
  await runFromShell('e2fsck', ['-fyD', file], SYSTEM_PATH);
}
